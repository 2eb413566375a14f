"""Posts that lie one by one beside their images: JSON files of download tools, made one table."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engage_cli.data.importers import Import
from engage_cli.data.tables._flatten import Record
from engage_cli.data.tables.reading import raw_of_records
from engage_cli.data.tables.typed import Typed
from engage_cli.errors import EngageError
from engage_cli.images.decode import IMAGE_SUFFIXES

MOST_BYTES = 64 << 20  # of one file's JSON


def read_document(path: Path) -> Record | None:
    """Return a JSON object, packed by xz or not; None where the file holds none."""
    try:
        if path.suffix == ".xz":
            with lzma.open(path) as file:
                data = file.read(MOST_BYTES + 1)
        else:
            data = path.read_bytes()
        found = json.loads(data) if len(data) <= MOST_BYTES else None
    except (ValueError, RecursionError, lzma.LZMAError, EOFError):
        return None
    return found if isinstance(found, dict) else None


def image_beside(names: Mapping[Path, set[str]], folder: Path, *stems: str) -> str:
    """Return the first image of a folder called after one of the stems; "" where there is none."""
    there = names[folder]
    return next((stem + suffix for stem in stems for suffix in IMAGE_SUFFIXES if stem + suffix in there), "")


def names_by_folder(files: Sequence[Path]) -> dict[Path, set[str]]:
    found: dict[Path, set[str]] = {}
    for file in files:
        found.setdefault(file.parent, set()).add(file.name)
    return found


def make_import(
    records: Sequence[Record],
    fields: Mapping[str, str],
    folder: Path,
    *,
    source: str,
    notes: Sequence[str],
    unused: Sequence[str] = (),
) -> Import:
    """Make posts of records under our names. `fields` is our column -> what the tool calls it."""
    if not records:
        raise EngageError(
            f"{folder}: no post of {source} can be read; {'; '.join(notes) or 'there is no file of its kind'}"
        )
    raw = raw_of_records(records, folder)
    found = {ours: ours for ours in fields if (ours in raw.frame and (raw.frame[ours] != "").any()) or ours == "id"}
    typed = Typed(raw.frame, found, folder, numbers=raw.numbers)
    if "image" not in typed.posts:
        typed.posts["image"] = ""
    return Import(
        posts=typed.posts,
        source=source,
        images=folder,
        found={ours: fields[ours] for ours in found},
        unused=tuple(unused),
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
        formats=typed.formats,
    )


def first_of(record: Mapping[str, Any], *names: str) -> Any:
    """Return the first of the fields that holds something."""
    return next((record[name] for name in names if record.get(name) not in (None, "", [])), None)


def object_of(record: Record, name: str) -> Record:
    """Return the object under a name; an empty one where something else stands there, or nothing."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def count_note(num: int, what: str) -> list[str]:
    return [f"{num:,} {what}"] if num else []
