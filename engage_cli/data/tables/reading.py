"""Any file that is a table: every cell as text, for nothing is guessed before we know what a column means."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engage_cli.data.cells.texts import sound_text
from engage_cli.data.tables._delimited import read_delimited
from engage_cli.data.tables._encodings import to_utf8
from engage_cli.data.tables._flatten import Record, flatten, records_of
from engage_cli.data.tables._opening import read_bytes, suffix_of
from engage_cli.errors import EngageError
from engage_cli.io.plain_files import NoPlainFileError, most_table_bytes, open_plain
from engage_cli.near_names import did_you_mean_path

SUFFIXES = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": "", ".json": "", ".parquet": "", ".xlsx": ""}
DELIMITED = {suffix: usual for suffix, usual in SUFFIXES.items() if usual}
ROWS_AT_ONCE = 4096
MOST_EXACT = 2.0**53  # floats beyond it are not all the whole numbers


@dataclass(kw_only=True)
class Raw:
    """A table as it was read."""

    frame: pd.DataFrame  # every cell as text
    notes: list[str] = field(default_factory=list)  # on what was mended
    delimiter: str = ""  # "" where the file has none
    numbers: frozenset[str] = frozenset()  # columns whose cells are numbers in the file, so that a dot is a dot
    images: tuple[str, ...] = ()  # columns of images themselves


def is_table(path: Path) -> bool:
    """Say whether a file is one that `read_frame` reads, by its name."""
    return path.is_file() and suffix_of(path) in SUFFIXES


def read_frame(path: Path, encoding: str = "") -> Raw:
    """Read a table of any kind in SUFFIXES, compressed or not."""
    suffix = suffix_of(path)
    if path.is_dir():
        raise EngageError(f"{path} is a folder; name the table in it")
    if not path.exists():
        raise EngageError(f"no such table: {path}{did_you_mean_path(path)}")
    if not path.is_file():
        raise EngageError(f"{path} is a pipe, socket or device; name a file")
    if suffix in DELIMITED:
        frame, notes, delimiter = read_delimited(path, DELIMITED[suffix], encoding)
        raw = Raw(frame=frame, notes=notes, delimiter=delimiter)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        notes = []
        records = _read_json(path, encoding, notes) if suffix == ".json" else _read_jsonl(path, encoding, notes)
        raw = raw_of_records(records, path)
        raw.notes += notes
    elif suffix == ".parquet":
        raw = _read_parquet(path)
    elif suffix == ".xlsx":
        raw = _read_excel(path)
    else:
        raise EngageError(f"{path}: unknown kind of table '{suffix}'; give one of: {', '.join(SUFFIXES)}")
    if raw.frame.empty:
        raise EngageError(f"{path} has a header but no rows" if len(raw.frame.columns) else f"{path} is empty")
    return raw


def frame_of_records(records: Iterable[Record], path: Path) -> pd.DataFrame:
    """Make a table of JSON objects: null is empty, a list is its items divided by bars, an object is columns of its own."""
    return raw_of_records(records, path).frame


def raw_of_records(records: Iterable[Record], path: Path) -> Raw:
    """As `frame_of_records`, with which columns hold numbers."""
    try:
        rows = flatten(list(records))
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name) for row in rows] for name in names}
        texts = {sound_text(name): [_cell_text(cell) for cell in cells] for name, cells in columns.items()}
    except RecursionError:
        raise EngageError(f"{path}: a value is nested too deeply; give a table of plain columns") from None
    numbers = frozenset(
        sound_text(name)
        for name, cells in columns.items()
        if all(cell is None or (isinstance(cell, (int, float)) and not isinstance(cell, bool)) for cell in cells)
    )
    return Raw(frame=pd.DataFrame({name: pd.Series(cells, dtype=str) for name, cells in texts.items()}), numbers=numbers)


def read_text(path: Path, encoding: str = "", notes: list[str] | None = None) -> str:
    """Return a text file; what was mended in it goes to `notes`, or is refused where there are none."""
    data, mended = to_utf8(read_bytes(path), path, encoding)
    if mended and notes is None:
        raise EngageError(f"{mended[0]}; save the file as UTF-8 and try again")
    if notes is not None:
        notes += mended
    return data.decode()


def read_json_text(text: str, where: str) -> Any:
    """Parse JSON; raise EngageError, with where it stands, for what is none or beyond all measure."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise EngageError(f"{where}: no JSON ({error.msg}); correct or remove it") from None
    except RecursionError:
        raise EngageError(f"{where}: nested too deeply; give a table of plain columns") from None
    except ValueError:
        raise EngageError(f"{where}: a number with thousands of digits; correct it") from None


def _read_jsonl(path: Path, encoding: str, notes: list[str]) -> list[Record]:
    records: list[Record] = []
    for number, line in enumerate(read_text(path, encoding, notes).split("\n"), start=1):
        if not line.strip():
            continue
        record = read_json_text(line, f"{path}, line {number}")
        if not isinstance(record, dict):
            raise EngageError(
                f'{path}, line {number}: expected a JSON object; write one post a line, as in {{"id": "1", ...}}'
            )
        records.append(record)
    return records


def _read_json(path: Path, encoding: str, notes: list[str]) -> list[Record]:
    """Read a list of objects, an object that holds one such list (an answer of an API), or JSON lines under that name."""
    text = read_text(path, encoding, notes)
    try:
        content = read_json_text(text, str(path))
    except EngageError:
        if text.lstrip().startswith("{") and "\n" in text.strip():  # JSON lines, called .json
            return _read_jsonl(path, encoding, [])
        raise
    found = records_of(content)
    if found is None:
        raise EngageError(
            f"{path}: expected a list of JSON objects, or an object that holds one such list; "
            "write one object for each post"
        )
    return found


def _read_excel(path: Path) -> Raw:
    """Read the first sheet that holds a table."""
    try:
        sheets = pd.read_excel(path, sheet_name=None, dtype=object, keep_default_na=False, engine="openpyxl")
    except ImportError:
        raise EngageError(
            f"{path}: .xlsx is read by openpyxl; install it with `pip install openpyxl` (the extra 'excel'), or save the "
            "sheet as CSV"
        ) from None
    except Exception as error:  # openpyxl raises whatever a damaged archive makes it meet (BadZipFile, KeyError, ...)
        if isinstance(error, MemoryError):
            raise
        raise EngageError(
            f"{path} cannot be read as .xlsx: {str(error).splitlines()[0][:100] or type(error).__name__}"
        ) from None
    filled = {name: sheet for name, sheet in sheets.items() if len(sheet) and len(sheet.columns)}
    if not filled:
        return Raw(frame=pd.DataFrame())
    name, sheet = next(iter(filled.items()))
    again = [column for number, column in enumerate(sheet.columns) if column in list(sheet.columns[:number])]
    if again:
        raise EngageError(f"{path}: two columns are called '{again[0]}'; rename one")
    raw = raw_of_records(
        [{str(key).strip(): value for key, value in row.items()} for row in sheet.to_dict("records")], path
    )
    numbers = frozenset(str(column) for column in raw.frame if column in sheet and _are_numbers(sheet[column]))
    notes = [f"{path.name}: the sheet '{name}' was read, and not {', '.join(list(filled)[1:])}"] if len(filled) > 1 else []
    return Raw(frame=raw.frame, notes=notes, numbers=numbers)


def _are_numbers(cells: pd.Series) -> bool:
    return all(
        cell is None or cell == "" or (isinstance(cell, (int, float)) and not isinstance(cell, bool)) for cell in cells
    )


def _read_parquet(path: Path) -> Raw:
    """Read without pandas: its metadata would hide an index, and integers with nulls would go through floats."""
    try:
        table = _read_bounded(path)
    except NoPlainFileError as reason:
        raise EngageError(f"{path} is {reason}; divide it, or drop what is not needed") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EngageError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}; write the file again") from None
    again = [name for number, name in enumerate(table.column_names) if name in table.column_names[:number]]
    if again:
        raise EngageError(f"{path}: two columns are called '{again[0]}'; rename one")
    columns, notes, numbers, images = {}, [], set(), []
    for name in table.column_names:
        if is_of_images(table[name].type):
            images.append(name)
            continue
        if pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type):
            numbers.add(name)
        if pa.types.is_struct(table[name].type):
            fields = {f"{name}.{one.name}": place for place, one in enumerate(table[name].type)}
            for field_name, place in fields.items():
                if not pa.types.is_nested(table[name].type[place].type) and field_name not in table.column_names:
                    columns[field_name] = _arrow_text(pc.struct_field(table[name], place))
        try:
            columns[name] = _arrow_text(table[name])
        except (pa.ArrowException, ArithmeticError, RecursionError, ValueError) as error:
            notes.append(
                f"column '{name}' ({table[name].type}) cannot be read and counts as absent: {str(error).splitlines()[0]}"
            )
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(table)))
    return Raw(frame=frame, notes=notes, numbers=frozenset(numbers), images=tuple(images))


def is_of_images(kind: pa.DataType) -> bool:
    """Say whether a column holds files, as Hugging Face's datasets write images: {bytes, path}, or bytes alone."""
    if pa.types.is_struct(kind):
        return {"bytes"} <= {one.name for one in kind} <= {"bytes", "path"}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


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
        except pa.ArrowInvalid:  # bytes that are not UTF-8
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
        if any(isinstance(item, (dict, list, tuple)) or (isinstance(item, str) and "|" in item) for item in cell):
            return sound_text(json.dumps(cell, ensure_ascii=False, default=str))  # as `parse_tags` reads it
        return "|".join(_cell_text(item) for item in cell)
    return str(cell)
