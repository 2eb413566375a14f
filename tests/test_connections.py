"""Connections that send nothing, too little, or what is not HTTP: they end, and hinder nobody meanwhile."""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.serve._process import ModelProcess
from tests.served import Server, serving_here
from tests.sources import encoded, picture

IMAGE = encoded(picture(1).resize((320, 180)))
HEAD = b"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
PART = b"--x\r\nContent-Disposition: form-data; name=images; filename=a.jpg\r\n\r\n"


class NoModel(ModelProcess):
    """It answers everything with nothing: these tests are of what stands before it."""

    def __init__(self) -> None:
        super().__init__(Path(), Limits(), print)
        self.is_ready, self.about = True, {"reads": {"image": True}}

    async def start(self) -> None:
        pass

    async def ask(self, job: Job) -> tuple[int, bytes]:
        return 200, b"{}"

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def patient() -> Iterator[Server]:
    with serving_here(NoModel()) as server:
        yield server


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    with serving_here(NoModel(), Limits(client_seconds=0.4, connections=20, waiting_bytes=150_000)) as server:
        yield server


@contextlib.contextmanager
def connected(server: Server, sent: bytes = b"") -> Iterator[socket.socket]:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        yield connection


def half_sent(num: int, length: int = 1_000_000) -> bytes:
    return HEAD + f"Content-Length: {length}\r\n\r\n".encode() + PART + b"x" * num


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found


def are_open(connections: list[socket.socket]) -> int:
    """How many the server has not closed, of such as were sent nothing."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(connections) - len(poll.poll(0))


def is_answered(server: Server) -> bool:
    return server.ask("/api/predict", [("a.jpg", IMAGE)], ["x"]).status_code == 200


SLOW = {
    "nothing": lambda connection: None,
    "a header byte by byte": lambda connection: connection.sendall(b"G"),
    "headers without an end": lambda connection: connection.sendall(b"A: b\r\n"),
}
BEGUN = {"nothing": b"", "a header byte by byte": b"", "headers without an end": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"}


@pytest.mark.parametrize("before", [b"", b"GET /icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], ids=["first", "second"])
@pytest.mark.parametrize("name", SLOW)
def test_a_header_must_be_whole_in_time(name: str, before: bytes, hasty: Server) -> None:
    with connected(hasty, before) as connection:
        if before:
            connection.recv(65536)
        connection.sendall(BEGUN[name])
        connection.settimeout(0.05)
        assert ends(connection, SLOW[name])


def test_a_body_after_its_refusal_must_be_whole_in_time(hasty: Server) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
    with connected(hasty, head) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        connection.settimeout(0.05)
        assert ends(connection, lambda connection: connection.sendall(b"x"))


def test_an_answer_must_be_read_on_in_time(hasty: Server) -> None:
    ask = b"GET /page.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(hasty) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.settimeout(0.05)
        assert ends(connection, lambda connection: connection.sendall(ask * 20), reads=False)


def ends(connection: socket.socket, send: Callable[[socket.socket], None], *, reads: bool = True) -> bool:
    """Send on and on, until the server ends the connection; give up after a while."""
    for _ in range(200):
        try:
            send(connection)
            if reads and connection.recv(65536) == b"":
                return True
        except TimeoutError:
            pass
        except ConnectionError:
            return True
        time.sleep(0.02)
    return False


def test_many_idle_and_slow_connections_hinder_nobody(patient: Server) -> None:
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(patient)) for _ in range(300)]
        slow = [stack.enter_context(connected(patient, b"GET / HT")) for _ in range(100)]
        assert is_answered(patient)
        assert are_open([*idle, *slow]) == 400
        for connection in slow:
            connection.sendall(b"T")
        more = [stack.enter_context(connected(patient)) for _ in range(150)]
        assert is_answered(patient)
        assert are_open([*idle, *slow, *more]) <= Limits().connections
        assert are_open(more) == 150  # those that kept the server waiting for longest made room
        assert are_open(idle) < 300


def test_half_sent_bodies_do_not_keep_others_out(patient: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2 * Limits().waiting):
            stack.enter_context(connected(patient, half_sent(1000)))
        assert is_answered(patient)
        assert patient.get("/api/run").status_code == 200


def test_half_sent_bodies_are_the_first_to_go_in_a_crowd(hasty: Server) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(60):  # of 20
            stack.enter_context(connected(hasty, half_sent(10)))
        assert is_answered(hasty)


@pytest.mark.parametrize("goes_on", [False, True], ids=["nothing more", "a byte now and then"])
def test_a_body_that_dawdles_is_refused(goes_on: bool, hasty: Server) -> None:
    with connected(hasty, half_sent(100)) as connection:
        connection.settimeout(0.05)
        found = b""
        with contextlib.suppress(ConnectionError):  # once it is refused, a byte that comes later resets the connection
            for _ in range(200):
                with contextlib.suppress(TimeoutError):
                    if goes_on and are_open([connection]):
                        connection.send(b"x")
                    if not (part := connection.recv(65536)):
                        break
                    found += part
        head, _, body = found.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert "too slowly" in json.loads(body)["error"]
        assert b"connection: close" in head.lower()


def test_who_dawdles_gives_way_to_who_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for bodies is full of half-sent ones: a whole question gets it."""
    monkeypatch.setattr("engage_cli.steps.serve._admission.DAWDLES", 0.3)
    limits = Limits(waiting_bytes=100_000 + len(IMAGE) // 2)
    with serving_here(NoModel(), limits) as server, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(server, half_sent(49_000))) for _ in range(2)]
        while not is_answered(server):
            time.sleep(0.1)
        while are_open(held) == 2:
            time.sleep(0.05)
        (gone,) = [one for one in held if not are_open([one])]
        assert gone.recv(100).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # a TLS greeting
        b"\x00" * 100,
        b"\xff\xfe\xfd\xfc",
        b"\x80" * 100 + b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"x" * 100_000,
        b"\r\n" * 100 + b"\x01",
    ],
)
def test_what_is_no_http_is_told_so(sent: bytes, patient: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), connected(patient) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        assert answer_of(connection).startswith(b"HTTP/1.1 400 ")
    assert not caplog.records  # nobody fills the terminal from outside


def test_bytes_of_a_refused_body_are_not_taken_for_a_request(patient: Server) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n"
    with connected(patient, head + b"\xff" * 10) as connection:
        refused = b""
        while not refused.endswith(b"}") and (part := connection.recv(65536)):  # the body may come after the head
            refused += part
        assert refused.startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"\xff" * 10 + b"GET /icon.svg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/nowhere", b"/api/predict"])
def test_a_chunk_that_is_none(path: bytes, patient: Server, caplog: pytest.LogCaptureFixture) -> None:
    head = HEAD.replace(b"/api/predict", path) + b"Transfer-Encoding: chunked\r\n\r\n"
    with connected(patient, head) as connection:
        if path == b"/nowhere":
            assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")
        else:
            time.sleep(0.1)
        connection.sendall(b"no number\r\n")
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 400 ") or path == b"/nowhere"
    assert not caplog.records
