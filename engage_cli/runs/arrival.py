"""How a finished run comes into a folder from elsewhere: built in a hidden place, and given its name when it is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.io.files import remove_tree, sweep_dead
from engage_cli.io.own_folders import refuse_link
from engage_cli.io.records import hash_files
from engage_cli.runs.lifecycle import copy_run
from engage_cli.runs.records import RunMetrics, write_run_record
from engage_cli.runs.run_folder import MARKER, MEMBERS, METRICS_KIND, Run


@contextlib.contextmanager
def arriving(folder: Path, *, option: str) -> Iterator[Path]:
    """Yield a place to build a run in; rename it to `folder` when the block ends well, remove it otherwise.

    What a killed call leaves is a hidden folder that no command takes for a run, and the next call removes it. Raise
    EngageError where `folder` is taken; `option` names another one.
    """
    refuse_link(folder)
    if folder.exists():
        raise EngageError(f"{folder} already exists; name a new folder with {option}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_dead(folder.parent, folder.name)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    remove_tree(beside)
    place = beside / "run"  # one level deeper than runs are looked for
    place.mkdir(parents=True)
    try:
        yield place
        if folder.exists():
            raise EngageError(f"{folder} was made in the meantime; name a new folder with {option}")
        place.rename(folder)
    finally:
        remove_tree(beside)


def copy_unmarked(run: Run, place: Path) -> None:
    """Copy all that a finished run needs to predict, each file verified, but for its marker."""
    for name in run.done.files:
        if "/" not in name:  # a member's marker is copied with its member
            shutil.copyfile(run.open(name), place / name)
    if run.meta.is_ensemble:
        for member in run.members:
            copy_run(member, place / MEMBERS / member.folder.name)


def mark(place: Path, done: RunMetrics) -> None:
    """Write the marker of a run that was built elsewhere, with the hashes that its files have now."""
    write_run_record(place / MARKER, dataclasses.replace(done, files=hash_files(place, done.files)), METRICS_KIND)
