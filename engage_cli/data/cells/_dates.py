"""Dates as people and programs write them. The order of day, month and year is decided once for a whole column.

An order is one of DMY, MDY, YMD, YDM, and has to fit every cell that is a date in any order. A column that several orders
fit, with other dates, is refused: nobody but its owner knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from engage_cli.data.cells._months import FOREIGN_MONTH, to_english
from engage_cli.data.cells.texts import EARLIEST, NOTHING

ORDERS = ("DMY", "MDY", "YMD", "YDM")
WORDS = {"DMY": "day, month, year", "MDY": "month, day, year", "YMD": "year, month, day", "YDM": "year, day, month"}
# A unix time this large is in the next smaller unit: milliseconds, microseconds, nanoseconds.
_UNIX_STEPS = (1e11, 1e14, 1e17)
_BETWEEN = r"\s*[/.\-年월月년]\s*| "
# Three numbers, with a sign of date between them; what follows is a time, or nothing.
_TRIPLE = re.compile(
    rf"^(\d{{4}}|\d{{1,2}})(?:{_BETWEEN})(\d{{1,2}})(?:{_BETWEEN})(\d{{4}}|\d{{1,2}})(?:\s*[日일.,])?(?=$|[\sT,])[ ,]*(.*)$"
)
_LIKE_A_TRIPLE = r"^\d{1,4}\s*[/.\-年월月년 ]\s*\d{1,2}\s*[/.\-年월月년 ]\s*\d{1,4}"
_HAS_YEAR = r"\d{4}"  # without one, "10:30" or "now" would be a time of today
_STARTS_LIKE_A_DATE = r"(?i)^\d{4}-\d\d-\d\d|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_LATEST_CENTURY = 100
# How many days a column must have for the part that never changes to be its year.
_ENOUGH_DAYS = 3


@dataclass(frozen=True)
class Dates:
    """A parsed column of dates."""

    values: pd.Series  # UTC timestamps, NaT where there is none
    unusable: np.ndarray  # (n,) bool: something stands there, and it is not a date
    future: np.ndarray  # (n,) bool: a date after `now`, so not one of a publication; NaT in `values`
    order: str = ""  # of day, month and year; "" where no cell asks for one
    note: str = ""  # how the cells were read
    problem: str = ""  # why the column as a whole cannot be read


def parse_dates(column: pd.Series, *, now: pd.Timestamp, order: str = "") -> Dates:
    """Parse ISO dates, dates in any one order, written months, and unix times in seconds to nanoseconds, to UTC.

    `order` is the column's order where that is known; a cell that it does not fit is not a date.
    """
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
    rest = text.where(~empty & ~is_unix)
    rest, ordered = _to_iso(rest, now, order)
    # One quick pass for the usual form, then a slow one for the others.
    for form in ("ISO8601", "mixed"):
        is_open = (values.isna() & rest.str.contains(_HAS_YEAR, na=False)).to_numpy()
        if form == "mixed" and is_open.any():  # a date must begin the cell, or a month be written in letters
            is_open = is_open & rest.str.contains(_STARTS_LIKE_A_DATE, na=False).to_numpy()
        if is_open.any():
            found = pd.to_datetime(rest[is_open], errors="coerce", utc=True, format=form)
            values[is_open] = found.astype(values.dtype)
    values = values.mask(values < EARLIEST)
    future = (values > now + pd.Timedelta(days=1)).to_numpy()  # a day of grace for time zones
    unusable = values.isna().to_numpy() & ~empty
    return Dates(values.mask(future), unusable, future, ordered.order, ordered.note, ordered.problem)


@dataclass(frozen=True)
class _Ordered:
    order: str = ""
    note: str = ""
    problem: str = ""


def _to_iso(text: pd.Series, now: pd.Timestamp, order: str) -> tuple[pd.Series, _Ordered]:
    """Rewrite dates like 5/9/2021 as ISO, in the one order that fits every cell."""
    text = text.astype(object)
    if (foreign := text.str.contains(FOREIGN_MONTH, na=False).to_numpy()).any():
        text[foreign] = text[foreign].map(to_english)
    cells = pa.array(text, pa.string())
    shaped = np.asarray(pc.fill_null(pc.match_substring_regex(cells, _LIKE_A_TRIPLE), False))
    iso = np.asarray(pc.fill_null(pc.match_substring_regex(cells, r"^\d{4}-(?:0[1-9]|1[0-2])-\d\d"), False))
    is_year_first = order == "YDM" or bool((shaped & np.asarray(pc.fill_null(pc.match_substring_regex(
        cells, r"^\d{4}-(?:1[3-9]|[23]\d)-\d\d"), False))).any())  # fmt: skip
    rows = np.flatnonzero(shaped & (~iso | is_year_first)).tolist()
    parts = [(row, found) for row in rows if (found := _TRIPLE.match(text.iloc[row]))]
    if not parts:
        return text, _Ordered()
    triples = _Triples(parts, now)
    ordered = triples.decide(order)
    if not ordered.problem:
        chosen = ordered.order or "YMD"
        for (row, found), iso_date in zip(parts, triples.read(chosen), strict=True):
            text.iloc[row] = f"{iso_date} {found[4]}".strip() if iso_date else "no date"
    return text, ordered


class _Triples:
    """Three numbers a cell, and the orders that they can stand in."""

    def __init__(self, parts: Sequence[tuple[int, re.Match[str]]], now: pd.Timestamp) -> None:
        self.cells = [found[0] for _, found in parts]
        self.first, self.second, self.third = (np.array([int(found[at]) for _, found in parts]) for at in (1, 2, 3))
        self.lengths = np.array([(len(found[1]), len(found[3])) for _, found in parts])
        self.latest = min(now.year, 2000 + _LATEST_CENTURY - 2) + 1

    def numbers(self, order: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return year, month, day, and whether they are a date, of every cell in an order."""
        by_sign = dict(zip(order, (self.first, self.second, self.third), strict=True))
        year, month, day = by_sign["Y"], by_sign["M"], by_sign["D"]
        length = self.lengths[:, 0 if order[0] == "Y" else 1]
        other = self.lengths[:, 1 if order[0] == "Y" else 0]
        year = np.where(length == 4, year, 2000 + year)
        fits = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (other <= 2)
        fits &= (length == 4) | ((length == 2) & (year <= self.latest))
        days = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
        fits &= day <= days[np.clip(month, 1, 12) - 1]
        return year, month, day, fits

    def read(self, order: str) -> list[str]:
        """Return the cells as ISO; "" where one is not a date in this order."""
        # A year of four digits says by itself where it stands: cells that begin with it are read year first.
        year, month, day, fits = self.numbers(order)
        if order in ("DMY", "MDY"):
            again = self.numbers("YMD")
            lone = self.lengths[:, 0] == 4
            year, month, day, fits = (
                np.where(lone, new, old) for new, old in zip(again, (year, month, day, fits), strict=True)
            )
        return [
            f"{y:04d}-{m:02d}-{d:02d}" if is_date else "" for y, m, d, is_date in zip(year, month, day, fits, strict=True)
        ]

    def decide(self, order: str) -> _Ordered:
        readings = {one: np.array(self.read(one), object) for one in ORDERS}
        is_date = np.any([reading != "" for reading in readings.values()], axis=0)
        # 2021-09-05 is year, month, day all over the world, but where another cell says that it is not.
        asks = is_date & ((self.lengths[:, 0] < 4) | ((readings["YMD"] == "") & (readings["YDM"] != "")))
        if not asks.any():
            return _Ordered()
        example = self.cells[int(np.flatnonzero(asks)[0])][:20]
        if order:
            return _Ordered(order, f"dates like '{example}' were read as {WORDS[order]}")
        if (self.lengths[asks, 0] == 4).all():
            asks = is_date
        fitting = [one for one, reading in readings.items() if (reading[asks] != "").all()]
        if not fitting:
            best = max(readings, key=lambda one: int((readings[one][asks] != "").sum()))
            odd = self.cells[int(np.flatnonzero(asks & (readings[best] == ""))[0])][:20]
            usual = self.cells[int(np.flatnonzero(asks & (readings[best] != ""))[0])][:20]
            return _Ordered(
                problem=f"no single order of day, month and year fits both '{usual}' and '{odd}'; write YYYY-MM-DD"
            )
        fitting = self._drop_changing_years(fitting, asks)
        different: dict[tuple[str, ...], str] = {}
        for one in fitting:
            different.setdefault(tuple(readings[one][asks]), one)
        if len(different) == 1:
            return _Ordered(fitting[0], f"dates like '{example}' were read as {WORDS[fitting[0]]}")
        row = next(
            row for row in np.flatnonzero(asks) if len({readings[one][row] for one in different.values()}) == len(different)
            or row == np.flatnonzero(asks)[-1]
        )  # fmt: skip
        ways = " or ".join(f"{readings[one][row]} ({one})" for one in different.values())
        return _Ordered(
            problem=f"'{self.cells[row][:20]}' can be {ways}, and every cell allows both; choose with --date-order "
            f"{next(iter(different.values()))}, or write YYYY-MM-DD"
        )

    def _drop_changing_years(self, fitting: list[str], asks: np.ndarray) -> list[str]:
        """Of two-digit years that may stand first or last, the one that never changes is the year, where days do change."""
        first, last = len(set(self.first[asks])), len(set(self.third[asks]))
        if {one[0] == "Y" for one in fitting} != {True, False}:
            return fitting
        if last == 1 and first >= _ENOUGH_DAYS:
            return [one for one in fitting if one[0] != "Y"]
        if first == 1 and last >= _ENOUGH_DAYS:
            return [one for one in fitting if one[0] == "Y"]
        return fitting
