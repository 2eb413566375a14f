"""Folders of runs below the working folder, to be named where the one that was looked in has none."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

DEEPEST = 2  # levels below the working folder at which a folder of runs is looked for
MOST_FOLDERS = 2_000  # that are looked into


def suggest_runs(marker: str, without: str) -> str:
    """Return "add --runs FOLDER, which has ..." for that with the newest finished run, or "" where there is none.

    A finished run has the file `marker`; folders called `without` hold no runs that are used by themselves.
    """
    found: dict[str, list[int]] = {}
    for place in _folders(Path(), DEEPEST, [MOST_FOLDERS]):
        times = [] if place.name == without else _times_of_runs(place, marker)
        if times:
            found[str(place)] = times
    if not found:
        return ""
    newest = max(found, key=lambda place: max(found[place]))
    count = len(found[newest])
    return f"add --runs {shlex.quote(newest)}, which has {count:,} finished run{'' if count == 1 else 's'}"


def _folders(place: Path, depth: int, left: list[int]) -> Iterator[Path]:
    """Yield the folders up to `depth` levels below one, until `left` are used up; no link and no hidden one."""
    for inner in _inside(place):
        if left[0] <= 0:
            return
        left[0] -= 1
        yield inner
        if depth > 1:
            yield from _folders(inner, depth - 1, left)


def _inside(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(
                place / entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            )
    except OSError:  # nobody asked for this folder: what cannot be read holds nothing to name
        return []


def _times_of_runs(place: Path, marker: str) -> list[int]:
    return [(one / marker).lstat().st_mtime_ns for one in _inside(place)[:MOST_FOLDERS] if (one / marker).is_file()]
