"""Delimited text, read strictly: every row has the header's fields, or the row that has not is named.

The parser is pyarrow's: it takes all cells as text, and names rows that are too long or too short (pandas fills short
ones in silence). Around it stands what it does not see: encodings, stray carriage returns, quotes never closed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from engage_cli.data.cells.numbers import parse_counters
from engage_cli.data.schema import KNOWN_AFTER
from engage_cli.data.tables._encodings import to_utf8
from engage_cli.data.tables._opening import read_bytes
from engage_cli.errors import EngageError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 26  # a row must fit into a block
MOST_UNUSABLE = 0.5  # of the cells in the counters' places that are not counters
# In a field in quotes, a quote behind a backslash with more behind it: nothing but an escape explains it.
_BACKSLASHED = re.compile(rb'(?:^|[,;\t|])"[^"]*\\"[^,;\t|\n"]', re.MULTILINE)
_ESCAPED_QUOTE = re.compile(rb'(\\+)"')
_EXCEL_HINT = re.compile(rb"sep=([,;\t|])\n", re.IGNORECASE)


def read_delimited(path: Path, usual: str, encoding: str = "") -> tuple[pd.DataFrame, list[str], str]:
    """Return every cell as text, notes on what was mended, and the delimiter. `usual` is what the suffix promises."""
    data, notes = _read_utf8(path, encoding)
    if data.isspace():
        raise EngageError(f"{path} is empty; give a file with a header and rows")
    if found := _EXCEL_HINT.match(data):  # Excel's own first line, "sep=;"
        data, usual = data[found.end() :], found[1].decode()
    names, delimiter = _read_header(data, usual)
    if delimiter != usual:
        notes.append(f"{path.name} is divided by {DELIMITERS[delimiter]} and was read that way")
    again = [name for number, name in enumerate(names) if name in names[:number]]
    if again:
        raise EngageError(f"{path}: two columns are called '{again[0]}'; rename one")
    if any("\n" in name for name in names):
        raise EngageError(f"{path}: the header holds a line break; close the quote that is open there")
    table = _parse(data, names, delimiter, path)
    if len(table) and _ends_inside_a_quote(data, str(table.iloc[-1, -1])):
        raise EngageError(
            f"{path}, row {len(table)}: a quote is opened but never closed; close it, or export the table again"
        )
    _check_quotes(table, data, path)
    return table, notes, delimiter


def _check_quotes(table: pd.DataFrame, data: bytes, path: Path) -> None:
    """Raise EngageError where a quote is not closed, so that its cell runs into the rows that follow.

    A cell of several lines must stand in the file in quotes, its own quotes doubled. Where it does not, something
    follows the quote that closes it: it was meant to close elsewhere.
    """
    for column in table.columns:
        cells = table[column]
        place = 0
        several = cells.str.contains("\n", regex=False)
        for row, cell in zip(np.flatnonzero(several), cells[several], strict=True):
            quoted = b'"' + cell.replace('"', '""').encode() + b'"'
            place = data.find(quoted, place)
            if place < 0:
                raise EngageError(
                    f"{path}, row {row + 1}: the cell of '{column}' runs into the next rows, as '{cell[:40]}'; "
                    "a quote there is not closed, not doubled, or followed by more than the delimiter"
                )


def warn_of_swallowed_rows(raw: pd.DataFrame, found: Mapping[str, str], delimiter: str, path: Path) -> list[str]:
    """Return a warning of each cell that seems to hold the rows after it, where a later row's quote closes its own.

    Such a cell has a shape that prose has not: its first line ends a row, its last line begins one, all between are whole,
    by their number of fields; and in the counters' places stand mostly numbers.
    """
    names = list(raw.columns)
    counters = {names.index(theirs) for ours, theirs in found.items() if ours in KNOWN_AFTER}
    warnings = []
    for place, column in enumerate(names):
        cells = raw[column]
        cells = cells[cells.str.contains("\n", regex=False)]
        is_dense = cells.str.count(re.escape(delimiter)) == cells.str.count("\n") * (len(names) - 1)
        for row in cells.index[is_dense] if len(names) > 1 else ():
            lines = [line.split(delimiter) for line in cells[row].split("\n")]
            if not _has_shape(lines, place, len(names)):
                continue
            fields = enumerate((field for line in lines for field in line), start=place)
            numbers = [field for at, field in fields if at % len(names) in counters]
            read = parse_counters(pd.Series(numbers, dtype=str))
            if np.isfinite(read.values).any() and read.unusable.mean() <= MOST_UNUSABLE:
                warnings.append(
                    f"{path.name}, row {row + 1}: the cell of '{column}' seems to hold the {len(lines) - 1} rows after it "
                    f"('{cells[row][:40]}'): is a quote there opened and not closed?"
                )
    return warnings


def _has_shape(lines: list[list[str]], place: int, num: int) -> bool:
    """Say whether the first line has the fields from `place` on, the last those up to it, and each between all."""
    return len(lines[0]) == num - place and len(lines[-1]) == place + 1 and all(len(line) == num for line in lines[1:-1])


def _read_utf8(path: Path, encoding: str) -> tuple[bytes, list[str]]:
    """Return the file as UTF-8 with newlines alone, and notes."""
    data, notes = to_utf8(read_bytes(path), path, encoding)
    if b"\0" in data:
        notes.append(f"{path.name}: {data.count(0):,} NUL bytes were dropped")
        data = data.replace(b"\0", b"")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\r" in data:
        # Some writers leave a bare carriage return inside a field, and some readers split rows there.
        has_newlines, num = b"\n" in data, data.count(b"\r")
        data = data.replace(b"\r", b" " if has_newlines else b"\n")
        if has_newlines:
            notes.append(f"{path.name}: {num:,} carriage returns inside fields became spaces")
    if not data.endswith(b"\n"):
        data += b"\n"
    if b'\\"' in data and _BACKSLASHED.search(data):
        data, num = _ESCAPED_QUOTE.subn(_double, data)
        notes.append(
            f"{path.name}: {num:,} quotes are escaped with a backslash, as Spark and Hive do, and were read that way"
        )
    return data, notes


def _double(found: re.Match[bytes]) -> bytes:
    """Write backslashes before a quote, and the quote, as other programs do: an odd number of them escapes the quote."""
    num = len(found[1])
    return b"\\" * (num // 2) + (b'""' if num % 2 else b'"')


def _read_header(data: bytes, usual: str) -> tuple[list[str], str]:
    head = data[:HEAD_BYTES].decode("utf-8", "replace").lstrip("\n")
    found = {}
    for delimiter in (usual, *DELIMITERS):
        names = next(csv.reader(io.StringIO(head), delimiter=delimiter))
        found[delimiter] = [name.strip() for name in names]
    if len(found[usual]) > 1:
        return found[usual], usual
    best = max(found, key=lambda delimiter: len(found[delimiter]))
    return found[best], best


def _parse(data: bytes, names: list[str], delimiter: str, path: Path) -> pd.DataFrame:
    bad: list[pa.csv.InvalidRow] = []

    def note_bad(row: pa.csv.InvalidRow) -> str:
        if not row.text.strip():
            return "skip"
        bad.append(row)
        return "error"

    def parse(threads: bool) -> pa.Table:
        return pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                column_names=names, skip_rows_after_names=1, use_threads=threads, block_size=BLOCK_BYTES
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note_bad if not threads else None
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )

    try:
        return parse(threads=True).to_pandas()
    except pa.ArrowInvalid:
        pass
    try:  # again on one thread, where rows are numbered
        return parse(threads=False).to_pandas()
    except pa.ArrowInvalid as error:
        if bad:
            row = bad[0]
            hint = "; a quote there is opened and never closed" if row.text.count('"') % 2 else ""
            raise EngageError(
                f"{path}, row {row.number - 1}: {row.actual_columns} fields where the header has "
                f"{row.expected_columns}: '{row.text.strip().splitlines()[0][:40]}'{hint}"
            ) from None
        if "straddling" in str(error):
            raise EngageError(
                f"{path}: a row is longer than {BLOCK_BYTES >> 20} MiB; a quote there is opened and never closed"
            ) from None
        raise EngageError(f"{path} cannot be read: {str(error).splitlines()[0]}; export the table again") from None


def _ends_inside_a_quote(data: bytes, last_cell: str) -> bool:
    """Say whether the last cell ran into the end of the file: it then holds the file's last newline."""
    end = data[-HEAD_BYTES:].rstrip(b"\n")[-2:] + b"\n"
    return last_cell.endswith("\n") and end != b'\n"\n'
