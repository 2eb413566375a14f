"""The process that imports everything once, and runs each command in a forked child that is killed or fails where asked.

It reads one JSON job a line from stdin, {"arguments", "cwd", "folder", "at", "fault", "sticky", "log"}, and answers with a
line: how the child ended, what it printed, how many operations it did, and which of them failed.
"""

from __future__ import annotations

import atexit
import ctypes
import datetime
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import Any, BinaryIO

import torch
from matplotlib.figure import Figure

from engage_cli import main
from engage_cli.data import repeated_folds
from engage_cli.models.boosting import fit as boosting
from engage_cli.models.gaussian_process import process as gaussian_process
from engage_cli.runs import lifecycle
from engage_cli.steps.embed import _shards as embed_shards
from engage_cli.steps.predict import table as predict_table
from tests import warm

MOST_SECONDS = 60
# Of a server: no command that writes needs it.
NOT_IMPORTED = (*warm.NOT_IMPORTED, "engage_cli.steps.serve")


class Stopped(datetime.datetime):
    """A clock that stands still: two runs of a command are to write the same."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=tz)


def draw_nothing(figure: Figure, place: Any, **how: Any) -> None:
    """Rendering takes longer than all else, and what is drawn matters to no fault."""
    place.write(b"a drawing")


def make_small() -> None:
    """Several shards and parts of few posts, and a snapshot for every tree."""
    embed_shards.SHARD_SIZE.update(vision=16, text=32)
    predict_table.PART_ROWS = 8
    boosting.SECONDS_BETWEEN_SNAPSHOTS = 0
    gaussian_process.NUM_STEPS = 5
    repeated_folds.NUM_FOLDS = repeated_folds.FOLDS_OF_VERY_FEW = 2
    Figure.savefig = draw_nothing  # type: ignore[method-assign]
    clock = types.SimpleNamespace(datetime=Stopped, timezone=datetime.timezone)
    lifecycle.datetime = clock  # type: ignore[assignment]


def run_command(arguments: list[str]) -> int:
    try:
        main.app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    return 1


def child(job: dict[str, Any], faults: ctypes.CDLL, out: int, err: int, modules: int, ask: int, go: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.chdir(job["cwd"])
    known = set(sys.modules)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600) if job["log"] else -1
    faults.faults_arm(job["folder"].encode(), job["at"], job["fault"], job["sticky"], log)
    if job["states"]:
        faults.faults_ask(ask, go)
    code = run_command(job["arguments"])
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if job["log"]:
        os.write(modules, "\n".join(sorted(set(sys.modules) - known)).encode())
    os._exit(code)


def keep_states(folder: Path, states: Path, asked: int, goes: int) -> None:
    """Before each operation of the child, which waits meanwhile, copy what a kill would leave, where it is new."""
    known: set[frozenset[tuple[str, int, int]]] = set()
    number = 0
    while os.read(asked, 1):
        number += 1
        looks = frozenset(look(path) for path in folder.rglob("*"))
        if looks not in known:
            known.add(looks)
            shutil.copytree(folder, states / f"{number:05d}", symlinks=True)
        os.write(goes, b"0")


def look(path: Path) -> tuple[str, int, int]:
    """How a file looks from outside; of one that is being written its name alone."""
    found = path.lstat()
    is_half = ".tmp" in str(path)
    return (str(path), -1, -1) if is_half or path.is_dir() else (str(path), found.st_size, found.st_mtime_ns)


def in_memory() -> BinaryIO:
    return os.fdopen(os.memfd_create("engage"), "w+b")


def read(fd: int) -> str:
    return os.pread(fd, 1 << 20, 0).decode(errors="replace")


def answer(job: dict[str, Any], faults: ctypes.CDLL) -> dict[str, Any]:
    with in_memory() as out, in_memory() as err, in_memory() as modules:
        asked, ask = os.pipe()
        go, goes = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                child(job, faults, out.fileno(), err.fileno(), modules.fileno(), ask, go)
            finally:
                os._exit(70)
        os.close(ask)
        if job["states"]:
            keep_states(Path(job["folder"]), Path(job["states"]), asked, goes)
        for fd in (asked, go, goes):
            os.close(fd)
        deadline = time.monotonic() + MOST_SECONDS
        while not (ended := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        os.waitpid(pid, 0)
        for name in read(modules.fileno()).split():  # so that no later child imports it again
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        return {
            "code": ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status,
            "count": faults.faults_count(),
            "hit": faults.faults_hit().decode(errors="replace"),
            "stdout": read(out.fileno()),
            "stderr": read(err.fileno()),
        }


def serve() -> None:
    faults = ctypes.CDLL(None)
    faults.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    faults.faults_count.restype = ctypes.c_long
    faults.faults_hit.restype = ctypes.c_char_p
    torch.set_num_threads(1)
    warm.import_all(but=NOT_IMPORTED)
    make_small()
    gc.collect()
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), faults)), file=answers, flush=True)


if __name__ == "__main__":
    serve()
