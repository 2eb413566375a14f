"""What a cell of a raw table means: counters, dates, texts. Cells that mean nothing are masked, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

NOTHING = ("", "na", "n/a", "nan", "null", "none", "nat", "-")
_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9}
# Thousands stand in groups of three: "1,5" is somebody's one and a half, and no counter.
_NUMBER = re.compile(r"^(\+?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?)\s*([kKmMbB]?)$")
# 5/9/2021, 05.09.21: which of the two is the month, only the column as a whole can tell.
_DAY_AND_MONTH = r"^(\d{1,2})(?:/|\.|-(?=\d{1,2}-\d{4}))(\d{1,2})[/.-](\d{4}|\d{2})(?=\D|$)"
_HAS_YEAR = r"\d{4}"  # without one, "10:30" or "now" would be a time of today
# A unix time this large is in the next smaller unit: milliseconds, microseconds, nanoseconds.
_UNIX_STEPS = (1e11, 1e14, 1e17)
EARLIEST = pd.Timestamp("1970-01-01", tz="UTC")  # nothing was posted before
_LARGEST = 1e15  # no post was seen by more; what is larger is no counter


def parse_counters(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Parse "799668.0", "1,234", "1.2K"; return (float64 with NaN where nothing usable stands, mask of unusable cells).

    An empty cell, "n/a" and the like are missing; anything else that is no number >= 0 is unusable.
    """
    text, values = _read_numbers(column)
    missing = np.zeros(len(text), bool)
    rows = np.flatnonzero(np.isnan(values))
    for row, cell in zip(rows, text.iloc[rows].str.strip().tolist(), strict=True):
        missing[row] = cell.lower() in NOTHING
        found = _NUMBER.match(cell)
        if found:
            values[row] = float(found[1].replace(",", "")) * _SUFFIX.get(found[2].lower(), 1.0)
    values[~((values >= 0) & (values <= _LARGEST))] = np.nan
    return values, np.isnan(values) & ~missing


def parse_scores(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Parse real numbers of any sign; return (float64 with NaN, mask of unusable cells)."""
    text, values = _read_numbers(column)
    values[~(np.abs(values) <= _LARGEST)] = np.nan
    return values, np.isnan(values) & ~text.str.strip().str.lower().isin(NOTHING).to_numpy()


def _read_numbers(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Return the cells as text, and as float64 where they are plain numbers."""
    text = column.fillna("").astype(str)
    cells = pa.array(text)
    try:  # nearly every column is numbers and empty cells, which this reads twenty times as fast
        values = pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), pa.float64())
        return text, values.to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowInvalid:
        return text, pd.to_numeric(text.str.strip(), errors="coerce").to_numpy(np.float64, copy=True)


@dataclass(frozen=True)
class Dates:
    """A parsed column of dates."""

    values: pd.Series  # UTC timestamps, NaT where there is none
    unusable: np.ndarray  # (n,) bool: something stands there, and it is no date
    future: np.ndarray  # (n,) bool: a date after `now`, so not one of a publication; NaT in `values`
    note: str = ""  # how an ambiguous order of day and month was read


def parse_dates(column: pd.Series, *, now: pd.Timestamp) -> Dates:
    """Parse ISO dates, day/month/year, written months, and unix times in seconds to nanoseconds, to UTC."""
    text = column.fillna("").astype(str).str.strip()
    empty = text.str.lower().isin(NOTHING).to_numpy()
    numbers = pd.to_numeric(text, errors="coerce")
    # "20210905" is a day, not August 1970.
    is_unix = ((numbers > 1e8) & (numbers < _UNIX_STEPS[-1] * 100)).to_numpy()
    moments = np.full(len(text), np.datetime64("NaT"), "datetime64[us]")
    if is_unix.any():
        seconds = numbers[is_unix].to_numpy(np.float64)
        seconds = seconds / 1000.0 ** sum((seconds >= step).astype(int) for step in _UNIX_STEPS)
        moments[is_unix] = (seconds * 1e6).astype(np.int64).astype("datetime64[us]")
    values = pd.Series(moments, index=column.index).dt.tz_localize("UTC")
    rest, note = _order_day_and_month(text.where(~empty & ~is_unix))
    # One quick pass for the usual form, then a slow one for the others.
    for form in ("ISO8601", "mixed"):
        open_rows = (values.isna() & rest.str.contains(_HAS_YEAR, na=False)).to_numpy()
        if open_rows.any():
            found = pd.to_datetime(rest[open_rows], errors="coerce", utc=True, format=form)
            values[open_rows] = found.astype(values.dtype)
    values = values.mask(values < EARLIEST)
    future = (values > now + pd.Timedelta(days=1)).to_numpy()  # a day of grace for time zones
    unusable = values.isna().to_numpy() & ~empty
    return Dates(values.mask(future), unusable, future, note)


def _order_day_and_month(text: pd.Series) -> tuple[pd.Series, str]:
    """Rewrite dates like 5/9/2021 as ISO, in the one order that fits every cell; month first where both fit."""
    text = text.astype(object)
    parts = text.str.extract(_DAY_AND_MONTH)
    rows = parts[0].notna()
    if not rows.any():
        return text, ""
    first, second = parts.loc[rows, 0].astype(int), parts.loc[rows, 1].astype(int)
    year = parts.loc[rows, 2].where(parts.loc[rows, 2].str.len() == 4, "20" + parts.loc[rows, 2])
    is_day_first = bool((first > 12).any())
    day, month = (first, second) if is_day_first else (second, first)
    rest = text[rows].str.replace(_DAY_AND_MONTH, "", regex=True)
    example = str(text[rows].iloc[0])[:20]
    text[rows] = year + "-" + month.map("{:02d}".format) + "-" + day.map("{:02d}".format) + rest
    if is_day_first:
        return text, f"dates like '{example}' were read as day, month, year"
    if (second > 12).any():
        return text, f"dates like '{example}' were read as month, day, year"
    return text, f"dates like '{example}' can be read in two ways; taken as month, day, year (write YYYY-MM-DD)"


def clean_text(column: pd.Series) -> pd.Series:
    """Strip, drop NUL bytes, make every line end one newline and a missing text the empty string."""
    text = column.fillna("").astype(str)
    for wrong, right in (("\0", ""), ("\r\n", "\n"), ("\r", "\n")):
        if text.str.contains(wrong, regex=False).any():
            text = text.str.replace(wrong, right, regex=False)
    return text.str.strip()


def sound_text(text: str) -> str:
    """Replace halves of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
