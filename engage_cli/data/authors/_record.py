"""An author's record at a moment, from posts published strictly before it.

author_is_new           1 where the author has no earlier post, else 0
author_success          log1p of views of earlier posts: recent ones count more, and few draw to the mean of others' posts
author_trend            how much more the recent ones got than all of them, drawn to 0 where there are few
author_posts_per_week   how often the author has published lately
author_days_since_last  log1p(days) since the last post; NaN of a new author

With w the sum of weights 2^(-age / HALF_LIFE), y their weighted mean and m the mean of other authors' posts, success is
(w y + k m) / (w + k), the posterior mean of a normal model (James and Stein 1961; Efron and Morris 1975): k is the
variance of one author's posts over the variance between authors, both estimated by moments from the posts seen so far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RECORD_COLUMNS = ("author_is_new", "author_success", "author_trend", "author_posts_per_week", "author_days_since_last")
HALF_LIFE, RECENT_HALF_LIFE, RATE_HALF_LIFE = 180.0, 30.0, 28.0  # days
FIRST_K, LEAST_K, MOST_K = 2.0, 0.1, 50.0  # posts that the others' mean counts as; the first where nothing tells it
LEAST_REPEATS = 20  # posts beyond each author's first, for k to be estimated


@dataclass(slots=True)
class _Fading:
    """A sum that halves in so many days."""

    half_life: float
    day: float = 0.0
    weight: float = 0.0
    total: float = 0.0

    def at(self, day: float) -> float:
        """Return what an addition of before this day still counts."""
        return float(0.5 ** ((day - self.day) / self.half_life))

    def add(self, day: float, value: float) -> None:
        fade = self.at(day)
        self.weight, self.total, self.day = self.weight * fade + 1.0, self.total * fade + value, day


class _Moments:
    """Number, mean and sum of squares about the mean (Welford 1962)."""

    __slots__ = ("mean", "num", "squares")

    def __init__(self) -> None:
        self.num, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> float:
        """Return how much the sum of squares grew."""
        self.num += 1
        away = value - self.mean
        self.mean += away / self.num
        grown = away * (value - self.mean)
        self.squares += grown
        return grown


class _Author:
    __slots__ = ("last", "moments", "rate", "recent", "success")

    def __init__(self) -> None:
        self.last = 0.0
        self.moments = _Moments()
        self.success, self.recent, self.rate = _Fading(HALF_LIFE), _Fading(RECENT_HALF_LIFE), _Fading(RATE_HALF_LIFE)


class _Record:
    """What is known at a moment of all authors."""

    def __init__(self) -> None:
        self.authors: dict[object, _Author] = {}
        self.all, self.within, self.num_repeats = _Moments(), 0.0, 0

    def add(self, name: object, day: float, success: float) -> None:
        author = self.authors.setdefault(name, _Author())
        author.last = day
        author.rate.add(day, 0.0)
        if np.isnan(success):
            return
        author.success.add(day, success)
        author.recent.add(day, success)
        self.num_repeats += author.moments.num > 0
        self.within += author.moments.add(success)
        self.all.add(success)

    def k(self) -> float:
        if self.num_repeats < LEAST_REPEATS:
            return FIRST_K
        within = self.within / self.num_repeats
        between = self.all.squares / (self.all.num - 1) - within
        return float(np.clip(within / between, LEAST_K, MOST_K)) if between > 0 else MOST_K

    def of(self, name: object, day: float, k: float) -> tuple[float, ...]:
        author = self.authors.get(name)
        if author is None:
            return 1.0, self.all.mean if self.all.num else np.nan, 0.0, 0.0, np.nan
        own, num = author.moments, self.all.num - author.moments.num
        others = (self.all.mean * self.all.num - own.mean * own.num) / num if num else np.nan
        success, trend = others, 0.0
        if own.num:
            weight = author.success.weight * author.success.at(day)
            mean = author.success.total / author.success.weight
            recent = author.recent.weight * author.recent.at(day)
            success = max(0.0, (weight * mean + k * others) / (weight + k) if num else mean)
            trend = recent / (recent + k) * (author.recent.total / author.recent.weight - mean)
        per_week = 7.0 * np.log(2.0) / RATE_HALF_LIFE * author.rate.weight * author.rate.at(day)
        return 0.0, success, trend, per_week, float(np.log1p(day - author.last))


def records_of(authors: np.ndarray, days: np.ndarray, success: np.ndarray) -> np.ndarray:
    """Return (n, RECORD_COLUMNS) of posts by these authors (n,), on these days (n,), which got so much (n,), NaN unknown.

    Posts of one moment do not see each other.
    """
    found = np.full((len(days), len(RECORD_COLUMNS)), np.nan)
    order = np.argsort(days, kind="stable")
    ends = np.flatnonzero(np.diff(days[order])) + 1
    record = _Record()
    for rows in np.split(order, ends):
        k = record.k()
        for row in rows.tolist():
            found[row] = record.of(authors[row], float(days[row]), k)
        for row in rows.tolist():
            record.add(authors[row], float(days[row]), float(success[row]))
    return found
