"""Serve a run to people and programs on this machine, until somebody stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import Run
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.travel.hub import find_run

MISSING = (
    "engage serve needs FastAPI and uvicorn: install engage with its extra 'serve', as pip install 'engage-cli[serve]'"
)
SHORTEST_TOKEN = 16


def serve(
    *,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str = "",
    limits: Limits | None = None,
    reporter: Reporter | None = None,
    ready: Callable[[str], None] = lambda address: None,
    ledger: Path | None = None,
) -> None:
    """Load the run, call `ready` with the page's address, and answer until SIGINT or SIGTERM; port 0 is any free one.

    `ledger` is the file that the page may log predictions into; None where it may not.
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise EngageError(MISSING) from None
    from engage_cli.steps.serve._guard import is_loopback

    reporter = reporter or SilentReporter()
    if not is_loopback(host) and not token:
        raise WrongCallError(
            f"--host {host} can be reached by other machines: give --token, which every client must then send"
        )
    if token and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
        raise WrongCallError(f"--token: give {SHORTEST_TOKEN} or more letters and digits, as from `openssl rand -hex 16`")
    opened = find_run(run, runs_dir, reporter)
    for mark in opened.marks:
        reporter.say(mark)
    with _listen(host, port) as listener, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(opened, listener, host, token, limits or Limits(), reporter, ready, ledger))
    reporter.say("stopped; all requests were answered")


async def _serve(
    run: Run,
    listener: socket.socket,
    host: str,
    token: str,
    limits: Limits,
    reporter: Reporter,
    ready: Callable[[str], None],
    ledger: Path | None,
) -> None:
    from engage_cli.steps.serve._api import make_app
    from engage_cli.steps.serve._connections import BACKLOG, make_server
    from engage_cli.steps.serve._process import ModelProcess

    model = ModelProcess(run.folder, limits, reporter.say, ledger)
    with reporter.stage("loading the model", 1) as stage:
        await model.start()
        stage.advance()
    logging.getLogger("python_multipart").setLevel(
        logging.ERROR
    )  # it would report every malformed header; the client hears of it
    server = make_server(make_app(model, limits, host=host, token=token), limits)
    # uvicorn hands a signal on to whoever had it before, once all is answered: here that is nobody.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    listener.listen(BACKLOG)  # who connects from now on is served in a moment, not refused
    ready(_address(listener, host, token))
    await server.serve(sockets=[listener])


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        (family, kind, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise WrongCallError(
            f"--host {host}: this machine has no such address; give 127.0.0.1, or 0.0.0.0 for all"
        ) from None
    listener = socket.socket(family, kind)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise EngageError(
                f"port {port} of {host}: cannot listen ({error.strerror}); choose another with --port"
            ) from None
        yield listener


def _address(listener: socket.socket, host: str, token: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/" + (f"?token={token}" if token else "")
