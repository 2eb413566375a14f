"""Where `predict --table` writes: the output, the file of its problems, the parts of an unfinished call, and the lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.files import sweep_dead
from engage_cli.io.own_folders import refuse_link
from engage_cli.steps.predict._files import check_suffix

PROBLEM_COLUMNS = ("row", "id", "problem")


def check_places(table: Path, out: Path) -> None:
    """Raise WrongCallError where what is written would be no table, or would take the place of something else."""
    check_suffix(out)
    problems = problems_of(out)
    for path in (out, problems, parts_of(out), _lock_of(out)):
        refuse_link(path)
    if any(path.exists() and table.exists() and path.samefile(table) for path in (out, problems)):
        raise WrongCallError(f"--out {out} is the table itself and would be overwritten; name another file")
    if problems.exists() and not _is_ours(problems):
        raise WrongCallError(f"{problems}, where problems are written, is another file; name another --out")


def problems_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.problems.csv")


def parts_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")


def _lock_of(out: Path) -> Path:
    return out.with_name(f".{out.name}.lock")


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(64).strip() == ",".join(PROBLEM_COLUMNS).encode()


@contextlib.contextmanager
def lock_output(out: Path) -> Iterator[None]:
    """Hold the output's lock; the system frees it when a process dies, however it dies."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = _lock_of(out)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EngageError(f"another process is writing {out}; wait for it, or name another --out") from None
    try:
        sweep_dead(out.parent, out.name, problems_of(out).name)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: after, it may be another call's
        lock.release()
