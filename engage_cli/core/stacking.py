"""Weights of an ensemble, fitted on posts that no member learned from.

None is negative: with weights of both signs members that are alike are played off against each other, on noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engage_cli.core.metrics import NUM_CLASSES
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors.stack import Weights, join_scores, normal_scores

NUM_FOLDS = 10
TINY = 1e-12
GARROTE = 4.0  # a correction counts from two standard errors on


def fit_weights(predictions: Sequence[Predictions], true: np.ndarray, *, is_later: bool = False) -> Weights:
    """Fit on each member's predictions of the same posts; `true` are scores (n,) or classes (n,).

    Values: non-negative least squares with an offset (Breiman, Stacked regressions, 1996). Members that learned from posts
    like these need no correction of what they say together: the sum of the weights is drawn to 1, and the offset to 0, as
    far as these posts leave it open. Not where `is_later`: these posts came after those that the members learned from.
    Classes: the sum of normal scores that has the least log loss, found by L-BFGS-B from equal weights.
    """
    if predictions[0].value is not None:
        return _fit_values(np.stack([one.main for one in predictions], axis=1), true, 0.0 if is_later else GARROTE)
    return _fit_classes(normal_scores(predictions), true)


def _fit_values(predicted: np.ndarray, true: np.ndarray, garrote: float) -> Weights:
    from scipy.optimize import nnls

    means = predicted.mean(axis=0)
    weights, _ = nnls(predicted - means, true - true.mean())
    shares = weights / weights.sum() if weights.any() else np.full(len(means), 1 / len(means))
    spread = (predicted - means) @ shares
    slope, bias = weights.sum() - 1.0, true.mean() - means @ shares
    error = ((true - true.mean() - (1.0 + slope) * spread) ** 2).sum() / max(len(true) - 2, 1)
    slope *= _kept(slope, error / max((spread**2).sum(), TINY), garrote)
    bias *= _kept(bias, error / len(true), garrote)
    return Weights(members=tuple(map(float, (1.0 + slope) * shares)), offset=float(bias - slope * (means @ shares)) + 0.0)


def _kept(correction: float, variance: float, garrote: float) -> float:
    """Return the share of it that the non-negative garrote keeps (Breiman 1995): none below two standard errors."""
    return max(0.0, 1.0 - garrote * variance / correction**2) if correction else 0.0


def _fit_classes(scores: np.ndarray, true: np.ndarray) -> Weights:
    """(n, 4, members) normal scores, (n,) classes."""
    from scipy.optimize import minimize

    rows = np.arange(len(true))

    def log_loss(weights: np.ndarray) -> float:
        return float(-np.log(np.maximum(join_scores(scores, weights)[rows, true], TINY)).mean())

    num = scores.shape[2]
    found = minimize(log_loss, np.full(num, 1 / num), bounds=[(0.0, None)] * num, method="L-BFGS-B")
    return Weights(members=tuple(map(float, found.x)))


def held_out_predictions(
    predictions: Sequence[Predictions], true: np.ndarray, *, is_later: bool = False, seed: int = 0
) -> Predictions:
    """Combine each post's predictions by weights fitted on the others: how good the ensemble is, and how sure."""
    folds = np.random.default_rng(seed).permutation(len(true)) % min(NUM_FOLDS, len(true))
    is_value = predictions[0].value is not None
    found = np.zeros(len(true) if is_value else (len(true), NUM_CLASSES))
    for number in np.unique(folds):
        out, fitted = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        if not len(fitted):
            fitted = out
        weights = fit_weights([one.take(fitted) for one in predictions], true[fitted], is_later=is_later)
        found[out] = weights.combine([one.take(out) for one in predictions]).main
    return Predictions(value=found) if is_value else Predictions(probabilities=found)
