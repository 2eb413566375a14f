"""Beginning and finishing a run folder: run.json is written last of its first files, metrics.json last of all."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import os
import platform
import shutil
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.files import half_written_of, remove_tree, sweep
from engage_cli.io.locks import try_lock
from engage_cli.io.own_folders import own_run, refuse_link
from engage_cli.io.records import hash_files
from engage_cli.runs.records import RunMeta, RunMetrics, read_run_record, write_run_record
from engage_cli.runs.run_folder import (
    FIRST,
    MARKER,
    MEMBERS,
    META_KIND,
    METRICS_KIND,
    TARGET_FILE,
    TARGET_KIND,
    TEST_FILE,
    Run,
    load_run,
)

PACKAGES = ("torch", "transformers", "catboost", "scikit-learn", "numpy", "pandas", "pillow")
# Files that may carry answers, by their suffixes, and those among them that carry none.
CARRIERS = (".json", ".safetensors", ".npz", ".cbm", ".parquet")
OF_TRAINING = ("resume.safetensors", "candidate-*.safetensors")  # what only an unfinished run needs
BESIDE = (MARKER, TEST_FILE, "out_of_fold.parquet", *OF_TRAINING, ".*")

Say = Callable[[str], None]


@contextlib.contextmanager
def open_run(
    folder: Path | None, runs_dir: Path, *, meta: RunMeta, target: Target, say: Say
) -> Iterator[tuple[Path, bool]]:
    """Yield (run folder, whether it goes on an unfinished one), held by a lock until the block ends.

    Equal settings on equal data go on in the unfinished run that has them; a named folder is taken as it is named.
    `say` gets a message about unfinished runs that are passed over because they are damaged.
    """
    with contextlib.ExitStack() as stack:
        goes_on = False
        if folder is not None:
            if not stack.enter_context(_lock(folder)):
                raise EngageError(f"another process is training in {folder}; name another with --run")
            goes_on = _look_into(folder, meta)
        elif (found := _find_unfinished(runs_dir, meta, say, stack)) is not None:
            folder, goes_on = found, True
        else:
            stem = f"{meta.command.split('-')[-1]}-{target.name}"
            # Of several that start in one second each takes a name of its own.
            names = itertools.chain(sorted(runs_dir.glob(f"{stem}-*")), _new_names(runs_dir, stem))
            folder = next(
                name for name in names if _is_blank(name) and stack.enter_context(_lock(name)) and _is_blank(name)
            )
        sweep(folder)
        if not goes_on:
            begun = dataclasses.replace(meta, started=_now(), versions=versions())
            write_run_record(folder / TARGET_FILE, target, TARGET_KIND)
            write_run_record(folder / FIRST, begun, META_KIND)  # last: it says that the folder is a run
        for entry in folder.iterdir():
            refuse_link(entry)  # a link in it would lead what is written, or swept, out of the run
        try:
            yield folder, goes_on
        except EngageError:
            if not goes_on and {entry.name for entry in folder.iterdir()} == {FIRST, TARGET_FILE}:
                own_run(folder).remove_folder(folder)  # it was refused before anything was done
            raise


def finish_run(folder: Path, metrics: RunMetrics) -> Run:
    """Write the marker, last, with the hashes of all files that answers depend on."""
    names = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.suffix in CARRIERS
        and not any(fnmatch(entry.name, pattern) for pattern in BESIDE)
        and stat.S_ISREG(entry.lstat().st_mode)
    )
    meta = read_run_record(folder / FIRST, RunMeta, META_KIND)
    names += [f"{MEMBERS}/{name}/{MARKER}" for name in meta.members]
    done = dataclasses.replace(metrics, files=hash_files(folder, names), finished=_now())
    write_run_record(folder / MARKER, done, METRICS_KIND)
    return load_run(folder)


def sweep_training(folder: Path) -> None:
    """Remove from a finished run what a call left that was killed as it ended."""
    own_run(folder).sweep(folder, *OF_TRAINING)


def find_killed_at_its_end(runs_dir: Path, *, meta: RunMeta) -> Path | None:
    """Return the finished run of these settings whose command was killed before it had swept it, and sweep it.

    The command is given again to end it, and not to train another run.
    """
    for marker in sorted(runs_dir.glob(f"*/{MARKER}"), reverse=True):
        folder = marker.parent
        if folder.is_symlink() or not any(next(folder.glob(pattern), None) for pattern in OF_TRAINING):
            continue
        with _lock(folder) as is_ours:  # else that command is at work still
            if is_ours and find_finished(folder, runs_dir, meta=meta) is not None:
                return folder
    return None


def find_finished(folder: Path | None, runs_dir: Path, *, meta: RunMeta) -> Run | None:
    """Return the finished run that was made with these settings: the named folder, or one under `runs_dir`."""
    for marker in [folder / MARKER] if folder is not None else sorted(runs_dir.glob(f"*/{MARKER}"), reverse=True):
        try:
            if marker.is_file() and _is_same(read_run_record(marker.parent / FIRST, RunMeta, META_KIND), meta):
                sweep_training(marker.parent)
                return load_run(marker.parent)
        except EngageError:
            continue  # a damaged run is not the one that is asked for
    return None


def copy_run(run: Run, place: Path) -> None:
    """Copy what a finished run needs to predict, each file verified; the folder appears when all of it is there."""
    if place.is_dir() and not place.is_symlink():
        return
    beside = place.with_name(f".{place.name}.tmp")
    remove_tree(beside)
    beside.mkdir(parents=True)
    for name in (*run.done.files, MARKER):
        shutil.copyfile(run.open(name) if name != MARKER else run.folder / MARKER, beside / name)
    beside.rename(place)


def clear_stage(folder: Path) -> None:
    """Empty an unfinished run of all but its first two files: its command starts anew."""
    own = own_run(folder)
    for entry in folder.iterdir():
        if entry.name in (FIRST, TARGET_FILE):
            continue
        refuse_link(entry)
        if entry.is_dir():
            own.remove_folder(entry)
        else:
            own.remove_file(entry)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _look_into(folder: Path, meta: RunMeta) -> bool:
    """Return whether a named folder holds this run, unfinished; raise EngageError where it holds anything else."""
    if _is_blank(folder):
        return False
    if not os.path.lexists(folder / FIRST):
        raise EngageError(f"{folder} holds other files; name a new folder with --run")
    if os.path.lexists(folder / MARKER):
        sweep_training(folder)
        raise EngageError(f"{folder} is a finished run; name a new folder with --run")
    if not _is_same(read_run_record(folder / FIRST, RunMeta, META_KIND), meta):
        raise EngageError(
            f"{folder} is an unfinished run with other settings or data; remove it, or name a new folder with --run"
        )
    return True


def _find_unfinished(runs_dir: Path, meta: RunMeta, say: Say, stack: contextlib.ExitStack) -> Path | None:
    """Return the newest unfinished run of the same settings that no other process holds, and hold it."""
    for first in sorted(runs_dir.glob(f"*/{FIRST}"), reverse=True):
        if first.parent.is_symlink() or os.path.lexists(first.parent / MARKER):
            continue  # nobody named a link: what it leads to stays as it is
        try:
            found = read_run_record(first, RunMeta, META_KIND)
        except EngageError as error:
            say(f"warning: an unfinished run is ignored: {error}")
            continue
        if _is_same(found, meta) and stack.enter_context(_lock(first.parent)):
            return first.parent
    return None


def _is_same(found: RunMeta, wanted: RunMeta) -> bool:
    return dataclasses.replace(found, started="", versions={}) == wanted


def _is_blank(folder: Path) -> bool:
    """Whether a folder is absent, or holds nothing but what a beginning that was killed left there."""
    if not os.path.lexists(folder):
        return True
    if not folder.is_dir():
        return False
    for entry in folder.iterdir():
        if not stat.S_ISREG(entry.lstat().st_mode):
            return False
        is_ours = half_written_of(entry.name) in (FIRST, TARGET_FILE)
        if not is_ours and not (entry.name == TARGET_FILE and _is_target(entry)):
            return False
    return True


def _is_target(path: Path) -> bool:
    """Whether a file is a target that some run began with, and not somebody else's target.json."""
    try:
        read_run_record(path, Target, TARGET_KIND)
    except EngageError:
        return False
    return True


def _lock(folder: Path) -> contextlib.AbstractContextManager[bool]:
    return try_lock(folder.parent / f".{folder.name}.lock")


def _new_names(runs_dir: Path, stem: str) -> Iterator[Path]:
    stamp = datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    for number in itertools.count(1):
        folder = runs_dir / (f"{stem}-{stamp}" if number == 1 else f"{stem}-{stamp}-{number}")
        if not folder.exists():
            yield folder


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
