"""What a run is called before others: its path on this machine is nobody's business."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import PurePath


def last_name(name: str) -> str:
    """Return a name as it is; of a path that is more than a name, its last part."""
    is_path = os.path.isabs(name) or name.startswith(("./", "../", "~")) or re.match(r"[A-Za-z]:[\\/]", name)
    return PurePath(name.replace("\\", "/")).name or name if is_path else name


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return name -> its last name; those that would then be called the same have a number too."""
    short: dict[str, str] = {}
    for name in dict.fromkeys(names):
        first = last_name(name)
        number = 1 + sum(last_name(other) == first for other in short)
        short[name] = first if number == 1 else f"{first} ({number})"
    return short


def tail_names(names: Sequence[str]) -> dict[str, str]:
    """Return path -> its last folder, with as many of those above it as tell it from the others: for a narrow column."""
    parts = {name: PurePath(name.replace("\\", "/")).parts for name in dict.fromkeys(names)}
    short: dict[str, str] = {}
    for name, own in parts.items():
        others = [other for key, other in parts.items() if key != name]
        lengths = range(1, len(own) + 1)
        length = next((num for num in lengths if all(own[-num:] != other[-num:] for other in others)), len(own))
        short[name] = "/".join(own[-length:]) or name
    return short
