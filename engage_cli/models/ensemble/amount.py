"""How much of a base's prediction holds for other posts: their score is offset + scale x prediction, learned with a prior.

The prior says that the base is right: a scale of 1, give or take SCALE_DEVIATION, and an offset of 0, give or take the
spread of the scores. Few posts leave it there; many overrule it (Bayesian linear regression, section 3.3 of Bishop 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALE_DEVIATION = 0.3
CHANCE = 0.95  # a gain that chance alone reaches in 95 of 100 cases counts for nothing
TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Amount:
    """What is learned of a base's predictions."""

    scale: float  # >= 0
    offset: float

    def of(self, predicted: np.ndarray) -> np.ndarray:
        return self.offset + self.scale * predicted


def fit_amount(predicted: np.ndarray, true: np.ndarray) -> Amount:
    """Return the most probable amount, given a base's predictions (n,) and the scores (n,) of posts that are new to it."""
    center = float(predicted.mean())
    away, left = predicted - center, true - predicted
    spread = max(float(np.var(true)), TINY)
    noise = max(float(np.var(left)), 1e-6 * spread)
    scale = 1.0 + float(away @ (left - left.mean())) / (float(away @ away) + noise / SCALE_DEVIATION**2)
    scale = max(scale, 0.0)
    level = float(left.sum()) / (len(left) + noise / spread)
    return Amount(scale=scale, offset=center + level - scale * center)


def share_kept(gained: float, num: int) -> float:
    """Return how much a correction counts that takes away a share `gained` of the squared error of n posts left out.

    By chance alone gained / (1 - gained) x (n - 2) is F distributed; at its quantile, and below, nothing is kept.
    """
    from scipy.special import fdtri

    if gained <= 0 or num < 4:
        return 0.0
    least = float(fdtri(1, num - 2, CHANCE)) / (num - 2)
    return max(0.0, 1.0 - least * (1 - gained) / max(gained, TINY))
