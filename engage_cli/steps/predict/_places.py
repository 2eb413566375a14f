"""Where `predict --table` writes: the output, the file of its problems, the parts of an unfinished call, and the lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from engage_cli.errors import WrongCallError
from engage_cli.io.files import sweep_dead
from engage_cli.io.locks import hold_lock
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
    """Hold the output's lock, and remove what killed calls left half-written of it."""
    taken = f"another process is writing {out}; wait for it, or name another --out"
    with hold_lock(_lock_of(out), taken=taken, leave=False):
        sweep_dead(out.parent, out.name, problems_of(out).name)
        yield
