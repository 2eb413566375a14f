"""The numbers of posts that kernels compare: counts in titles, the author's record, age, followers and duration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from engage_cli.data.ages.growth import Growth
from engage_cli.data.known_columns import DURATION, FOLLOWERS, NUMBER_ROLES, log_of_role, role_of
from engage_cli.data.schema import AUTHOR_COLUMNS, LOG_AGE
from engage_cli.features.handcrafted import TITLE_FEATURES, measure_texts

HISTORY = AUTHOR_COLUMNS
GROWTH = "growth"
NUMBERS = ("age", "followers", "duration", GROWTH)  # each a kernel of its own
NUM_STATISTICS = len(TITLE_FEATURES) + len(HISTORY)


def statistics_of(posts: pd.DataFrame) -> np.ndarray:
    """(n, F): what is counted in the title, and the author's history."""
    titles = posts["title"].fillna("").astype(str)
    numbers = measure_texts(titles, TITLE_FEATURES).to_numpy(np.float64)
    history = [posts[name].to_numpy(np.float64) if name in posts else np.full(len(posts), np.nan) for name in HISTORY]
    return np.column_stack([np.log1p(np.maximum(numbers, 0.0)), *history])


def numbers_of(posts: pd.DataFrame) -> list[str]:
    """Return the columns of numbers, beside the date, that any of the posts has and kernels read."""
    roles = [name for name in posts.columns if role_of(name) in NUMBER_ROLES and is_numeric_dtype(posts[name])]
    first = {role_of(name): name for name in reversed(roles)}
    return [name for name in (*HISTORY, LOG_AGE, *first.values()) if name in posts and posts[name].notna().any()]


def kernel_numbers(posts: pd.DataFrame, growth: Growth) -> np.ndarray:
    """(n, NUMBERS): logs of the age of the counters, of the author's followers, of the duration, and how far the counters
    have grown; NaN where unknown.
    """
    age = posts[LOG_AGE].to_numpy(np.float64) if LOG_AGE in posts else np.full(len(posts), np.nan)
    return np.column_stack([age, log_of_role(posts, FOLLOWERS), log_of_role(posts, DURATION), growth.curve(age)])


def scale_of(numbers: np.ndarray) -> np.ndarray:
    """(2, F) float32 means and deviations of known numbers; a deviation of nearly 0 is taken as 1."""
    known = np.isfinite(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, numbers, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, numbers - mean, 0.0) ** 2).sum(axis=0) / count)
    return np.stack([mean, np.where(deviation > 1e-6, deviation, 1.0)]).astype(np.float32)
