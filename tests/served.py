"""A server under test: `engage serve` in a process of its own, on a free port, or in a thread of this one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.predict.requests import reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.serve._api import make_app
from engage_cli.steps.serve._connections import make_server
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import Limits
from engage_cli.steps.serve._process import ModelProcess
from engage_cli.steps.serve.worker import answer


@dataclass
class Server:
    url: str  # without a slash at its end
    process: subprocess.Popen | None = None  # None in this process
    said: list[str] = field(default_factory=list)  # lines of stderr

    def get(self, path: str, **more) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **more)

    def ask(self, path: str, images, titles=(), **fields) -> httpx.Response:
        """`images` are (name, bytes); a field that is a list is sent several times."""
        files = [("images", (name, data, "application/octet-stream")) for name, data in images]
        texts = [("titles", (None, title)) for title in titles] if not files else []  # a form of parts even without a file
        data = fields if texts else {"titles": list(titles), **fields}
        return httpx.post(self.url + path, files=files or texts, data=data, timeout=120)

    def workers(self) -> list[int]:
        """Process numbers of the model process."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False).stdout
        return [int(line) for line in found.split()]


@contextlib.contextmanager
def serving(run: Path, *options: object) -> Iterator[Server]:
    command = [sys.executable, "-m", "engage_cli", "serve", "--run", str(run), "--port", "0", *map(str, options)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    said: list[str] = []
    listener = threading.Thread(target=lambda: said.extend(iter(process.stderr.readline, "")), daemon=True)
    listener.start()
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), "".join(said)
        yield Server(address.partition("/?")[0].rstrip("/"), process, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
        listener.join(timeout=5)
        process.stdout.close()


class ModelHere(ModelProcess):
    """A model that answers in this process: what it answers is the same, and nothing is loaded twice."""

    def __init__(self, run: Path, limits: Limits) -> None:
        super().__init__(run, limits, print)
        opened = load_run(run)
        self.session, self.reads, self.is_ready = InferenceSession(opened), reads_of(opened), True
        self.about = describe_run(opened, self.session.uncertainty.neighbours)
        self.session.load(SilentReporter())

    async def ask(self, job: Job) -> tuple[int, bytes]:
        (reply,) = await asyncio.to_thread(answer, self.session, self.reads, [job])
        return reply

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def serving_here(model: ModelProcess, limits: Limits | None = None) -> Iterator[Server]:
    """Serve from a thread of this process, through sockets as in earnest."""
    limits = limits or Limits()
    server = make_server(make_app(model, limits, host="127.0.0.1", token=""), limits)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            server.force_exit = True  # a test that failed leaves its question open
            thread.join(timeout=30)
            assert not thread.is_alive()
