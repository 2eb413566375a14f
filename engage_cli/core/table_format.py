"""What a table's columns are, decided once, on training data, and kept in dataset.json and the run for all that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

TEXT, TAGS, DATE, NUMBER, CATEGORY, COUNTER = "text", "tags", "date", "number", "category", "counter"
KINDS = (TEXT, TAGS, DATE, NUMBER, CATEGORY, COUNTER)


@dataclass(frozen=True, kw_only=True)
class ColumnFormat:
    """One column of a source, and how its cells are written."""

    name: str  # what the source calls it
    kind: str  # one of KINDS
    decimal: str = ""  # the sign before decimals; "" where no cell asks for it
    date_order: str = ""  # DMY, MDY, YMD, YDM; "" where no cell asks for it

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of column '{self.kind}'")


TableFormat = Mapping[str, ColumnFormat]  # our column -> the source's


def to_json(columns: TableFormat) -> dict[str, dict[str, str]]:
    return {ours: asdict(column) for ours, column in columns.items()}


def from_json(saved: Mapping[str, Mapping[str, Any]]) -> dict[str, ColumnFormat]:
    """Read what `to_json` wrote; raise TypeError or ValueError for anything else."""
    return {
        str(ours): ColumnFormat(**{str(key): str(value) for key, value in column.items()}) for ours, column in saved.items()
    }


def merge(formats: list[TableFormat]) -> dict[str, ColumnFormat]:
    """Return one format of several sources: of each column the first source's that has it."""
    found: dict[str, ColumnFormat] = {}
    for columns in formats:
        for ours, column in columns.items():
            known = found.setdefault(ours, column)
            if CATEGORY in (known.kind, column.kind) and known.kind != column.kind:
                found[ours] = ColumnFormat(name=known.name, kind=CATEGORY)
    return found
