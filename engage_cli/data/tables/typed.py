"""Cells under our names and types, with every cell that means nothing named."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.cells._dates import parse_dates
from engage_cli.data.cells._tags import parse_tags
from engage_cli.data.cells.numbers import Numbers, parse_counters, parse_scores
from engage_cli.data.cells.texts import clean_text, mend_text
from engage_cli.data.schema import KNOWN_AFTER, OWN, SCORE, TEXT_COLUMNS
from engage_cli.data.table_format import CATEGORY, COUNTER, DATE, NUMBER, TAGS, TEXT, ColumnFormat
from engage_cli.data.tables._categories import is_category
from engage_cli.data.tables.options import AS_IT_SHOWS, ReadOptions
from engage_cli.errors import EngageError

MOST_UNUSABLE_DATES = 0.5
MOST_WITHOUT_ID = 0.5
# What becomes of cells, said of several and of one.
MISSING, KEPT = ("count as missing", "counts as missing"), ("stay as they are", "stays as it is")
NO_ID = "no id"


class Typed:
    """Posts under our names and types, with notes for the user and the problems of single cells."""

    def __init__(
        self,
        raw: pd.DataFrame,
        found: Mapping[str, str],
        path: Path,
        keep: Sequence[str] = (),
        *,
        now: pd.Timestamp | None = None,
        options: ReadOptions = AS_IT_SHOWS,
        numbers: frozenset[str] = frozenset(),
        known: Mapping[str, ColumnFormat] | None = None,
        must: frozenset[str] = frozenset(),
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """`now` is the moment after which nothing can have been published; None is this moment.

        `numbers` are columns that are numbers in the file; `known` is how a run's own table was written, by our names;
        `must` are columns of ours of which some cell has to be readable; `kinds` says what kept columns are.
        """
        self._now = now if now is not None else pd.Timestamp.now(tz="UTC")
        self._options, self._numbers, self._known, self._path = options, numbers, known or {}, path
        self.notes: list[str] = []
        self.formats: dict[str, ColumnFormat] = {}
        self._problems: list[pd.DataFrame] = []
        texts = {
            ours: self._text(raw[theirs], ours, theirs)
            for ours, theirs in found.items()
            if ours not in (*KNOWN_AFTER, "posted_at")
        }
        posts: dict[str, pd.Series | np.ndarray] = {**texts}
        self._ids = self._make_ids(texts.get("id"), found, len(raw))
        for ours, theirs in found.items():
            if ours in KNOWN_AFTER:
                posts[ours] = self._outcome(raw[theirs], ours, theirs, is_needed=ours in must)
            elif ours == "posted_at":
                posts[ours] = self._dates(raw[theirs], theirs)
        for theirs in keep:
            posts[OWN + theirs] = self._own_column(raw[theirs], theirs, (kinds or {}).get(theirs, ""))
        self.posts = pd.DataFrame(posts, index=raw.index)
        self.posts["id"] = self._ids
        for column in TEXT_COLUMNS:
            if column not in self.posts:
                self.posts[column] = ""
        self.posts["source_row"] = np.arange(1, len(raw) + 1)
        outcomes = [ours for ours in KNOWN_AFTER if ours in self.posts]
        empty = [ours for ours in outcomes if self.posts[ours].isna().all()]
        if len(empty) < len(outcomes):
            self.notes += [f"column '{found[ours]}' has no usable cell and counts as absent" for ours in empty]
            self.posts = self.posts.drop(columns=empty)

    @property
    def problems(self) -> pd.DataFrame:
        """Return row, id, problem of each cell that could not be used."""
        empty = pd.DataFrame({"row": pd.Series(dtype=int), "id": pd.Series(dtype=str), "problem": pd.Series(dtype=str)})
        return pd.concat([empty, *self._problems], ignore_index=True)

    def _text(self, column: pd.Series, ours: str, theirs: str) -> pd.Series:
        if ours in TEXT_COLUMNS:
            text, notes = parse_tags(column) if ours == "tags" else mend_text(column)
            self.notes += [f"column '{theirs}': {note}" for note in notes]
            self.formats[ours] = ColumnFormat(name=theirs, kind=TAGS if ours == "tags" else TEXT)
            return text
        text = clean_text(column)
        if ours == "image":
            return self._first_image(text, theirs)
        self.formats[ours] = ColumnFormat(name=theirs, kind=TEXT)
        return text

    def _first_image(self, text: pd.Series, theirs: str) -> pd.Series:
        """Of several images of one post, as in a carousel, the first is its cover."""
        several = text.str.contains(r"^\[|[|;\n]", regex=True)
        if not several.any():
            return text
        firsts = text[several].map(_first_of)
        if num := int((firsts != text[several]).sum()):
            self.notes.append(f"column '{theirs}': {num:,} cells name several images; the first is the cover")
        return text.where(~several, firsts.reindex(text.index)).astype(str)

    def _make_ids(self, ids: pd.Series | None, found: Mapping[str, str], num: int) -> pd.Series:
        if ids is None:
            self.notes.append(
                f"{self._path.name} has no id column; posts are called row1, row2, ..., and their order decides the split"
            )
            return pd.Series([f"row{number + 1}" for number in range(num)], dtype=str)
        empty = np.flatnonzero((ids == "").to_numpy())
        if empty.size > MOST_WITHOUT_ID * num:
            raise EngageError(
                f"{self._path}: the id (column '{found['id']}') is empty in {empty.size:,} of {num:,} rows, first in "
                f"row {empty[0] + 1}; name another with --map id=COLUMN"
            )
        return ids

    def _outcome(self, column: pd.Series, ours: str, theirs: str, *, is_needed: bool) -> np.ndarray:
        what = "not a number" if ours == SCORE else "not a count"
        decimal = self._options.decimal or (self._known[ours].decimal if ours in self._known else "")
        parse = parse_scores if ours == SCORE else parse_counters
        numbers = parse(column, decimal=decimal, is_typed=theirs in self._numbers)
        self._say_style(numbers, theirs)
        known = np.isfinite(numbers.values)
        if is_needed and numbers.unusable.any() and not known.any():
            row, filled = int(np.flatnonzero(numbers.unusable)[0]), int(numbers.unusable.sum())
            raise EngageError(
                f"{self._path}, column '{theirs}', row {row + 1}: '{str(column.iloc[row])[:40]}' is {what}, like "
                f"{filled:,} of {filled:,} cells; write plain numbers, or name another column with --map {ours}=COLUMN"
            )
        self._note(column, theirs, numbers.unusable, what)
        if ours != SCORE:
            self._note(column, theirs, known & (np.where(known, numbers.values, 0) % 1 != 0), "fractional", KEPT)
        self.formats[ours] = ColumnFormat(name=theirs, kind=COUNTER, decimal=numbers.style.decimal)
        return numbers.values

    def _dates(self, column: pd.Series, theirs: str) -> pd.Series:
        known = self._known["posted_at"].date_order if "posted_at" in self._known else ""
        dates = parse_dates(column, now=self._now, order=self._options.date_order or known)
        if dates.problem:
            raise EngageError(f"{self._path}, column '{theirs}': {dates.problem}")
        num, filled = int(dates.unusable.sum()), int(dates.unusable.sum() + dates.future.sum() + dates.values.notna().sum())
        if num > MOST_UNUSABLE_DATES * filled:
            row = int(np.flatnonzero(dates.unusable)[0])
            raise EngageError(
                f"{self._path}, column '{theirs}', row {row + 1}: '{str(column.iloc[row])[:40]}' is not a date, like "
                f"{num:,} of {filled:,} cells; write YYYY-MM-DD or unix seconds, or leave cells empty"
            )
        self._note(column, theirs, dates.unusable, "not a date")
        self._note(column, theirs, dates.future, "in the future")
        if dates.note:
            self.notes.append(f"column '{theirs}': {dates.note}")
        self.formats["posted_at"] = ColumnFormat(name=theirs, kind=DATE, date_order=dates.order)
        return dates.values

    def _own_column(self, column: pd.Series, theirs: str, kind: str) -> np.ndarray | pd.Series:
        """A kept column is what its run or the user says; else numbers if nearly all its cells are, and not codes."""
        known = self._known.get(OWN + theirs)
        kind, decimal = (known.kind, known.decimal) if known is not None else (kind, self._options.decimal)
        if kind != CATEGORY:
            numbers = parse_scores(column, decimal=decimal, is_typed=theirs in self._numbers)
            if kind == NUMBER or not is_category(theirs, column, numbers):
                self._say_style(numbers, theirs)
                self._note(column, theirs, numbers.unusable, "not a number")
                self.formats[OWN + theirs] = ColumnFormat(name=theirs, kind=NUMBER, decimal=numbers.style.decimal)
                return numbers.values
            if np.isfinite(numbers.values).all() and len(column):
                self.notes.append(
                    f"column '{theirs}' holds codes and was read as categories; --keep {theirs}:number reads it as numbers"
                )
        self.formats[OWN + theirs] = ColumnFormat(name=theirs, kind=CATEGORY)
        return clean_text(column)

    def _say_style(self, numbers: Numbers, theirs: str) -> None:
        if numbers.problem:
            raise EngageError(f"{self._path}, column '{theirs}': {numbers.problem}")
        self.notes += [f"column '{theirs}': {note}" for note in numbers.notes]

    def _note(self, column: pd.Series, theirs: str, mask: np.ndarray, what: str, then: tuple[str, str] = MISSING) -> None:
        rows = np.flatnonzero(mask)
        if not rows.size:
            return
        cells = column.iloc[rows].astype(str).str.slice(0, 60).str.replace(r"\s+", " ", regex=True)
        first = f"first in row {rows[0] + 1}: '{cells.iloc[0][:40]}'"
        are = (
            f"1 cell is {what} and {then[1]}"
            if rows.size == 1
            else f"{rows.size:,} cells are {_several(what)} and {then[0]}"
        )
        self.notes.append(f"column '{theirs}': {are} ({first})")
        problems = [f"{theirs}: '{cell}' is {what} and {then[1]}" for cell in cells]
        self._problems.append(pd.DataFrame({"row": rows + 1, "id": self._ids.iloc[rows].to_numpy(), "problem": problems}))


def _several(what: str) -> str:
    """Return "not dates" for "not a date"."""
    return f"{what.replace('not a ', 'not ')}s" if what.startswith("not a ") else what


def unknown_where_switched_off(
    posts: pd.DataFrame, raw: pd.DataFrame, switches: Mapping[str, tuple[Sequence[str], bool]]
) -> list[str]:
    """Make counters unknown where a column says that they are hidden or switched off; return notes.

    `switches` are the file's column -> counters of ours, and what the column says where they are off.
    """
    notes = []
    for column, (counters, off) in switches.items():
        says = raw[column].str.strip().str.lower().isin(("true", "1", "1.0", "yes", "t", "y")).to_numpy()
        filled = (raw[column].str.strip() != "").to_numpy()
        hidden = filled & (says == off)
        for ours in counters:
            if ours in posts:
                rows = hidden & ~(posts[ours] > 0).to_numpy() & posts[ours].notna().to_numpy()
                if rows.any():
                    posts.loc[rows, ours] = np.nan
                    notes.append(
                        f"{int(rows.sum()):,} posts have no known {ours}: column '{column}' says they are switched off"
                    )
    return notes


def _first_of(cell: str) -> str:
    if cell.startswith("["):
        try:
            items = json.loads(cell.replace("'", '"'))
        except ValueError:
            items = None
        if isinstance(items, list) and items:
            first = items[0]
            return str(next(iter(first.values()), "")) if isinstance(first, dict) else str(first)
    return next((part.strip() for part in re.split(r"[|;\n]", cell) if part.strip()), "")
