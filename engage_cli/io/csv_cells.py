"""The one way in which data becomes CSV: a cell that a spreadsheet would run as a formula becomes text.

An apostrophe before it makes it text, as in the page's own export. Numbers stay numbers: -1.5 is not a formula.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

_RISKY = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def safe_cell(cell: Any) -> Any:
    """Return the cell, with an apostrophe before it where a spreadsheet would take it for a formula.

    A carriage return becomes a line end: writers leave it bare, and for a spreadsheet a new row would begin there.
    """
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n") if "\r" in cell else cell
    return f"'{text}" if _RISKY.match(text) and not _NUMBER.fullmatch(text) else text


def csv_of_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return CSV with a header, lines ended by newlines."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([safe_cell(cell) for cell in row] for row in (columns, *rows))
    return text.getvalue()


def csv_of_table(table: pd.DataFrame, *, float_format: str | None = None) -> str:
    """Return a table as CSV without its index."""
    texts = [place for place, dtype in enumerate(table.dtypes) if not pd.api.types.is_numeric_dtype(dtype)]
    safe = table.copy(deep=False)
    for place in texts:
        safe.isetitem(place, [safe_cell(cell) for cell in table.iloc[:, place]])
    safe.columns = pd.Index([safe_cell(str(name)) for name in table.columns])
    return str(safe.to_csv(index=False, float_format=float_format, lineterminator="\n"))
