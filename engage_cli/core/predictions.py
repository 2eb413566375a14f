"""What a model says about posts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Either values in the target's own unit, or probabilities of the five classes."""

    value: np.ndarray | None = None  # (n,) float64
    quantiles: np.ndarray | None = None  # (n, Q) float64 at QUANTILE_LEVELS, rising, where the model gives them
    probabilities: np.ndarray | None = None  # (n, 5) float64, rows sum to 1

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

    def __len__(self) -> int:
        return len(self.main)
