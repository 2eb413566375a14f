"""Connections that end: a client may keep the server waiting for a while only, and in a crowd for less.

uvicorn ends a connection that stays idle after an answer, but it waits for ever for a first header, for one that comes a
byte at a time, and for a client that never reads its answer. Its protocol has the hooks to end these too. Bodies have a
pace of their own (see `admission`).
"""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from engage_cli.steps.serve._limits import Limits

BACKLOG = 128  # connections that the system completes before the server takes them
NOT_HTTP = re.compile(rb"[^\r\t\x20-\x7e]")  # in the first line of a request
OWN_FILES = 64 + BACKLOG  # descriptors that are not connection's: the process's own, and those of one round of accepting
CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"error": "too many connections at once; try again"}'
)


class Connection(H11Protocol):
    """Of one client. It is closed where the client takes longer than `limits.client_seconds` for a whole header, after
    an answer for the next one, or to read on in an answer.

    Where there are more than `most`, the one that has kept the server waiting for longest makes room for the new one.
    """

    limits: ClassVar[Limits] = Limits()
    most: ClassVar[int] = Limits.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._heard, self._has_line = self.loop.time(), False
        super().connection_made(cast(asyncio.Transport, transport))
        self._watch()
        if len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self._has_line:
            line, newline, _ = data.lstrip(b"\r\n").partition(b"\n")
            self._has_line = bool(newline)
            if NOT_HTTP.search(line):  # h11 would wait for the line's end
                self.send_400_response("Invalid HTTP request received.")
                return
        super().data_received(data)
        if self._is_asking:  # its header is whole; before that no byte buys time
            self._heard = self.loop.time()
            self._watch()

    def on_response_complete(self) -> None:
        self._heard, self._has_line = self.loop.time(), False
        self._stop_timer()
        super().on_response_complete()  # where its next request had come already, that is asked now
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:  # an answer has begun already: there is no other
            self.transport.abort()

    @property
    def _is_asking(self) -> bool:
        """Whether a request is being read or answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _keeps_waiting(self) -> bool:
        """Whether the next step is the client's: the rest of its header or body, or a next request."""
        return not self._is_asking or self.cycle.more_body

    def _watch(self) -> None:
        """Let the time of a client run as long as it owes a header, or does not read on."""
        if self._is_asking and not self.flow.write_paused:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.limits.client_seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _make_room(self) -> None:
        others = [one for one in cast(set[Connection], self.connections) if one is not self and one._keeps_waiting]
        if others:
            longest = min(others, key=lambda one: one._heard)
            self.connections.discard(longest)  # it is lost a moment later: until then it is not to be chosen again
            longest.transport.abort()
        else:
            self.transport.write(CROWDED)
            self.transport.close()


def _connections_of(limits: Limits) -> type[Connection]:
    """Return the protocol of a server with these limits, and with no more connections than the process may have files."""

    class Limited(Connection):
        pass

    Limited.limits, Limited.most = limits, min(limits.connections, max(1, _most_files() - OWN_FILES))
    return Limited


def make_server(app: ASGIApp, limits: Limits) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_connections_of(limits),
        backlog=BACKLOG,
        log_config=None,
        log_level="error",  # the client hears of a malformed request, not the terminal
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=round(limits.seconds + limits.body_seconds),
    )
    return uvicorn.Server(config)


def _most_files() -> int:
    try:
        import resource
    except ImportError:  # Windows, where sockets are not files
        return 2**31
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
