"""A server under test: `engage serve` in a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass
class Server:
    url: str  # without a slash at its end
    process: subprocess.Popen
    said: list[str] = field(default_factory=list)  # lines of stderr

    def get(self, path: str, **more) -> httpx.Response:
        return httpx.get(self.url + path, timeout=60, **more)

    def ask(self, path: str, images, titles=(), **fields) -> httpx.Response:
        """`images` are (name, bytes); a field that is a list is sent several times."""
        files = [("images", (name, data, "application/octet-stream")) for name, data in images]
        return httpx.post(self.url + path, files=files, data={"titles": list(titles), **fields}, timeout=120)

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
