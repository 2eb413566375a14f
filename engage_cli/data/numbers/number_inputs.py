"""What is known of a post in numbers, as a network reads it: standardised by the training posts, with a flag where unknown.

The date's hour and weekday, the author's record, the age of the counters, followers, duration and what the words let
expect; and of a column of categories whether a post is of each frequent one. Beyond the lowest and the highest value of
the training posts a number stays there: nothing was learned of what lies beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from pydantic import AfterValidator, Field

from engage_cli.data.ages.growth import Growth, fit_growth
from engage_cli.data.known_columns import CATEGORY, NUMBER_ROLES, role_of
from engage_cli.data.schema import HISTORY_COLUMNS, LOG_AGE, OWN
from engage_cli.io.ranges import Number, Positive
from engage_cli.io.records import record

NUMBERS = "numbers"  # what a network's input of them is called, beside its blocks
WORDS = "words_score"  # of features.groups.ridge_scores: what the words alone let expect
PLAIN = (*HISTORY_COLUMNS, LOG_AGE, WORDS)
MOST_CATEGORIES, FEWEST_OF_ONE = 30, 10  # posts of a category, for it to be told from others


def _known_name(name: str) -> str:
    if name not in PLAIN and not name.startswith(OWN):
        raise ValueError(f"'{name[:40]}' is no column that is known before publication")
    return name


KnownName = Annotated[str, AfterValidator(_known_name)]


@record
class NumberScale:
    """A column of numbers as the training posts have it; of one that is counted, in log1p."""

    column: KnownName
    is_log: bool
    mean: Number
    std: Positive
    low: Number
    high: Number

    def read(self, posts: pd.DataFrame) -> np.ndarray:
        """(n,) float64; NaN where unknown."""
        return np.clip(_numbers(posts, self.column, is_log=self.is_log), self.low, self.high)


@record
class CategoryLevel:
    column: KnownName
    value: str


@record
class NumberInputs:
    """Fitted on training posts. `growth` is what values of any age are compared by, before a network sees them."""

    scales: tuple[NumberScale, ...]
    levels: Annotated[tuple[CategoryLevel, ...], Field(max_length=10 * MOST_CATEGORIES)]
    growth: Growth | None

    @property
    def width(self) -> int:
        return 2 * len(self.scales) + len(self.levels)

    @property
    def columns(self) -> Mapping[str, str]:
        """Column of posts -> whether it holds a number or a category."""
        levels = dict.fromkeys((level.column for level in self.levels), "category")
        numbers = (scale.column for scale in self.scales if scale.column != WORDS)
        return {**dict.fromkeys(numbers, "number"), **levels}

    def rows(self, posts: pd.DataFrame) -> np.ndarray:
        """(n, width) float32: of each number its standardised value (0 where unknown) and whether it is unknown."""
        found = np.zeros((len(posts), self.width), np.float32)
        for place, scale in enumerate(self.scales):
            values = scale.read(posts)
            found[:, 2 * place] = np.nan_to_num((values - scale.mean) / scale.std)
            found[:, 2 * place + 1] = np.isnan(values)
        for place, level in enumerate(self.levels, start=2 * len(self.scales)):
            if level.column in posts:
                found[:, place] = posts[level.column].fillna("").astype(str) == level.value
        return found

    def start(self, posts: pd.DataFrame) -> np.ndarray:
        """(n,) what a value begins at, for the age of its counters alone; 0 where none is known."""
        if self.growth is None or LOG_AGE not in posts:
            return np.zeros(len(posts))
        return self.growth.offset(posts[LOG_AGE].to_numpy(np.float64))


def fit_number_inputs(posts: pd.DataFrame, truth: np.ndarray | None = None) -> NumberInputs | None:
    """Fit on training posts (n), without counters; None where nothing is known of them in numbers.

    `truth` (n,) are values, from which the growth of counters with age is learned.
    """
    roles = [str(name) for name in posts.columns if role_of(str(name)) in NUMBER_ROLES and is_numeric_dtype(posts[name])]
    counted = {role_of(name): name for name in reversed(roles)}  # the first column of each role
    asked = [*((name, False) for name in PLAIN if name in posts), *((name, True) for name in counted.values())]
    scales = [scale for name, is_log in asked if (scale := _scale(posts, name, is_log=is_log)) is not None]
    levels = [level for name in posts.columns if role_of(str(name)) == CATEGORY for level in _levels(posts, str(name))]
    if not scales and not levels:
        return None
    has_age = any(scale.column == LOG_AGE for scale in scales)
    growth = fit_growth(posts, truth) if truth is not None and has_age else None
    return NumberInputs(scales=tuple(scales), levels=tuple(levels), growth=growth)


def _scale(posts: pd.DataFrame, column: str, *, is_log: bool) -> NumberScale | None:
    """Return the scale of a column; None where all posts that have it have the same."""
    values = _numbers(posts, column, is_log=is_log)
    known = values[np.isfinite(values)]
    if not len(known) or not known.std() > 1e-6:
        return None
    mean, std, low, high = map(float, (known.mean(), known.std(), known.min(), known.max()))
    return NumberScale(column=column, is_log=is_log, mean=mean, std=std, low=low, high=high)


def _levels(posts: pd.DataFrame, column: str) -> list[CategoryLevel]:
    values = posts[column].dropna().astype(str)
    counts = values[values != ""].value_counts()
    frequent = sorted(counts.index[counts >= FEWEST_OF_ONE], key=lambda value: (-counts[value], value))
    return [CategoryLevel(column=column, value=value) for value in frequent[:MOST_CATEGORIES]]


def _numbers(posts: pd.DataFrame, column: str, *, is_log: bool) -> np.ndarray:
    if column not in posts:
        return np.full(len(posts), np.nan)
    values = posts[column].to_numpy(np.float64)
    return np.log1p(np.where(values >= 0, values, np.nan)) if is_log else values
