"""Run folders: run.json written first, metrics.json last; only a folder that has both is a finished run."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engage_cli import __version__
from engage_cli.core.atomic import read_json, write_json
from engage_cli.core.errors import EngageError
from engage_cli.core.targets import Target

FIRST, TARGET_FILE, MARKER = "run.json", "target.json", "metrics.json"
PACKAGES = ("torch", "transformers", "catboost", "scikit-learn", "numpy", "pandas", "pillow")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    meta: dict[str, Any]
    target: Target
    metrics: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.meta["kind"])

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes its figures incomparable with honest ones."""
        return tuple(self.meta.get("marks", ()))

    @property
    def leaky(self) -> bool:
        return bool(self.meta["leaky"])


def load_run(folder: Path) -> Run:
    """Open a finished run; raise EngageError for anything else."""
    if not (folder / FIRST).is_file():
        raise EngageError(f"{folder} is no run folder: it has no {FIRST}")
    meta = _read(folder / FIRST)
    if "command" not in meta:
        raise EngageError(f"{folder / FIRST} is damaged; train again")
    if not (folder / MARKER).is_file():
        raise EngageError(
            f"the run {folder} did not finish; give its `engage {meta['command']}` command again, and it goes on"
        )
    try:
        target = Target.from_json(_read(folder / TARGET_FILE))
    except (LookupError, TypeError, AttributeError):
        raise EngageError(f"{folder / TARGET_FILE} is damaged; train again") from None
    return Run(folder, meta, target, _read(folder / MARKER))


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, ValueError, AssertionError, RecursionError):
        raise EngageError(f"{path} is damaged or gone; train again") from None


def newest_run(runs_dir: Path) -> Run:
    """Return the run under `runs_dir` that finished last."""
    markers = sorted(runs_dir.glob(f"*/{MARKER}"), key=lambda path: path.stat().st_mtime_ns)
    if not markers:
        unfinished = len(list(runs_dir.glob(f"*/{FIRST}")))
        there = f"{unfinished} unfinished" if unfinished else "none"
        raise EngageError(f"no finished run under {runs_dir} ({there}); `engage train` makes one")
    return load_run(markers[-1].parent)


@contextlib.contextmanager
def open_run(
    folder: Path | None, runs_dir: Path, *, command: str, meta: Mapping[str, Any], target: Target
) -> Iterator[tuple[Path, bool]]:
    """Yield (run folder, whether it goes on an unfinished one), held by a lock until the block ends.

    Equal settings on equal data go on in the unfinished run that has them; a named folder is taken as it is named.
    """
    same = {"command": command, **meta}
    if folder is None:
        for first in sorted(runs_dir.glob(f"*/{FIRST}"), reverse=True):
            if not (first.parent / MARKER).exists() and _is_same(read_json(first), same):
                with _lock(first.parent) as free:
                    if free:
                        yield first.parent, True
                        return
    with contextlib.ExitStack() as stack:
        if folder is None:  # of several that start in one second each takes a name of its own
            names = _new_names(runs_dir, f"{command.split('-')[-1]}-{target.name}")
            folder = next(name for name in names if stack.enter_context(_lock(name)))
        elif not stack.enter_context(_lock(folder)):
            raise EngageError(f"another process is training in {folder}; name another with --run")
        goes_on = False
        if folder.exists() and any(folder.iterdir()):
            if not (folder / FIRST).is_file():
                raise EngageError(f"{folder} holds other files; name a new folder with --run")
            if (folder / MARKER).exists():
                raise EngageError(f"{folder} is a finished run; name a new folder with --run")
            goes_on = _is_same(read_json(folder / FIRST), same)
            if not goes_on:
                raise EngageError(
                    f"{folder} is an unfinished run with other settings or data; remove it, or name a new folder with --run"
                )
        if not goes_on:
            write_json(folder / FIRST, {"engage": __version__, **same, "started": _now(), "versions": versions()})
            write_json(folder / TARGET_FILE, target.to_json())
        try:
            yield folder, goes_on
        except EngageError:
            if not goes_on and {entry.name for entry in folder.iterdir()} == {FIRST, TARGET_FILE}:
                shutil.rmtree(folder)  # it was refused before anything was done
            raise


def finish_run(folder: Path, metrics: Mapping[str, Any]) -> Run:
    """Write the marker, last."""
    write_json(folder / MARKER, {**metrics, "finished": _now()})
    return load_run(folder)


def clear_stage(folder: Path) -> None:
    """Empty an unfinished run of all but its first two files: its command starts anew."""
    for entry in folder.iterdir():
        if entry.name in (FIRST, TARGET_FILE):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _is_same(first: Mapping[str, Any], same: Mapping[str, Any]) -> bool:
    return first.get("engage") == __version__ and all(first.get(key) == value for key, value in same.items())


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold the run's lock; the system frees it when a process dies, however it dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _new_names(runs_dir: Path, stem: str) -> Iterator[Path]:
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    for number in itertools.count(1):
        folder = runs_dir / (f"{stem}-{stamp}" if number == 1 else f"{stem}-{stamp}-{number}")
        if not folder.exists():
            yield folder


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
