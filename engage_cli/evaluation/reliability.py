"""What predictions promise beside what came true: intervals, the probability of the predicted class, and misses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engage_cli.metrics.metrics import NUM_BINS

FIFTHS = ("lowest", "second", "third", "fourth", "highest")  # of the predictions
EDGES = (0.2, 0.4, 0.6, 0.8)
WITHIN_95 = 1.959963984540054  # standard deviations
MOST_BANDS, ROWS_PER_BAND = 12, 25


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """How many of some posts are so, with the 95 % interval of Wilson (1927)."""

    name: str
    hits: int
    rows: int

    @property
    def share(self) -> float:
        return self.hits / self.rows

    @property
    def low(self) -> float:
        return max(0.0, min(self.share, self._centre - self._half))  # exact where none or all are so

    @property
    def high(self) -> float:
        return min(1.0, max(self.share, self._centre + self._half))

    @property
    def _centre(self) -> float:
        return (self.hits + WITHIN_95**2 / 2) / (self.rows + WITHIN_95**2)

    @property
    def _half(self) -> float:
        inner = self.share * (1 - self.share) * self.rows + WITHIN_95**2 / 4
        return WITHIN_95 * math.sqrt(inner) / (self.rows + WITHIN_95**2)


@dataclass(frozen=True, kw_only=True)
class Band:
    """The misses of posts with about the same prediction."""

    predicted: float  # their median
    low: float  # 80 % of the misses lie between low and high
    median: float
    high: float
    rows: int


def coverage_by_fifth(true: np.ndarray, predicted: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[Proportion]:
    """Return how many truths lie in their intervals: of all posts, then of each fifth of the predictions that has posts."""
    inside = (low <= true) & (true <= high)
    fifths = np.searchsorted(np.quantile(predicted, EDGES), predicted, side="left")
    parts = [(name, fifths == place) for place, name in enumerate(FIFTHS)]
    return [
        Proportion(name=name, hits=int(inside[rows].sum()), rows=int(rows.sum()))
        for name, rows in [("all", np.ones(len(true), bool)), *parts]
        if rows.any()
    ]


def reliability(true: np.ndarray, probabilities: np.ndarray) -> list[tuple[float, Proportion]]:
    """Return the mean probability of the predicted class, and how often it is right, in the bins of `metrics.ece`."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == true
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    return [
        (
            float(confidence[bins == place].mean()),
            Proportion(name=f"{place}/{NUM_BINS}", hits=int(right[bins == place].sum()), rows=int((bins == place).sum())),
        )
        for place in np.unique(bins)
    ]


def miss_bands(predicted: np.ndarray, misses: np.ndarray) -> list[Band]:
    """Return bands of about as many posts each, by rising prediction; equal predictions stay together."""
    num = max(1, min(MOST_BANDS, len(predicted) // ROWS_PER_BAND))
    edges = np.unique(np.quantile(predicted, np.arange(1, num) / num))
    places = np.searchsorted(edges, predicted, side="left")
    found = []
    for place in np.unique(places):
        rows = places == place
        low, median, high = (float(value) for value in np.quantile(misses[rows], (0.1, 0.5, 0.9)))
        found.append(
            Band(predicted=float(np.median(predicted[rows])), low=low, median=median, high=high, rows=int(rows.sum()))
        )
    return found
