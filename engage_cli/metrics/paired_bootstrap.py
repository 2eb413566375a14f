"""Whether one set of predictions is better than another on the same rows: a paired bootstrap of the primary metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from engage_cli.io.written_numbers import count_of
from engage_cli.metrics.bootstrap import bounds_of, resample
from engage_cli.metrics.metrics import METRICS, PRIMARY

LEAST_FOR_VERDICT = 30  # rows: of fewer no bootstrap tells anything


class ComparisonJson(TypedDict):
    """Low and high are null where there are too few rows for them."""

    first: str
    second: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    rows: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first one's score minus the second one's, and its 95 % interval over resampled rows, the same for both."""

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    rows: int = LEAST_FOR_VERDICT

    @property
    def is_told(self) -> bool:
        """Whether there are enough rows for the interval to mean anything."""
        return self.rows >= LEAST_FOR_VERDICT

    @property
    def is_better(self) -> bool:
        return self.is_told and self.low > 0

    @property
    def is_worse(self) -> bool:
        return self.is_told and self.high < 0

    @property
    def verdict(self) -> str:
        """Say it in words: better or worse only where the interval leaves 0 out, nothing of fewer than 30 posts."""
        if not self.is_told:
            return f"{count_of(self.rows)} are too few to tell it from {self.second}"
        interval = f"{self.low:+.3f} to {self.high:+.3f}"
        if self.is_better or self.is_worse:
            word = "better" if self.is_better else "worse"
            return f"{word} than {self.second} by {abs(self.difference):.3f} {self.metric}, interval {interval}"
        return f"no significant difference from {self.second}: {self.difference:+.3f} {self.metric}, interval {interval}"

    def to_json(self) -> ComparisonJson:
        return {
            "first": self.first,
            "second": self.second,
            "metric": self.metric,
            "difference": self.difference,
            "low": self.low if self.is_told else None,
            "high": self.high if self.is_told else None,
            "rows": self.rows,
            "verdict": self.verdict,
        }


def compare(
    kind: str,
    true: np.ndarray,
    first: tuple[str, np.ndarray],
    second: tuple[str, np.ndarray],
    *,
    num_resamples: int,
    metric: str | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two named predictions, values (n,) or probabilities (n, 5), of the same rows by a metric: more is better.

    Without one it is the primary metric of their kind.
    """
    name = metric or PRIMARY[kind]
    score = METRICS[kind].load(name)

    def difference(rows: np.ndarray | slice) -> float:
        return float(score(true[rows], first[1][rows]) - score(true[rows], second[1][rows]))

    point = difference(slice(None))
    low, high = bounds_of(point, [difference(rows) for rows in resample(len(true), num_resamples, seed=seed)])
    return Comparison(first=first[0], second=second[0], metric=name, difference=point, low=low, high=high, rows=len(true))
