"""What a model says about posts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engage_cli.config.general import QUANTILE_LEVELS
from engage_cli.errors import EngageError


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Either values in the target's own unit, or probabilities of the five classes."""

    value: np.ndarray | None = None  # (n,) float64
    quantiles: np.ndarray | None = None  # (n, Q) float64 at QUANTILE_LEVELS, rising, where the model gives them
    probabilities: np.ndarray | None = None  # (n, 5) float64, rows sum to 1
    vectors: dict[str, np.ndarray] | None = (
        None  # block -> (n, P): what the model read of the posts, where it reads vectors
    )

    @property
    def kind(self) -> str:
        return "value" if self.value is not None else "classes"

    @property
    def classes(self) -> np.ndarray:
        """(n,) int64: the most probable class."""
        assert self.probabilities is not None
        return self.probabilities.argmax(axis=1).astype(np.int64)

    @property
    def main(self) -> np.ndarray:
        """What metrics are computed from: values (n,), or probabilities (n, 5)."""
        some = self.value if self.value is not None else self.probabilities
        assert some is not None
        return some

    def interval(self, share: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (n,) low and high between which the model puts `share` of such posts; None where it gives no quantiles."""
        if self.quantiles is None:
            return None
        low, high = (QUANTILE_LEVELS.index(round(0.5 + sign * share / 2, 4)) for sign in (-1, 1))
        return self.quantiles[:, low], self.quantiles[:, high]

    def take(self, rows: np.ndarray | slice) -> Predictions:
        """Return those of some posts."""
        parts = {name: part[rows] for name, part in vars(self).items() if isinstance(part, np.ndarray)}
        vectors = None if self.vectors is None else {name: block[rows] for name, block in self.vectors.items()}
        return Predictions(**parts, vectors=vectors)

    def checked(self, folder: Path) -> Predictions:
        """Return them; raise EngageError where the model of a run's folder says numbers that are none."""
        parts = (self.value, self.quantiles, self.probabilities)
        if not all(part is None or np.isfinite(part).all() for part in parts):
            raise EngageError(f"the model in {folder} predicts numbers that are not finite; train again")
        return self

    def __len__(self) -> int:
        return len(self.main)


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """What one post's prediction rests on. `start` and all contributions of groups add up to the model's raw output."""

    unit: str
    start: float  # the mean prediction
    groups: dict[str, float]  # the largest first
    features: dict[str, float]  # the same; without the numbers of embeddings
    values: dict[str, str]  # what the post has of each feature


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What a model says of the differences of k pairs of posts, in the target's own unit."""

    mean: np.ndarray  # (k,) float64: the first's value less the second's
    variance: np.ndarray | None  # (k,) float64 of the true difference, as the model itself has it; None where it has none

    def __len__(self) -> int:
        return len(self.mean)
