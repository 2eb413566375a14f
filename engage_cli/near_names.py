""" "Did you mean": the names that are there and look like one that is not, for a message about a path or a column."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

LEAST_LIKE = 0.6  # of 1, which is the same name
MOST_NAMED = 2
MOST_READ = 10_000  # entries of a folder that are looked at


def did_you_mean(name: str, there: Iterable[str]) -> str:
    """Return "; did you mean 'views'?", or "" where no name is like it. Case does not count."""
    return _ask(_alike(name, there))


def did_you_mean_path(path: Path, *, folder: bool = False) -> str:
    """Return the same for a path that does not exist: like names in the folder where its first missing part should be.

    With `folder` only folders are named.
    """
    missing = path
    while not os.path.lexists(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            there = sorted(entry.name for entry in islice(entries, MOST_READ))
    except OSError:  # it cannot be read, or is a file: there is nothing to name
        return ""
    places = [missing.parent / name / path.relative_to(missing) for name in _alike(missing.name, there)]
    return _ask([str(place) for place in places if (os.path.isdir if folder else os.path.exists)(place)])


def _alike(name: str, there: Iterable[str]) -> list[str]:
    """Return the names that are most like `name`, the likest first."""
    originals: dict[str, str] = {}
    for one in there:
        originals.setdefault(one.casefold(), one)
    found = difflib.get_close_matches(name.casefold(), originals, n=MOST_NAMED, cutoff=LEAST_LIKE)
    return [originals[one] for one in found]


def _ask(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"; did you mean {' or '.join(quoted)}?" if names else ""
