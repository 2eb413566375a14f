"""What a table's columns are, decided once, on training data, and kept in dataset.json and the run for all that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from engage_cli.io.record_fields import one_of

TEXT, TAGS, DATE, NUMBER, CATEGORY, COUNTER = "text", "tags", "date", "number", "category", "counter"
KINDS = (TEXT, TAGS, DATE, NUMBER, CATEGORY, COUNTER)


@dataclass(frozen=True, kw_only=True)
class ColumnFormat:
    """One column of a source, and how its cells are written."""

    name: str  # what the source calls it
    kind: Annotated[str, one_of(*KINDS)]
    decimal: Annotated[str, one_of("", ".", ",")] = ""  # the sign before decimals; "" where no cell asks for it
    date_order: Annotated[str, one_of("", "DMY", "MDY", "YMD", "YDM")] = ""  # "" where no cell asks for it


def merge(formats: Sequence[Mapping[str, ColumnFormat]]) -> dict[str, ColumnFormat]:
    """Return one format of several sources: of each column the first source's that has it."""
    found: dict[str, ColumnFormat] = {}
    for columns in formats:
        for ours, column in columns.items():
            known = found.setdefault(ours, column)
            if CATEGORY in (known.kind, column.kind) and known.kind != column.kind:
                found[ours] = ColumnFormat(name=known.name, kind=CATEGORY)
    return found
