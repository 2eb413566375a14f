"""Any file that is a table: every cell as text, for nothing is guessed before we know what a column means."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engage_cli.core.cells import sound_text
from engage_cli.core.errors import EngageError
from engage_cli.core.importers.delimited import read_delimited
from engage_cli.core.plain_files import NoPlainFileError, most_table_bytes, open_plain, read_table_bytes

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".parquet": ""}
ROWS_AT_ONCE = 4096
MOST_EXACT = 2.0**53  # floats beyond it are not all the whole numbers


class Raw(NamedTuple):
    """A table as it was read."""

    frame: pd.DataFrame  # every cell as text
    notes: list[str]  # on what was mended
    delimiter: str  # "" where the file has none


def read_frame(path: Path) -> Raw:
    """Read a .csv, .tsv, .jsonl or .parquet."""
    suffix = path.suffix.lower()
    notes: list[str] = []
    delimiter = ""
    if path.is_dir():
        raise EngageError(f"{path} is a folder; name the table in it")
    if not path.is_file():
        raise EngageError(f"{path} is a pipe, socket or device; name a file" if path.exists() else f"no such table: {path}")
    if suffix in (".csv", ".tsv"):
        raw, notes, delimiter = read_delimited(path, SUFFIXES[suffix])
    elif suffix == ".jsonl":
        raw = frame_of_records(_read_jsonl(path), path)
    elif suffix == ".parquet":
        raw, notes = _read_parquet(path)
    else:
        raise EngageError(f"{path}: unknown kind of table '{suffix}'; there are: {', '.join(SUFFIXES)}")
    if raw.empty:
        raise EngageError(f"{path} has a header but no rows" if len(raw.columns) else f"{path} is empty")
    return Raw(raw, notes, delimiter)


def frame_of_records(records: Iterable[dict[str, Any]], path: Path) -> pd.DataFrame:
    """Make a table of JSON objects: null is empty, a list is its items divided by bars."""
    rows = list(records)
    names = dict.fromkeys(name for row in rows for name in row)
    try:
        columns = {sound_text(name): [_cell_text(row.get(name)) for row in rows] for name in names}
    except RecursionError:
        raise EngageError(f"{path}: a value is nested too deep") from None
    return pd.DataFrame({name: pd.Series(cells, dtype=str) for name, cells in columns.items()})


def read_text(path: Path) -> str:
    """Return a UTF-8 file; raise EngageError naming the line where it is none."""
    data = read_table_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EngageError(f"{path}, line {line}: not UTF-8; save the file as UTF-8 and try again") from None


def read_json_text(text: str, where: str) -> Any:
    """Parse JSON; raise EngageError, with where it stands, for what is none or beyond all measure."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise EngageError(f"{where}: no JSON ({error.msg})") from None
    except RecursionError:
        raise EngageError(f"{where}: nested too deep") from None
    except ValueError:
        raise EngageError(f"{where}: a number of thousands of digits") from None


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        record = read_json_text(line, f"{path}, line {number}")
        if not isinstance(record, dict):
            raise EngageError(f"{path}, line {number}: a JSON object is expected")
        records.append(record)
    return records


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read without pandas: its metadata would hide an index, and integers with nulls would go through floats."""
    try:
        table = _read_bounded(path)
    except NoPlainFileError as reason:
        raise EngageError(f"{path} is {reason}; divide it, or drop what is not needed") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EngageError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None
    again = [name for number, name in enumerate(table.column_names) if name in table.column_names[:number]]
    if again:
        raise EngageError(f"{path}: two columns are called '{again[0]}'; rename one")
    columns, notes = {}, []
    for name in table.column_names:
        try:
            columns[name] = _arrow_text(table[name])
        except (pa.ArrowException, ArithmeticError, RecursionError, ValueError) as error:
            notes.append(
                f"column '{name}' ({table[name].type}) cannot be read and counts as absent: {str(error).splitlines()[0]}"
            )
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table))), notes


def _read_bounded(path: Path) -> pa.Table:
    """Read it piece by piece: a file of a few kilobytes may say that one long text stands in a billion rows."""
    most, pieces, num = most_table_bytes(), [], 0
    with open_plain(path, most) as opened, pq.ParquetFile(opened) as file:
        for piece in map(_without_dictionaries, file.iter_batches(ROWS_AT_ONCE)):
            num += max(piece.nbytes, piece.num_rows * piece.num_columns)
            if num > most:
                raise NoPlainFileError(f"larger than {most >> 20:,} MiB in memory")
            pieces.append(piece)
        return pa.Table.from_batches(pieces) if pieces else file.schema_arrow.empty_table()


def _without_dictionaries(piece: pa.RecordBatch) -> pa.RecordBatch:
    """Write out what stands once and is pointed at: its size is then what its cells take."""
    columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in piece.columns]
    return pa.RecordBatch.from_arrays(columns, names=piece.schema.names)


def _arrow_text(column: pa.ChunkedArray) -> pd.Series:
    if pa.types.is_floating(column.type):
        column = pc.cast(column, pa.float64())
        column = pc.if_else(pc.is_nan(column), None, column)
        largest = pc.max(pc.abs(column)).as_py()
        if pc.all(pc.equal(column, pc.floor(column))).as_py() and (largest is None or largest < MOST_EXACT):
            column = pc.cast(column, pa.int64())  # an id that was read as 17.0 is 17
    if pa.types.is_primitive(column.type) and not pa.types.is_temporal(column.type):
        column = pc.cast(column, pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:  # bytes that are no UTF-8
            column = pc.cast(column, pa.large_binary())
        else:
            return pc.fill_null(column, "").to_pandas().astype(str)
    return pd.Series([_cell_text(cell) for cell in column.to_pylist()], dtype=str)


def _cell_text(cell: Any) -> str:
    if isinstance(cell, str):
        return sound_text(cell) if not cell.isascii() else cell
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < MOST_EXACT:
        return str(int(cell))
    if isinstance(cell, dict):
        return sound_text(json.dumps(cell, ensure_ascii=False, default=str))
    if isinstance(cell, (list, tuple)):
        return "|".join(_cell_text(item) for item in cell)
    return str(cell)
