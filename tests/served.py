"""A server under test: in a thread of this process, or `engage serve` in a process of its own, true or forked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from asyncio.streams import FlowControlMixin
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.predict.requests import reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.serve import worker
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.serve._api import make_app
from engage_cli.steps.serve._connections import make_server
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.serve._process import ModelProcess
from tests import forked

FORKED_MODEL = "a forked model process: "


@cache
def client() -> httpx.Client:
    """Each question has a connection of its own; certificates, which take longest to load, are for none."""
    return httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0), timeout=120)


@dataclass
class Server:
    url: str  # without a slash at its end
    process: subprocess.Popen[str] | forked.Forked | None = None  # None in this process
    said: list[str] = field(default_factory=list)  # lines of stderr

    def get(self, path: str, **more: Any) -> httpx.Response:
        return client().get(self.url + path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return client().post(self.url + path, **more)

    def ask(self, path: str, images: Any, titles: Any = (), **fields: Any) -> httpx.Response:
        """`images` are (name, bytes); a field that is a list is sent several times."""
        files = [("images", (name, data, "application/octet-stream")) for name, data in images]
        texts = [("titles", (None, title)) for title in titles] if not files else []  # a form of parts even without a file
        data = fields if texts else {"titles": list(titles), **fields}
        return self.post(path, files=files or texts, data=data)

    def model(self) -> int:
        """The number of the model process."""
        if isinstance(self.process, forked.Forked):
            return int(next(line for line in self.said if line.startswith(FORKED_MODEL)).removeprefix(FORKED_MODEL))
        assert self.process is not None
        return int(subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout)


@contextlib.contextmanager
def serving(run: Path, *, is_forked: bool = False) -> Iterator[Server]:
    """Serve from another process; one that is forked loads nothing, and neither does its model process."""
    (answered, answers), (told, tells) = os.pipe(), os.pipe()
    process: subprocess.Popen[str] | forked.Forked
    if is_forked:
        process = forked.Forked(serve_with_forked_model, run, streams=(None, answers, tells))
    else:
        command = [sys.executable, "-m", "engage_cli", "serve", "--run", str(run), "--port", "0"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=answers, stderr=tells, text=True, env=environment)
    os.close(answers)
    os.close(tells)
    said: list[str] = []
    with open(answered) as stdout, open(told) as stderr:
        listener = threading.Thread(target=lambda: said.extend(iter(stderr.readline, "")), daemon=True)
        listener.start()
        try:
            address = stdout.readline().strip()
            assert address.startswith("http://"), "".join(said)
            yield Server(address.partition("/?")[0].rstrip("/"), process, said)
            assert stdout.read() == ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
            listener.join(timeout=5)


def serve_with_forked_model(run: str) -> None:
    forked.start()  # this process has no threads yet, and all that a model process loads

    async def fork(*command: str, **more: Any) -> ForkedModel:
        found = await fork_model(*command, **more)
        print(f"{FORKED_MODEL}{found.pid}", file=sys.stderr)
        return found

    asyncio.create_subprocess_exec = fork  # type: ignore[assignment]
    forked.command("serve", "--run", run, "--port", "0")


class ForkedModel:
    """A model process that is forked, used as what `asyncio.create_subprocess_exec` returns."""

    def __init__(self, process: forked.Forked, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader) -> None:
        self.process, self.stdin, self.stdout, self.pid = process, stdin, stdout, process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    async def wait(self) -> int:
        while (code := self.process.poll()) is None:
            await asyncio.sleep(0.01)
        return code

    async def communicate(self) -> None:
        await self.stdout.read()
        await self.wait()

    def kill(self) -> None:
        self.process.kill()


async def fork_model(python: str, option: str, module: str, *arguments: str, **more: Any) -> ForkedModel:
    """Stand for `asyncio.create_subprocess_exec` as the server calls it."""
    assert (option, module) == ("-m", worker.__name__)
    (asked, asks), (answered, answers) = os.pipe(), os.pipe()
    process = forked.Forked(answer_jobs, *arguments, streams=(asked, answers, 2))
    os.close(asked)
    os.close(answers)
    loop, stdout = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(answered, "rb"))
    transport, protocol = await loop.connect_write_pipe(FlowControlMixin, os.fdopen(asks, "wb"))
    return ForkedModel(process, asyncio.StreamWriter(transport, protocol, None, loop), stdout)


def answer_jobs(*arguments: str) -> None:
    sys.argv[1:] = arguments
    worker.main()


class ModelHere(ModelProcess):
    """A model that answers in this process: what it answers is the same, and nothing is loaded twice."""

    def __init__(self, run: Path, limits: Limits, ledger: Path | None = None) -> None:
        super().__init__(run, limits, print, ledger)
        opened = load_run(run)
        self.session, self.reads, self.is_ready = InferenceSession(opened), reads_of(opened), True
        self.about = describe_run(opened, self.session.uncertainty.neighbours)
        self.session.load(SilentReporter())

    async def start(self) -> None:
        pass

    async def ask(self, job: Job) -> tuple[int, bytes]:
        (reply,) = await asyncio.to_thread(worker.answer, self.session, self.reads, [job], self.ledger)
        return reply

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def serving_here(model: ModelProcess, limits: Limits | None = None) -> Iterator[Server]:
    """Serve from a thread of this process, through sockets as in earnest."""
    limits = limits or Limits()
    server = make_server(make_app(model, limits, host="127.0.0.1", token=""), limits)

    async def serve(listener: socket.socket) -> None:
        await model.start()
        await server.serve(sockets=[listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(serve(listener)), daemon=True)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            server.force_exit = True  # a test that failed leaves its question open
            thread.join(timeout=30)
            assert not thread.is_alive()
