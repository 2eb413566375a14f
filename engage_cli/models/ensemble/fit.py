"""Weights of an ensemble, fitted on posts that no member learned from.

They start equal, add up to 1, and move only as far as these posts show: of every correction the garrote keeps a share
(Breiman 1995; here in groups, as Yuan and Lin 2006). It is none below what chance alone reaches in 95 of 100 cases, and
nearly all of it where there are many posts. With MANY posts the shares of values are only held back by what chance gains in
the mean. None is negative: with weights of both signs members that are alike are played off against each other, on noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engage_cli.data.experiments import NONE, ExperimentArrays, centred
from engage_cli.data.within_experiments import take, within_truth
from engage_cli.metrics.metrics import NUM_CLASSES
from engage_cli.models.ensemble.predictor import Weights, join_scores, normal_scores
from engage_cli.models.predictions import Predictions

NUM_FOLDS = 10
TINY = 1e-12
CHANCE = 0.9545  # of a normal distribution lies within two standard errors
MANY = 200  # posts; of 600 of them, shares held back further were worse on posts left out (benchmarks/RESULTS.md)
# Of a normal distribution so much lies within three standard errors, which is asked for of posts that models of folds
# predicted: those of one fold share its model's error, and show less than posts on their own.
CHANCE_OF_OTHERS = 0.9973
HIGHEST_SUM = 3.0  # of weights of classes: beyond it probabilities are 0 and 1


def fit_weights(
    predictions: Sequence[Predictions],
    true: np.ndarray,
    known: ExperimentArrays | None = None,
    *,
    by_others: bool = False,
) -> Weights:
    """Fit on each member's predictions of the same posts; `true` are scores (n,) or classes (n,).

    `by_others`: not by the members themselves, but by models like them that were fitted on fewer posts. By how much those
    are too high or too low on the whole is by chance of their own posts, or because these are earlier ones; nothing of that
    is true of the members, so that no offset is fitted, and what else is fitted has to be seen more clearly.

    Values: non-negative least squares with an offset (Breiman, Stacked regressions, 1996). Classes: the sum of normal
    scores that has the least log loss. Then the members' shares are drawn to equal ones, their sum to 1 and the offset to
    0, each as far as these posts leave it open. Of no more posts than there are numbers to fit, all stay where they start.

    Of values of posts that are variants of experiments (`known`) only differences within these count, by their noise.
    """
    num, numbers = len(true), len(predictions) + 1
    if num <= numbers:
        return Weights(members=(1 / len(predictions),) * len(predictions))
    if predictions[0].value is not None:
        values = np.stack([one.main for one in predictions], axis=1)
        if known is not None and known.any:
            return _fit_differences(values, true, known, by_others=by_others)
        return _fit_values(values, true, by_others=by_others)
    return _fit_classes(normal_scores(predictions), true, by_others=by_others)


def _fit_values(predicted: np.ndarray, true: np.ndarray, *, by_others: bool) -> Weights:
    from scipy.optimize import nnls

    means, (num, members) = predicted.mean(axis=0), predicted.shape
    chance = CHANCE_OF_OTHERS if by_others else CHANCE
    away, wanted = predicted - means, true - true.mean()
    fitted, _ = nnls(away, wanted)
    shares = np.full(members, 1 / members)
    if fitted.any():
        worst = _error_along(away @ shares, wanted)
        least = float(((wanted - away @ fitted) ** 2).sum())
        kept = _kept(worst - least, least, members - 1, num - members - 1, _chance_of_shares(num, chance))
        shares = shares + kept * (fitted / fitted.sum() - shares)
    spread = away @ shares
    left = _error_along(spread, wanted)
    slope = max(float(spread @ wanted) / max(float((spread**2).sum()), TINY), 0.0) - 1.0
    bias = 0.0 if by_others else float(true.mean() - means @ shares)
    slope *= _kept(slope**2 * float((spread**2).sum()), left, 1, num - 2, chance)
    bias *= _kept(bias**2 * num, left, 1, num - 2, chance)
    return Weights(members=tuple(map(float, (1.0 + slope) * shares)), offset=float(bias - slope * (means @ shares)) + 0.0)


def _fit_differences(predicted: np.ndarray, true: np.ndarray, known: ExperimentArrays, *, by_others: bool) -> Weights:
    """As `_fit_values`, of truths and predictions less their experiment's level; the offset is that of the levels."""
    within = within_truth(true, known)
    roots = np.sqrt(within.weights)
    away = np.stack([centred(one, known.experiment, within.weights) for one in predicted.T], axis=1)
    found = _fit_values(roots[:, None] * away, roots * (within.truth - true.mean()), by_others=by_others)
    offset = float(true.mean() - predicted.mean(axis=0) @ np.asarray(found.members))
    return Weights(members=found.members, offset=offset)


def _error_along(spread: np.ndarray, wanted: np.ndarray) -> float:
    """Return the sum of squares that the best multiple, not below 0, of one column leaves."""
    slope = max(float(spread @ wanted) / max(float((spread**2).sum()), TINY), 0.0)
    return float(((wanted - slope * spread) ** 2).sum())


def _chance_of_shares(num: int, chance: float) -> float | None:
    """Return the chance that holds the shares of values back; None is what chance gains in the mean."""
    return chance if num < MANY or chance == CHANCE_OF_OTHERS else None


def _kept(gain: float, left: float, numbers: int, freedom: int, chance: float | None) -> float:
    """Return the share of a correction that is kept, by the squares that it gains and those that are left.

    By chance alone gain / numbers / (left / freedom) is F distributed. At its quantile `chance`, and below, nothing is
    kept; without one, at 1, which is what chance gains in the mean.
    """
    from scipy.special import fdtri

    if gain <= TINY or numbers < 1:
        return 0.0
    least = 1.0 if chance is None else float(fdtri(numbers, freedom, chance))
    return max(0.0, 1.0 - numbers * least * left / freedom / gain)


def _fit_classes(scores: np.ndarray, true: np.ndarray, *, by_others: bool) -> Weights:
    """(n, 4, members) normal scores, (n,) classes. Twice the log-likelihood gained takes the place of squares."""
    from scipy.optimize import minimize

    rows, (num, _, members) = np.arange(len(true)), scores.shape
    chance = CHANCE_OF_OTHERS if by_others else CHANCE

    def log_loss(weights: np.ndarray) -> float:
        return float(-np.log(np.maximum(join_scores(scores, weights)[rows, true], TINY)).mean())

    shares = np.full(members, 1 / members)
    found = minimize(log_loss, shares, bounds=[(0.0, None)] * members, method="L-BFGS-B")
    if found.x.any():
        worst = log_loss(_best_sum(log_loss, shares) * shares)
        freedom = num - members - 1
        gain = 2 * num * (worst - float(found.fun))
        kept = _kept(gain, freedom, members - 1, freedom, chance)
        shares = shares + kept * (found.x / found.x.sum() - shares)
    total = _best_sum(log_loss, shares)
    kept = _kept(2 * num * (log_loss(shares) - log_loss(total * shares)), num - 2, 1, num - 2, chance)
    return Weights(members=tuple(map(float, (1.0 + kept * (total - 1.0)) * shares)))


def _best_sum(log_loss: Callable[[np.ndarray], float], shares: np.ndarray) -> float:
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(lambda total: log_loss(total * shares), bounds=(0.0, HIGHEST_SUM), method="bounded").x)


def held_out_predictions(
    predictions: Sequence[Predictions],
    true: np.ndarray,
    known: ExperimentArrays | None = None,
    *,
    by_others: bool = False,
    seed: int = 0,
) -> Predictions:
    """Combine each post's predictions by weights fitted on the others: how good the ensemble is, and how sure."""
    folds = np.random.default_rng(seed).permutation(len(true)) % min(NUM_FOLDS, len(true))
    if known is not None and known.any:  # an experiment stays whole: the offset of its variants is one
        first = np.unique(known.experiment, return_index=True)[1][np.unique(known.experiment, return_inverse=True)[1]]
        folds = np.where(known.experiment == NONE, folds, folds[first])
    is_value = predictions[0].value is not None
    found = np.zeros(len(true) if is_value else (len(true), NUM_CLASSES))
    for number in np.unique(folds):
        out, fitted = np.flatnonzero(folds == number), np.flatnonzero(folds != number)
        some = None if known is None else take(known, fitted)
        weights = fit_weights([one.take(fitted) for one in predictions], true[fitted], some, by_others=by_others)
        found[out] = weights.combine([one.take(out) for one in predictions]).main
    return Predictions(value=found) if is_value else Predictions(probabilities=found)
