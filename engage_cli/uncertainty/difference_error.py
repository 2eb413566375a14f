"""How wrong a run may be about the difference of two posts, which is far less than how wrong it is about each.

What the posts of a pair share (the channel, the day, the luck of a moment) cancels. What is left is learned, best from
experiments: seen differences are normal around `slope` x the predicted ones, with the model's own variance times `scale`,
plus what two variants differ by besides, plus the known noise of their counts. Without experiments the posterior
covariance of a Gaussian process is believed as it is; of other models it is that of a process fitted to their residuals
at places of the posts, averaged over all kernels by how well they explain these (its noise is luck, and cancels).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engage_cli.io.ranges import NotNegative, Positive
from engage_cli.io.records import record
from engage_cli.models.predictions import Differences

LEAST_PAIRS = 100  # of experiments, for an error to be learned from them
MOST_FITTED = 1_000  # posts whose residuals the process is fitted to
REACHES = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the median distance of two posts
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)  # of the residuals' variance that is no luck
TINY = 1e-12
NUM_DRAWS = 20_000
BOUNDS = ((0.0, 3.0), (-12.0, 3.0), (-12.0, 6.0))  # of the slope, and of the logarithms of scale and own


@record
class ResidualKernel:
    """A process that the residuals may come from."""

    probability: Annotated[float, Field(ge=0, le=1)]
    variance: NotNegative
    reach: Positive


@record
class DifferenceError:
    """What is learned; all in the target's own unit."""

    learned_from: Literal["experiments", "posterior", "residuals"]
    slope: NotNegative = 1.0
    scale: NotNegative = 1.0  # of the model's own variance, where it has one
    own: NotNegative = 0.0  # the variance of what a pair differs by besides
    kernels: Annotated[tuple[ResidualKernel, ...], Field(max_length=len(REACHES) * len(SHARES))] = ()

    def of(self, said: Differences, away: np.ndarray | None = None) -> Differences:
        """Return the true differences (k,): their means and variances. `away` (k,) are distances of the pairs' places."""
        variance = np.full(len(said), self.own)
        if said.variance is not None:
            variance += self.scale * said.variance
        for kernel in self.kernels:
            near = np.zeros(len(said)) if away is None else np.exp(-0.5 * (away / kernel.reach) ** 2)
            variance += kernel.probability * 2 * kernel.variance * (1 - near)
        return Differences(mean=self.slope * said.mean, variance=variance)


def chances_to_win(true: Differences, noise: np.ndarray | float = 0.0) -> np.ndarray:
    """(k,) P(the first beats the second); with the noise of a seen difference, that the counts show it."""
    from scipy.special import ndtr

    assert true.variance is not None
    deviation = np.sqrt(true.variance + noise)
    certain = (np.sign(true.mean) + 1) / 2
    return np.where(deviation > 0, ndtr(true.mean / np.maximum(deviation, TINY)), certain)


def draw_variants(true: Differences, num: int, *, seed: int = 0) -> np.ndarray:
    """(draws, num) what `num` variants may truly be, but for a level that all have.

    `true` are all pairs, in the order of `numpy.triu_indices`. Their covariance is -J D J / 2 with the variances D of the
    differences and J what takes the mean away (classical scaling; Torgerson 1952).
    """
    assert true.variance is not None
    first, second = np.triu_indices(num, k=1)
    variance, mean = np.zeros((num, num)), np.zeros((num, num))
    variance[first, second] = variance[second, first] = true.variance
    mean[first, second], mean[second, first] = true.mean, -true.mean
    centring = np.eye(num) - 1 / num
    values, vectors = np.linalg.eigh(-centring @ variance @ centring / 2)
    normal = np.random.default_rng(seed).standard_normal((NUM_DRAWS, num))
    return np.asarray(mean.mean(axis=1) + (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def fit_to_experiments(
    said: Differences, seen: np.ndarray, noise: np.ndarray, weights: np.ndarray | None = None
) -> DifferenceError:
    """Fit by maximum likelihood on pairs (k,) of experiments that the model did not learn from.

    `noise` is the known variance of each seen difference. Pairs of one experiment are no k independent ones, which
    `weights` may tell.
    """
    from scipy.optimize import minimize

    weights = np.ones(len(seen)) if weights is None else weights
    own_variance = np.zeros(len(seen)) if said.variance is None else said.variance
    unit = float(np.average((seen - np.average(seen, weights=weights)) ** 2, weights=weights)) or 1.0

    def loss(parameters: np.ndarray) -> float:
        slope, scale, own = parameters[0], np.exp(parameters[1]), unit * np.exp(parameters[2])
        variance = scale * own_variance + own + noise + TINY * unit
        away = (seen - slope * said.mean) ** 2 / variance
        return float(np.average(np.log(variance) + away, weights=weights))

    starts = [(1.0, 0.0, -2.0), (0.5, -2.0, -1.0)]
    found = min((minimize(loss, start, bounds=BOUNDS, method="L-BFGS-B") for start in starts), key=lambda one: one.fun)
    return DifferenceError(
        learned_from="experiments",
        slope=float(found.x[0]),
        scale=float(np.exp(found.x[1])),
        own=unit * float(np.exp(found.x[2])),
    )


def fit_to_residuals(points: np.ndarray | None, residuals: np.ndarray, *, seed: int = 0) -> DifferenceError:
    """Fit on residuals (n,) of posts that the model did not learn from, at points (n, A).

    Each kernel is as probable as its marginal likelihood says (equation 5.8 of Rasmussen and Williams 2006), all having
    been alike before. Without places nothing is known of what cancels, and nothing is taken to.
    """
    some = np.random.default_rng(seed).permutation(len(residuals))[:MOST_FITTED]
    away = residuals[some] - residuals[some].mean()
    total = float((away**2).mean())
    if points is None or total < TINY or len(some) < 3:
        return DifferenceError(learned_from="residuals", own=2 * total)
    places = points[some].astype(np.float64)
    lengths = (places**2).sum(axis=1)
    squares = np.maximum(lengths[:, None] + lengths[None] - 2 * places @ places.T, 0.0)
    usual = float(np.sqrt(np.median(squares[np.triu_indices(len(some), k=1)]))) or 1.0
    tried = []
    for reach in REACHES:
        values, vectors = np.linalg.eigh(np.exp(-0.5 * squares / (reach * usual) ** 2))
        turned = (vectors.T @ away) ** 2
        for share in SHARES:
            variance = total * (share * np.maximum(values, 0.0) + 1 - share)
            tried.append((-0.5 * float((np.log(variance) + turned / variance).sum()), share, reach))
    logs = np.array([one for one, _, _ in tried])
    chances = np.exp(logs - logs.max())
    chances /= chances.sum()
    kernels = tuple(
        ResidualKernel(probability=float(chance), variance=total * share, reach=reach * usual)
        for chance, (_, share, reach) in zip(chances, tried, strict=True)
        if chance > 1e-4
    )
    return DifferenceError(learned_from="residuals", kernels=kernels)


def pairs_within(experiment: np.ndarray, *, most: int = 50_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places (k,), (k,) of all pairs of variants of one experiment, negative numbers being none, and weights (k,).

    An experiment of m variants holds m - 1 differences, however many pairs. Of more pairs than `most`, a sample.
    """
    order = np.argsort(experiment, kind="stable")
    order = order[experiment[order] >= 0]
    first, second, weights = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for posts in np.split(order, np.flatnonzero(np.diff(experiment[order])) + 1) if len(order) else []:
        one, other = np.triu_indices(len(posts), k=1)
        first.append(posts[one])
        second.append(posts[other])
        weights.append(np.full(len(one), 2.0 / len(posts)))
    if not first:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    pairs = np.stack([np.concatenate(first), np.concatenate(second)])
    some = np.sort(np.random.default_rng(seed).permutation(pairs.shape[1])[:most])
    return pairs[0, some], pairs[1, some], np.concatenate(weights)[some]
