"""A command in a process of its own: its wall time, and the most memory that it and its children held at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

EVERY = 0.1  # seconds between two looks at the memory
PAGE = os.sysconf("SC_PAGE_SIZE")


class Measured(NamedTuple):
    seconds: float
    cpu: float  # seconds of all processes, in the system and outside
    peak: float  # GB: resident pages of all processes, those of mapped files too, added up
    status: int
    tail: str  # the last lines of what it said


def run(arguments: Sequence[str], log: Path, *, kill_after: float | None = None) -> Measured:
    """Run a command to its end, or kill it and its children after so many seconds. OMP_NUM_THREADS is the caller's."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        started, peak = time.perf_counter(), 0
        process = subprocess.Popen(arguments, stdout=out, stderr=out, env=environment, start_new_session=True)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, _resident(process.pid))
            if kill_after is not None and time.perf_counter() - started > kill_after:
                os.killpg(process.pid, signal.SIGKILL)
                kill_after = None
            time.sleep(EVERY)
        seconds, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, peak * PAGE / 1e9, process.returncode, log.read_text(errors="replace")[-600:])


def engage(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "engage_cli", *map(str, arguments)]


def run_with_kills(
    arguments: Sequence[str], log: Path, *, seconds: float, times: int, seed: int
) -> tuple[list[float], Measured]:
    """Kill a command that takes so many seconds at random moments of its work, then let it end."""
    moments = sorted(random.Random(seed).uniform(0.05, 0.95) * seconds / times for _ in range(times))
    for moment in moments:
        if run(arguments, log, kill_after=moment).status == 0:
            break
    return moments, run(arguments, log)


def _resident(root: int) -> int:
    """Pages of a process and all below it."""
    total, todo = 0, [root]
    while todo:
        number = todo.pop()
        try:
            total += int(Path(f"/proc/{number}/statm").read_text().split()[1])
            for task in Path(f"/proc/{number}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, IndexError, ValueError):  # it ended while it was looked at
            continue
    return total
