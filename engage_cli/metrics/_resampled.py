"""Metrics of rows drawn again with replacement, from how often each row was drawn.

A draw of n rows costs n steps, not a sort: ranks, ties and confusions of a draw follow from the counts of its rows. All is
exact but for Kendall's tau and the accuracy of pairs, whose number of concordant pairs is taken to first order in the
counts (Hoeffding 1948): the rest is about 1 / sqrt(n) of the width of an interval. So few rows are not computed this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Protocol

import numpy as np

from engage_cli.config.general import CLASS_NAMES

NUM_CLASSES = len(CLASS_NAMES)
MOST_RANKED = 100  # of nDCG


class Resampled(Protocol):
    """Metrics of some rows."""

    @property
    def metrics(self) -> Mapping[str, Callable[[], float]]: ...

    def draw(self, counts: np.ndarray) -> None:
        """Take the draw in which each row came so often, (n,) int64: the metrics are then those of it."""
        ...


class _Side:
    """Truths, or predictions: places of their equal values, and after a draw how many each has and its mean rank."""

    def __init__(self, values: np.ndarray) -> None:
        self.distinct, self.place = np.unique(values, return_inverse=True)

    def draw(self, counts: np.ndarray) -> None:
        self.num = np.bincount(self.place, weights=counts, minlength=len(self.distinct))
        self.rank = np.cumsum(self.num) - (self.num - 1) / 2
        self.ranks = self.rank[self.place]
        self.is_constant = np.count_nonzero(self.num) < 2
        self.untied = self.num.sum() * (self.num.sum() - 1) / 2 - (self.num * (self.num - 1) / 2).sum()

    def first(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the highest values that hold the first `most` rows, and where each begins and ends."""
        falling = self.num[::-1]
        ends = np.cumsum(falling)
        last = min(int(np.searchsorted(ends, most)) + 1, len(ends))
        places = np.arange(len(falling) - 1, len(falling) - 1 - last, -1)
        return places, np.stack([ends[:last] - falling[:last], ends[:last]])


class ResampledValues:
    """Of values: true (n,) and predicted (n,)."""

    def __init__(self, true: np.ndarray, predicted: np.ndarray) -> None:
        self.true, self.predicted = _Side(true), _Side(predicted)
        centred, misses = true - true.mean(), true - predicted
        self.sums = np.stack([centred, centred**2, misses**2, np.abs(misses)])
        self.discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(MOST_RANKED) + 2))])

    @cached_property
    def _concordance(self) -> np.ndarray:
        """(n,) with how many rows each is in one order on both sides, less those with which it is not."""
        one, other = self.true.place, self.predicted.place
        concordant = _dominated(one, other) + _dominated(-one, -other)
        return concordant - _dominated(one, -other) - _dominated(-one, other)

    def draw(self, counts: np.ndarray) -> None:
        self.counts, self.num = counts, int(counts.sum())
        self.true.draw(counts)
        self.predicted.draw(counts)
        self.level, self.squares, self.error, self.away = self.sums @ counts

    @property
    def metrics(self) -> Mapping[str, Callable[[], float]]:
        return {
            "r2": self._r2,
            "mae": lambda: float(self.away / self.num),
            "rmse": lambda: float(np.sqrt(self.error / self.num)),
            "spearman": self._spearman,
            "kendall": self._kendall,
            "pairwise_accuracy": self._pairwise_accuracy,
            "ndcg_at_100": self._ndcg,
            "precision_at_10pct": self._precision,
        }

    def _r2(self) -> float:
        spread = 0.0 if self.true.is_constant else float(self.squares - self.level**2 / self.num)
        return 1.0 - float(self.error) / spread if spread > 0 else 0.0

    def _spearman(self) -> float:
        if self.true.is_constant or self.predicted.is_constant:
            return 0.0
        middle = (self.num + 1) / 2
        one, other = self.true.ranks - middle, self.predicted.ranks - middle
        spreads = [float((side.num * (side.rank - middle) ** 2).sum()) for side in (self.true, self.predicted)]
        return float((self.counts * one) @ other / np.sqrt(spreads[0] * spreads[1]))

    @property
    def _excess(self) -> float:
        """Concordant less discordant pairs."""
        own = self._concordance
        return float((2 * self.counts - 1) @ own - own.sum() / self.num) / 2

    def _kendall(self) -> float:
        if self.true.is_constant or self.predicted.is_constant:
            return 0.0
        return float(np.clip(self._excess / np.sqrt(self.true.untied * self.predicted.untied), -1.0, 1.0))

    def _pairwise_accuracy(self) -> float:
        if self.true.is_constant:
            return 0.5
        excess = 0.0 if self.predicted.is_constant else self._excess
        return float(np.clip(0.5 + excess / (2 * self.true.untied), 0.0, 1.0))

    def _ndcg(self) -> float:
        if self.num < 2:
            return 1.0
        gained = [self._gain(side) for side in (self.predicted, self.true)]
        return gained[0] / gained[1] if gained[1] > 0 else 0.0

    def _gain(self, side: _Side) -> float:
        """Return the discounted gain of the first rows in an order; those that tie in it share."""
        places, ends = side.first(MOST_RANKED)
        rows = np.flatnonzero(side.place >= places[-1])
        gains = self.counts[rows] * (self.true.ranks[rows] - 1) / (self.num - 1)
        of_place = np.bincount(places[0] - side.place[rows], weights=gains, minlength=len(places))
        starts, stops = np.minimum(ends, MOST_RANKED).astype(int)
        num = np.maximum(ends[1] - ends[0], 1)
        return float((of_place / num) @ (self.discounts[stops] - self.discounts[starts]))

    def _precision(self) -> float:
        most = max(1, round(self.num / 10))
        edge = self.true.first(most)[0][-1]
        places, ends = self.predicted.first(most)
        above, tied = float(ends[0, -1]), float(ends[1, -1] - ends[0, -1])
        share = (self.predicted.place > places[-1]) + (self.predicted.place == places[-1]) * ((most - above) / tied)
        return float((self.counts * share)[self.true.place >= edge].sum() / most)


class ResampledClasses:
    """Of classes: true (n,) int64 and probabilities (n, 5)."""

    def __init__(self, true: np.ndarray, predicted: np.ndarray) -> None:
        from engage_cli.metrics.metrics import NUM_BINS, median_classes

        self.num_bins = NUM_BINS
        named = predicted.argmax(axis=1)
        confidence = predicted.max(axis=1)
        self.bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
        self.gap = confidence - (named == true)
        self.cells = {"named": true * NUM_CLASSES + named, "median": true * NUM_CLASSES + median_classes(predicted)}
        self.away = np.abs(np.arange(NUM_CLASSES)[:, None] - np.arange(NUM_CLASSES)[None])

    def draw(self, counts: np.ndarray) -> None:
        self.num = int(counts.sum())
        side = (NUM_CLASSES, NUM_CLASSES)
        self.seen, self.of_median = (
            np.bincount(cells, weights=counts, minlength=NUM_CLASSES**2).reshape(side) for cells in self.cells.values()
        )
        self.gaps = np.bincount(self.bins, weights=counts * self.gap, minlength=self.num_bins)
        self.support, self.named = self.seen.sum(axis=1), self.seen.sum(axis=0)
        both = self.support + self.named
        self.f1 = 2 * self.seen.diagonal() / np.where(both > 0, both, 1)
        self.is_there = both > 0

    @property
    def metrics(self) -> Mapping[str, Callable[[], float]]:
        found: dict[str, Callable[[], float]] = {
            "accuracy": self._accuracy,
            "majority_lift": lambda: self._accuracy() - float(self.support.max() / self.num),
            "macro_f1": lambda: float(self.f1[self.is_there].mean()),
            "weighted_f1": lambda: float(self.f1 @ self.support / self.num),
            "kappa": lambda: self._kappa(self.seen),
            "ordinal_mae": lambda: float((self.away * self.seen).sum() / self.num),
            "median_kappa": lambda: self._kappa(self.of_median),
            "median_ordinal_mae": lambda: float((self.away * self.of_median).sum() / self.num),
            "ece": lambda: float(np.abs(self.gaps).sum() / self.num),
        }
        for label, name in enumerate(CLASS_NAMES):
            found[f"recall_{name.lower().replace(' ', '_')}"] = lambda label=label: self._recall(label)  # type: ignore[misc]
        return found

    def _accuracy(self) -> float:
        return float(self.seen.diagonal().sum() / self.num)

    def _recall(self, label: int) -> float:
        return float(self.seen[label, label] / self.support[label]) if self.support[label] else 0.0

    def _kappa(self, seen: np.ndarray) -> float:
        expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / self.num
        chance = float((self.away**2 * expected).sum())
        return 1.0 - float((self.away**2 * seen).sum()) / chance if chance > 0 else 0.0


RESAMPLED: Mapping[str, type[ResampledValues] | type[ResampledClasses]] = {
    "value": ResampledValues,
    "classes": ResampledClasses,
}


def _dominated(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) int64: how many rows are less than each on both sides."""
    order = np.lexsort((-other, one))  # of equal ones the highest first: those before a row in it are not less
    values = other[order] - other.min()
    found, places, top = np.zeros(len(order), np.int64), np.arange(len(order)), int(values.max()) + 1
    size = 1
    while size < len(order):  # what stands before a row is in the left neighbour of its block, at one level
        is_left, block = (places // size) % 2 == 0, places // (2 * size)
        keys = block * top + values
        left, right = np.sort(keys[is_left]), ~is_left
        found[right] += np.searchsorted(left, keys[right]) - np.searchsorted(left, block[right] * top)
        size *= 2
    back = np.empty_like(found)
    back[order] = found
    return back
