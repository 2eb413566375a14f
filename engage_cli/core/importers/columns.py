"""From the source's columns to ours: found by name or alias, typed, and every cell that means nothing named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.cells import clean_text, parse_counters, parse_dates, parse_scores
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.posts import (
    ALL_COUNTERS,
    CONTENT_COLUMNS,
    COUNTER_ALIASES,
    KNOWN_AFTER,
    OWN,
    SCORE,
    TEXT_COLUMNS,
    plain_name,
)

COLUMNS = (*CONTENT_COLUMNS, *KNOWN_AFTER)
# Compared without case and punctuation: viewCount, view_count and "View count" are one.
ALIASES = {
    "id": ("itemid", "postid", "videoid", "mediaid", "pid", "uuid"),
    "image": ("imagepath", "imagefile", "filename", "file", "thumbnail", "cover", "imageid"),
    "title": ("caption", "headline", "name", "subject"),
    "tags": ("tag", "hashtags", "keywords", "category", "categories"),
    "description": ("desc", "body", "text", "summary"),
    "author": ("authorid", "user", "userid", "username", "channel", "channelid", "creator"),
    "posted_at": ("publishedat", "postedat", "createdat", "date", "timestamp", "postdate", "publishdate", "uploaddate"),
    **COUNTER_ALIASES,
}
NUMERIC_SHARE = 0.95  # of a kept column's cells that are numbers, for it to be one of numbers
MOST_UNUSABLE_DATES = 0.5
# What becomes of cells, said of several and of one.
MISSING, KEPT = ("count as missing", "counts as missing"), ("stay as they are", "stays as it is")


def match_columns(
    columns: Sequence[str], mapping: Mapping[str, str], path: Path, *, needs_counter: bool = True
) -> dict[str, str]:
    """Return our column -> the file's column: --map first, then equal names, then aliases."""
    for ours, theirs in mapping.items():
        if ours not in COLUMNS:
            raise WrongCallError(f"--map names the unknown column '{ours}'; there are: {', '.join(COLUMNS)}")
        if theirs not in columns:
            raise WrongCallError(f"--map {ours}={theirs}: {path} has no column '{theirs}'; it has: {', '.join(columns)}")
    found = dict(mapping)
    taken = set(mapping.values())
    if len(taken) < len(mapping):
        raise WrongCallError("--map names one column of the table twice; each can be one thing only")
    plain = {plain_name(column): column for column in reversed(columns)}
    # Equal names of all columns before any alias: a column `text` may be nobody's description.
    for names in ((lambda ours: (plain_name(ours),)), (lambda ours: ALIASES.get(ours, ()))):
        for ours in COLUMNS:
            if ours == SCORE:
                continue  # by --map alone: a column of that name may be anything
            match = next((plain[name] for name in names(ours) if name in plain and plain[name] not in taken), None)
            if ours not in found and match:
                found[ours] = match
                taken.add(match)
    if needs_counter and not any(column in found for column in KNOWN_AFTER):
        raise EngageError(
            f"{path} has no counter (views, likes, ...) that could be found by name; it has the columns: "
            f"{', '.join(columns)}; name one, as in --map views={columns[-1]}"
        )
    return {ours: found[ours] for ours in COLUMNS if ours in found}


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
    ) -> None:
        """`now` is the moment after which nothing can have been published; None is this moment."""
        self._now = now if now is not None else pd.Timestamp.now(tz="UTC")
        self.notes: list[str] = []
        self._problems: list[pd.DataFrame] = []
        self._path = path
        posts: dict[str, Any] = {}
        for ours, theirs in found.items():
            if ours not in (*KNOWN_AFTER, "posted_at"):
                posts[ours] = clean_text(raw[theirs])
        self._ids = self._make_ids(posts, found, len(raw))
        for ours, theirs in found.items():
            if ours in ALL_COUNTERS:
                posts[ours] = self._counters(raw[theirs], theirs)
            elif ours == SCORE:
                posts[ours], unusable = parse_scores(raw[theirs])
                self._note(raw[theirs], theirs, unusable, "no number")
            elif ours == "posted_at":
                posts[ours] = self._dates(raw[theirs], theirs)
        for theirs in keep:
            posts[OWN + theirs] = self._own_column(raw[theirs], theirs)
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

    def _make_ids(self, posts: dict[str, Any], found: Mapping[str, str], num: int) -> pd.Series:
        if "id" not in posts:
            self.notes.append(
                f"{self._path.name} has no id column; posts are called row1, row2, ..., and their order decides the split"
            )
            return pd.Series([f"row{number + 1}" for number in range(num)], dtype=str)
        ids = posts["id"]
        empty = np.flatnonzero((ids == "").to_numpy())
        if empty.size:
            raise EngageError(
                f"{self._path}, row {empty[0] + 1}: the id (column '{found['id']}') is empty; every post needs one"
            )
        return ids

    def _counters(self, column: pd.Series, theirs: str) -> np.ndarray:
        values, unusable = parse_counters(column)
        self._note(column, theirs, unusable, "no counter")
        self._note(column, theirs, np.isfinite(values) & (values % 1 != 0), "fractional", KEPT)
        return values

    def _dates(self, column: pd.Series, theirs: str) -> pd.Series:
        dates = parse_dates(column, now=self._now)
        num, filled = int(dates.unusable.sum()), int(dates.unusable.sum() + dates.future.sum() + dates.values.notna().sum())
        if num > MOST_UNUSABLE_DATES * filled:
            row = int(np.flatnonzero(dates.unusable)[0])
            raise EngageError(
                f"{self._path}, column '{theirs}', row {row + 1}: '{str(column.iloc[row])[:40]}' is no date, like "
                f"{num:,} of {filled:,} cells; write YYYY-MM-DD or unix seconds, or leave cells empty"
            )
        self._note(column, theirs, dates.unusable, "no date")
        self._note(column, theirs, dates.future, "in the future")
        if dates.note:
            self.notes.append(f"column '{theirs}': {dates.note}")
        return dates.values

    def _own_column(self, column: pd.Series, theirs: str) -> np.ndarray | pd.Series:
        """A kept column is one of numbers where nearly all its cells are numbers, else one of categories."""
        values, unusable = parse_scores(column)
        num_numbers = int(np.isfinite(values).sum())
        if num_numbers and num_numbers >= NUMERIC_SHARE * (num_numbers + int(unusable.sum())):
            self._note(column, theirs, unusable, "no number")
            return values
        return clean_text(column)

    def _note(self, column: pd.Series, theirs: str, mask: np.ndarray, what: str, then: tuple[str, str] = MISSING) -> None:
        rows = np.flatnonzero(mask)
        if not rows.size:
            return
        cells = column.iloc[rows].astype(str).str.slice(0, 60).str.replace(r"\s+", " ", regex=True)
        first = f"first in row {rows[0] + 1}: '{cells.iloc[0][:40]}'"
        self.notes.append(f"column '{theirs}': {rows.size:,} cells are {what} and {then[0]} ({first})")
        problems = [f"{theirs}: '{cell}' is {what} and {then[1]}" for cell in cells]
        self._problems.append(pd.DataFrame({"row": rows + 1, "id": self._ids.iloc[rows].to_numpy(), "problem": problems}))
