"""Commands that are killed, or meet an error of the file system, at one of their changes of files."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("faults.c")
KILL, COUNT = -1, 0
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.ESTALE)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (of a signal, negative), and what it did until then."""

    code: int
    count: int  # of its changes of files
    hit: str  # the one that failed; "" where none did
    stdout: str
    stderr: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


def build(folder: Path) -> Path:
    """Compile the library that is preloaded."""
    library = folder / "faults.so"
    compiler = shutil.which("cc")
    assert compiler is not None
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class Commands:
    """Runs commands below `root`, where they alone write; the process that forks for them starts with the first."""

    def __init__(self, root: Path, library: Path) -> None:
        self.root, self.library = root, library
        self._driver: subprocess.Popen[str] | None = None

    def run(
        self,
        *arguments: object,
        at: int = 0,
        fault: int = COUNT,
        sticky: bool = False,
        log: Path | None = None,
        states: Path | None = None,
    ) -> Ended:
        """Run one command in root/cwd; operation `at` (from 1) fails, of `sticky` faults all after it too.

        `log` is told of every operation; `states` gets a copy of root before each that differs from all copies before.
        """
        (self.root / "cwd").mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").mkdir(exist_ok=True)
        job: dict[str, Any] = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(self.root / "cwd"),
            "folder": str(self.root),
            "at": at,
            "fault": fault,
            "sticky": int(sticky),
            "log": None if log is None else str(log),
            "states": None if states is None else str(states),
        }
        driver = self._start()
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(job) + "\n")
        driver.stdin.flush()
        line = driver.stdout.readline()
        assert line, f"the driver ended with {driver.poll()}"
        return Ended(**json.loads(line))

    def _start(self) -> subprocess.Popen[str]:
        if self._driver is None:
            environment = {
                **os.environ,
                "LD_PRELOAD": str(self.library),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
                "HF_HUB_OFFLINE": "1",
                "MPLBACKEND": "agg",
                "TMPDIR": str(self.root / "tmp"),
                "PYTHONHASHSEED": "0",
            }
            self._driver = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=SOURCE.parent.parent.parent,
            )
        return self._driver

    def close(self) -> None:
        if self._driver is not None:
            assert self._driver.stdin is not None
            self._driver.stdin.close()
            self._driver.wait(30)
            self._driver = None
