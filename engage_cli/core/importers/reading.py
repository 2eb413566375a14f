"""Any file that is a table: every cell as text, for nothing is guessed before we know what a column means."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from engage_cli.core.cells import sound_text
from engage_cli.core.errors import EngageError
from engage_cli.core.importers.delimited import read_delimited

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".parquet": ""}


def read_frame(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a .csv, .tsv, .jsonl or .parquet; return it and notes on what was mended."""
    suffix = path.suffix.lower()
    notes: list[str] = []
    if suffix in (".csv", ".tsv"):
        raw, notes = read_delimited(path, SUFFIXES[suffix])
    elif suffix == ".jsonl":
        raw = frame_of_records(_read_jsonl(path))
    elif suffix == ".parquet":
        try:
            raw = pd.read_parquet(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise EngageError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
        raw = pd.DataFrame({str(name): _as_text(raw[name]) for name in raw.columns})
    else:
        raise EngageError(f"{path}: unknown kind of table '{suffix}'; there are: {', '.join(SUFFIXES)}")
    if raw.empty:
        raise EngageError(f"{path} has a header but no rows" if len(raw.columns) else f"{path} is empty")
    return raw, notes


def frame_of_records(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Make a table of JSON objects: null is empty, a list is its items divided by bars."""
    rows = list(records)
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: pd.Series([_cell_text(row.get(name)) for row in rows], dtype=str) for name in names})


def read_text(path: Path) -> str:
    """Return a UTF-8 file; raise EngageError naming the line where it is none."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EngageError(f"{path}, line {line}: not UTF-8; save the file as UTF-8 and try again") from None


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            raise EngageError(f"{path}, line {number}: no JSON ({reason})") from None
        if not isinstance(record, dict):
            raise EngageError(f"{path}, line {number}: a JSON object is expected")
        records.append(record)
    return records


def _as_text(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # an id that was read as 17.0 is 17
    return pd.Series([_cell_text(cell) for cell in column.astype(object)], index=column.index, dtype=str)


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return sound_text(cell) if not cell.isascii() else cell
    if hasattr(cell, "__len__") and not isinstance(cell, (dict, bytes)):
        return "|".join(_cell_text(item) for item in cell)
    if cell is None or cell is pd.NaT or cell is pd.NA or cell != cell:
        return ""
    if isinstance(cell, dict):
        return json.dumps(cell, ensure_ascii=False)
    return str(cell)
