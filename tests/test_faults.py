"""Kills and errors of the file system at changes of files: the same command, given again, continues to the same result.

Here a few of each; with ENGAGE_FAULTS=all, every operation of every command with the kill and with each error.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engage_cli.errors import EngageError
from engage_cli.io.files import atomic_write, atomic_write_by_library, sweep, sweep_dead
from engage_cli.runtime.worker_processes import map_on_all_cores
from tests.calls import engage
from tests.faults.dying import kill_itself
from tests.faults.harness import ERRORS, KILL
from tests.faults.scenarios import SCENARIOS, World
from tests.faults.sweep import make_world

ALL = os.environ.get("ENGAGE_FAULTS") == "all"
FORKS = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="a library is compiled with cc, and preloaded on Linux"
)


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(tmp_path_factory.mktemp("faults").resolve())
    yield world
    world.commands.close()


# What a killed command must go on from, and where errors are met: by the end of the file's name.
KILLED_IN = [
    ("sample", "open", ".engage-sample.json"),
    ("prepare", "open", ".engage"),
    ("prepare", "rename", "posts.parquet"),
    ("train-gp", "rename", "calibration.json"),
]
REFUSED_IN = [
    ("prepare", "write", "posts.parquet", errno.ENOSPC),
    ("embed", "write", "shard-00000.safetensors", errno.EIO),
    ("train-gp", "write", "process.safetensors", errno.ENOSPC),
    ("train-gp", "open", "neighbours.safetensors", errno.EROFS),
    ("train-gp", "mkdir", "process.safetensors", errno.EACCES),
]


@FORKS
@pytest.mark.parametrize(("name", "operation", "file"), KILLED_IN)
def test_killed_and_given_again(faults: World, name: str, operation: str, file: str) -> None:
    at = faults.number_of(name, operation, file)
    assert list(faults.disturb(name, at, KILL)) == []


@FORKS
@pytest.mark.parametrize(("name", "operation", "file", "error"), REFUSED_IN)
def test_refused_is_a_sentence_and_given_again(faults: World, name: str, operation: str, file: str, error: int) -> None:
    at = faults.number_of(name, operation, file)
    assert list(faults.disturb(name, at, error, sticky=error == errno.ENOSPC)) == []


@FORKS
@pytest.mark.skipif(not ALL, reason="hours: ENGAGE_FAULTS=all")
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_operation(faults: World, name: str) -> None:
    wrong = [what for state in faults.states_of(name) for what in faults.go_on(name, state)]
    for at in range(1, faults.counts[name] + 1):
        for place, fault in enumerate((KILL, *ERRORS)):
            wrong += faults.disturb(name, at, fault, sticky=(at + place) % 2 == 1)
    assert wrong == []


def test_half_written_files_of_all_writers_are_swept_and_others_are_not(tmp_path: Path) -> None:
    for name in (".model.cbm.123.tmp", ".tmpZwxHW5"):
        (tmp_path / name).touch()
    (tmp_path / ".shard-00001.safetensors.77.tmp").mkdir()
    (tmp_path / ".shard-00001.safetensors.77.tmp" / ".tmpa0B1c2").touch()
    kept = ["mine.tmp", ".hidden.tmp", "model.cbm", ".tmp", ".tmp-notes"]
    for name in kept:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_where_no_lock_is_held_only_files_of_dead_writers_are_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".report.html.{ended.pid}.tmp").touch()
    alive = tmp_path / f".report.html.{os.getppid()}.tmp"
    alive.touch()
    another = tmp_path / f".page.html.{ended.pid}.tmp"
    another.touch()
    sweep_dead(tmp_path, "report.html")
    assert sorted(tmp_path.iterdir()) == sorted([alive, another])


@pytest.mark.parametrize("write", [atomic_write, atomic_write_by_library])
def test_what_fails_leaves_the_old_file_and_nothing_beside_it(write, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left") as caught, write(path) as beside:  # noqa: PT012
        beside.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"file": "old"}
    with write(path) as beside:
        beside.write_text("new")
        beside.chmod(0o600)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"file": "new"}


def test_arrays_that_cannot_be_written_are_an_error_of_the_system(tmp_path: Path) -> None:
    from engage_cli.io.array_writing import refused, save_arrays

    save_arrays(tmp_path / "x.safetensors", {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3))})
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]
    assert oct((tmp_path / "x.safetensors").stat().st_mode & 0o666) == oct(_mode_of_new(tmp_path / "other"))
    said = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert refused(Exception(said), tmp_path).errno == errno.ENOSPC
    assert refused(Exception("(Error 28: No space left on device) write failed"), tmp_path).errno == errno.ENOSPC
    assert refused(Exception("something else"), tmp_path).errno == errno.EIO


def _mode_of_new(path: Path) -> int:
    path.touch()
    return path.stat().st_mode & 0o666


def test_a_worker_that_is_killed_is_a_sentence() -> None:
    with pytest.raises(EngageError, match="a process died, most likely because memory ran out, while images were checked"):
        list(map_on_all_cores(kill_itself, [0, 1, 2, 3], what="images were checked"))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from engage_cli.runtime.worker_processes import worker_processes
        with worker_processes(1) as processes:
            print(processes.submit(os.getpid).result(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, timeout=60)
    worker = Path("/proc") / done.stdout.strip()
    deadline = time.monotonic() + 20
    while worker.exists() and "(zombie)" not in (worker / "status").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker.exists() or "(zombie)" in (worker / "status").read_text()


def test_a_deleted_working_folder_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    result = engage("doctor")
    assert result.exit_code == 1
    assert result.stderr == "engage: the working folder was deleted: change into another one, and give the command again\n"


def test_the_same_boosting_gives_the_same_bytes(tmp_path: Path) -> None:
    import pandas as pd

    from engage_cli.config.training import CatBoostConfig
    from engage_cli.models.boosting.fit import Rows, boost, save_model
    from engage_cli.progress.reporters import SilentReporter

    numbers = np.random.default_rng(0).normal(size=(40, 2))
    rows = Rows(table=pd.DataFrame(numbers, columns=["a", "b"]), truth=numbers[:, 0])
    written = []
    for _ in range(2):
        with SilentReporter().stage("", 3) as stage:
            config = CatBoostConfig(kind="value", iterations=3)
            model = boost(config, rows, rows, [], work=tmp_path / "work", stage=stage)
        names = {path.name for path in (tmp_path / "work").rglob("*") if path.is_file() and not path.is_symlink()}
        assert names <= {"rows.txt", "snapshot", "snapshot.bak"}  # no log, whose failing would end the process
        shutil.rmtree(tmp_path / "work")
        save_model(model, tmp_path / "model.cbm")
        written.append((tmp_path / "model.cbm").read_bytes())
    assert written[0] == written[1]
