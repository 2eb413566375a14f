"""Processes that have torch loaded when they begin: forked, so that a test may kill one without waiting for imports.

They come from a child of the test process that does nothing else. It is forked once the tests are collected, before any
of them has started a thread or computed anything. Beside each process stands one that waits for its end.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

NUMBER = struct.Struct("i")
HIGHEST_FD = 4096
_MESSAGE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class _Job:
    function: str  # module:name
    arguments: list[str]
    cwd: str
    environment: dict[str, str] = field(default_factory=dict)


class Forked:
    """A process that calls `function(*arguments)`; it is used as one of `subprocess.Popen`."""

    def __init__(
        self,
        function: Callable[..., object],
        *arguments: object,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        streams: Sequence[int | None] = (None, None, None),
    ) -> None:
        """Of `streams`, its stdin, stdout and stderr, None is /dev/null."""
        job = _Job(
            function=f"{function.__module__}:{function.__qualname__}",
            arguments=[str(argument) for argument in arguments],
            cwd=str(cwd or Path.cwd()),
            environment=environment or {},
        )
        self._status, status = os.pipe()
        with open(os.devnull, "r+b") as null:
            given = [null.fileno() if stream is None else stream for stream in streams]
            socket.send_fds(_parent(), [json.dumps(asdict(job)).encode()], [*given, status])
        os.close(status)
        self.returncode: int | None = None
        self.pid = self._read_number()

    def _read_number(self) -> int:
        read = os.read(self._status, NUMBER.size)
        assert len(read) == NUMBER.size, "the process that forks others is gone"
        return int(NUMBER.unpack(read)[0])

    def poll(self) -> int | None:
        """Return how it ended, as of `subprocess.Popen`: by a signal is negative; None of one that runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = self._read_number()
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float = 120.0) -> int:
        if self.returncode is None:
            select.select([self._status], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a process printed until it ended."""

    returncode: int
    stdout: str
    stderr: str


def run(function: Callable[..., object], *arguments: object, **more: Any) -> Done:
    """Let a process do it to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = Forked(function, *arguments, streams=(None, out.fileno(), err.fileno()), **more)
        code = child.wait()
        out.seek(0)
        err.seek(0)
        return Done(returncode=code, stdout=out.read().decode(), stderr=err.read().decode(errors="replace"))


def command(*arguments: str) -> None:
    """What a process calls that is to be `engage`."""
    from engage_cli.main import app

    app(list(arguments))


def ranks(function: Callable[..., object], *arguments: object) -> Done:
    """Let two ranks of torchrun do it; they are forked by its agent, where the command would start them anew."""
    name = f"{function.__module__}:{function.__qualname__}"
    return run(_launch, name, *arguments)


def _launch(name: str, *arguments: str) -> None:
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    module, _, function = name.partition(":")
    entry = getattr(importlib.import_module(module), function)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="tests",
        max_restarts=0,
        monitor_interval=0.05,
        start_method="fork",
    )
    elastic_launch(config, entry)(*arguments)


# The process that forks


_socket: socket.socket | None = None


def start() -> None:
    """Fork the process that forks others: once, before there are threads."""
    global _socket
    if _socket is None and hasattr(os, "fork"):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            with _left_at_the_end():
                _serve(theirs.fileno())
        theirs.close()
        _socket = ours


def _parent() -> socket.socket:
    assert _socket is not None, "tests/conftest.py starts it"
    return _socket


@contextlib.contextmanager
def _left_at_the_end() -> Any:
    """Whatever happens, a forked process does not go on as the one that it was forked from."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(70)


def _serve(asked: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the test process, with which this one ends
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    for number in range(3, HIGHEST_FD):
        if number != asked:
            with contextlib.suppress(OSError):
                os.close(number)
    is_warm = False
    with socket.socket(fileno=asked) as questions:
        while True:
            message, fds, *_ = socket.recv_fds(questions, _MESSAGE, 4)
            if not message:
                os._exit(0)
            if not is_warm:
                _warm()
                is_warm = True
            if os.fork() == 0:
                with _left_at_the_end():
                    _keep(_Job(**json.loads(message)), fds)
            for fd in fds:
                os.close(fd)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:  # those that ended meanwhile
                    pass


def _warm() -> None:
    from tests.warm import import_all

    import_all()
    gc.collect()
    gc.freeze()  # else a collection writes to all memory that is shared


def _keep(job: _Job, fds: list[int]) -> NoReturn:
    """Fork the process, and say how it ends."""
    *streams, status = fds
    pid = os.fork()
    if pid == 0:
        with _left_at_the_end():
            _do(job, streams)
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):
        os.write(status, NUMBER.pack(pid))
        _, ended = os.waitpid(pid, 0)
        os.write(status, NUMBER.pack(os.waitstatus_to_exitcode(ended)))
    os._exit(0)


def _do(job: _Job, streams: list[int]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, HIGHEST_FD)
    os.chdir(job.cwd)
    os.environ.update(job.environment)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    module, _, name = job.function.partition(":")
    code = 0
    try:
        getattr(importlib.import_module(module), name)(*job.arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
