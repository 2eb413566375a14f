"""The file that `predict --table` writes: one line for each suffix."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.csv_cells import csv_of_table
from engage_cli.io.files import atomic_write

TEXTS = ("id", "title", "class", "problem")
COUNTS = ("count", "count_80_low", "count_80_high", "count_95_low", "count_95_high")
SHARES = "p_"  # begins the name of a probability
SHEET = "predictions"
MOST_SHEET_ROWS = 2**20 - 1  # of .xlsx, without the header
MOST_CELL_CHARACTERS = 32_767  # of .xlsx
WIDE, NARROW = 44, 12  # widths of columns, in characters


def check_suffix(out: Path) -> None:
    """Raise WrongCallError for a kind of file that is not written, EngageError where what writes it is not installed."""
    suffix = out.suffix.lower()
    if suffix not in WRITERS or out.is_dir():
        raise WrongCallError(f"--out {out}: name the {' or the '.join(WRITERS)} file to write")
    if suffix == ".xlsx" and importlib.util.find_spec("openpyxl") is None:
        raise EngageError(f"{out}: writing .xlsx needs openpyxl; install it with: pip install 'engage-cli[excel]'")


def check_rows(out: Path, num: int) -> None:
    """Raise WrongCallError for more rows than the file can hold."""
    if out.suffix.lower() == ".xlsx" and num > MOST_SHEET_ROWS:
        raise WrongCallError(f"--out {out}: a sheet holds {MOST_SHEET_ROWS:,} rows, and there are {num:,}; name a .csv")


def write_predictions(out: Path, rows: pd.DataFrame) -> None:
    """Write the rows; what is not known is an empty cell (.csv, .xlsx) or null (.parquet, .jsonl)."""
    with atomic_write(out) as beside:
        WRITERS[out.suffix.lower()](beside, rows)


def _write_csv(path: Path, rows: pd.DataFrame) -> None:
    shown = rows.assign(**{name: rows[name].map(_plain_count) for name in COUNTS})
    path.write_text(csv_of_table(shown, float_format="%.6g"), encoding="utf-8")


def _plain_count(count: float) -> str:
    """Four digits or more, and never in powers of ten, which many a spreadsheet shows as it finds them."""
    if math.isnan(count):
        return ""
    places = max(0, 3 - math.floor(math.log10(count))) if count >= 0.001 else 3
    return f"{count:.{places}f}"


def _write_parquet(path: Path, rows: pd.DataFrame) -> None:
    rows.to_parquet(path, index=False)


def _write_jsonl(path: Path, rows: pd.DataFrame) -> None:
    rows.to_json(path, orient="records", lines=True, force_ascii=False, double_precision=15)


def _write_xlsx(path: Path, rows: pd.DataFrame) -> None:
    """Write one sheet. Texts are texts, whatever they begin with; a cell holds no control character."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.utils import get_column_letter

    texts = [name for name in rows if name in TEXTS]
    clean = {
        name: rows[name].astype(str).str.replace(ILLEGAL_CHARACTERS_RE, "\ufffd", regex=True).str[:MOST_CELL_CHARACTERS]
        for name in texts
    }
    with path.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as writer:
        rows.assign(**clean).to_excel(writer, index=False, sheet_name=SHEET, freeze_panes=(1, 1))
        sheet = writer.sheets[SHEET]
        for number, name in enumerate(rows.columns, start=1):
            sheet.column_dimensions[get_column_letter(number)].width = WIDE if name in ("title", "problem") else NARROW
            form = "#,##0" if name in COUNTS else "0.0%" if name.startswith(SHARES) else "0.00"
            for (cell,) in sheet.iter_rows(min_row=2, min_col=number, max_col=number):
                if cell.value == "":
                    cell.value = None
                elif name in TEXTS:
                    cell.data_type = "s"  # openpyxl takes =1+1 for a formula, and #N/A for an error
                    cell.quotePrefix = True  # and so would a spreadsheet, once somebody edits the cell
                else:
                    cell.number_format = form


WRITERS: dict[str, Callable[[Path, pd.DataFrame], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
    ".jsonl": _write_jsonl,
}
