"""Weights of an ensemble, fitted on posts that no member learned from.

None is negative: with weights of both signs members that are alike are played off against each other, on noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engage_cli.core.metrics import NUM_CLASSES
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors.stack import Weights

NUM_FOLDS = 10
NUM_STEPS = 500  # of expectation and maximisation
NEARLY = 1e-9
TINY = 1e-12


def fit_weights(predictions: Sequence[Predictions], true: np.ndarray) -> Weights:
    """Fit on each member's predictions of the same posts; `true` are scores (n,) or classes (n,).

    Values: non-negative least squares with an offset (Breiman 1996). Classes: the mixture of the least log loss, by
    expectation and maximisation.
    """
    if predictions[0].value is not None:
        return _fit_values(np.stack([one.main for one in predictions], axis=1), true)
    shares = np.stack([one.main[np.arange(len(true)), true] for one in predictions], axis=1)
    return _fit_mixture(np.maximum(shares, TINY))


def _fit_values(predicted: np.ndarray, true: np.ndarray) -> Weights:
    from scipy.optimize import nnls

    means = predicted.mean(axis=0)
    weights, _ = nnls(predicted - means, true - true.mean())
    return Weights(members=tuple(map(float, weights)), offset=float(true.mean() - means @ weights))


def _fit_mixture(shares: np.ndarray) -> Weights:
    """(n, members) probabilities of what came true."""
    weights = np.full(shares.shape[1], 1 / shares.shape[1])
    for _ in range(NUM_STEPS):
        owed = weights * shares
        found = (owed / owed.sum(axis=1, keepdims=True)).mean(axis=0)
        is_settled = np.abs(found - weights).max() < NEARLY
        weights = found
        if is_settled:
            break
    return Weights(members=tuple(map(float, weights / weights.sum())))


def held_out_predictions(predictions: Sequence[Predictions], true: np.ndarray, *, seed: int = 0) -> Predictions:
    """Combine each post's predictions by weights fitted on the others: how good the ensemble is, and how sure."""
    folds = np.random.default_rng(seed).permutation(len(true)) % min(NUM_FOLDS, len(true))
    is_value = predictions[0].value is not None
    found = np.zeros(len(true) if is_value else (len(true), NUM_CLASSES))
    for number in np.unique(folds):
        out, fitted = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        if not len(fitted):
            fitted = out
        weights = fit_weights([one.take(fitted) for one in predictions], true[fitted])
        found[out] = weights.combine([one.take(out) for one in predictions]).main
    return Predictions(value=found) if is_value else Predictions(probabilities=found)
