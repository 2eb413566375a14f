"""How the errors of several posts hang together, and so which of them is the best.

A model that is wrong about a post is wrong in the same direction about one much like it: what it does not know (the
audience, the day) is shared. Two variants of a post are nearly alike, so most of their noise cancels. How much, the
validation posts tell: the correlation of two errors falls with the distance of the posts (an exponential variogram with a
nugget, as in kriging; Cressie 1993), and with it errors are drawn together (a Gaussian copula).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from engage_cli.io.ranges import Positive
from engage_cli.io.records import record
from engage_cli.models.predictions import Predictions
from engage_cli.uncertainty.conformal import TINY, Calibration, tempered

NUM_DRAWS = 20_000
NUM_PAIR_DRAWS = 1_024
PLASTIC = (0.7548776662466927, 0.5698402909980532)
PAIRS_AT_ONCE = 256  # whose draws are in memory
MOST_FITTED = 2_000  # posts whose pairs are looked at
REACHES = (0.001, 0.003, 0.01, 0.03, 0.1)  # quantiles of all distances that are tried as reach
LEAST_PAIRS = 50  # that lie within a reach, for it to be tried
HIGHEST = 0.95
STANDARD_ERRORS = 1.64  # by which the estimate is lowered: noise must not make posts look more alike than they are


Coefficient = Annotated[float, Field(ge=0, le=HIGHEST)]


@record
class Correlation:
    """Of the errors of two posts: `nearby` where they stand in one place, falling by e with each `reach` of distance."""

    nearby: Coefficient = 0.0
    reach: Positive = 1.0
    same_author: Coefficient = 0.0  # of two posts of one author, wherever they stand

    def of_variants(self, points: np.ndarray | None, num: int) -> np.ndarray:
        """(n, n) of variants of one post at points (n, A), or at unknown ones: what is not shared by place is by author."""
        near = self.at_distance(np.linalg.norm(points[:, None] - points[None], axis=2)) if points is not None else 0.0
        found = np.zeros((num, num)) + 1 - (1 - self.same_author) * (1 - near)
        np.fill_diagonal(found, 1.0)
        return found

    def at_distance(self, away: np.ndarray) -> np.ndarray:
        """Of posts of different authors."""
        return np.asarray(self.nearby * np.exp(-away / self.reach))


def fit_correlation(
    points: np.ndarray | None, errors: np.ndarray, authors: np.ndarray | None = None, *, seed: int = 0
) -> Correlation:
    """Fit on validation posts at points (n, A) by the normal scores (n,) of their errors; "" is no author."""
    some = np.random.default_rng(seed).permutation(len(errors))[:MOST_FITTED]
    errors = errors[some]
    if len(errors) < 2 or errors.std() < TINY:  # the deviation of equal numbers is not quite 0
        return Correlation()
    errors = (errors - errors.mean()) / errors.std()
    first, second = np.triu_indices(len(errors), k=1)
    products = errors[first] * errors[second]
    found = Correlation()
    if points is not None:
        found = _fit_variogram(points[some].astype(np.float64), first, second, products)
    if authors is not None:
        authors = authors[some]
        same = products[(authors[first] == authors[second]) & (authors[first] != "")]
        if len(same) >= LEAST_PAIRS:
            lowered = float(same.mean()) - STANDARD_ERRORS * float(products.std()) / np.sqrt(len(same))
            found = replace(found, same_author=float(np.clip(lowered, 0.0, HIGHEST)))
    return found


def _fit_variogram(points: np.ndarray, first: np.ndarray, second: np.ndarray, products: np.ndarray) -> Correlation:
    squares = (points**2).sum(axis=1)
    away = np.sqrt(np.maximum(squares[first] + squares[second] - 2 * (points @ points.T)[first, second], 0.0))
    best, gain = Correlation(), 0.0
    for reach in np.quantile(away, REACHES):
        if reach <= 0 or (away < reach).sum() < LEAST_PAIRS:
            continue
        kernel = np.exp(-away / reach)
        weight = float((kernel**2).sum())
        nearby = float((kernel * products).sum()) / weight  # least squares of products on the kernel
        lowered = nearby - STANDARD_ERRORS * float(products.std()) / np.sqrt(weight)
        if lowered > 0 and nearby**2 * weight > gain:
            best, gain = Correlation(nearby=min(HIGHEST, lowered), reach=float(reach)), nearby**2 * weight
    return best


def draw_together(
    calibration: Calibration, predictions: Predictions, correlation: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """(draws, n) what the posts may earn together: values, or classes."""
    normal = np.random.default_rng(seed).standard_normal((NUM_DRAWS, len(predictions)))
    factor = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(correlation)))
    return _outcomes(calibration, predictions, normal @ factor.T)


def chances_of_best(draws: np.ndarray) -> np.ndarray:
    """(n,) how often each post is the best of all; ties are shared."""
    is_top = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((is_top / is_top.sum(axis=1, keepdims=True)).mean(axis=0))


def chances_to_beat(draws: np.ndarray) -> np.ndarray:
    """(n, n) how often one beats another; a tie is half a win."""
    num = draws.shape[1]
    beats = np.full((num, num), 0.5)
    for one in range(num):
        beats[one] = (draws[:, one : one + 1] > draws).mean(axis=0) + (draws[:, one : one + 1] == draws).mean(axis=0) / 2
    return beats


def beats_in_pairs(
    calibration: Calibration,
    first: Predictions,
    second: Predictions,
    correlation: np.ndarray,
    *,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """(m,) the probability that each first post beats its partner, given the correlations (m,) of their errors.

    With `noise` (m,), the known variance with which each difference of a value is measured: that the counts will show it.
    """
    from scipy.special import ndtr, ndtri

    # Points that fill the square evenly (the additive sequence of the plastic number) need a tenth of random ones.
    steps = np.array(PLASTIC)[:, None] * np.arange(1, NUM_PAIR_DRAWS + 1)
    normal = ndtri((0.5 + steps) % 1.0)[..., None]
    found = np.zeros(len(first))
    for start in range(0, len(first), PAIRS_AT_ONCE):
        some = np.arange(start, min(start + PAIRS_AT_ONCE, len(first)))
        one = _outcomes(calibration, first.take(some), normal[0])
        other = correlation[some] * normal[0] + np.sqrt(1 - correlation[some] ** 2) * normal[1]
        two = _outcomes(calibration, second.take(some), other)
        if noise is not None:
            found[some] = ndtr((one - two) / np.sqrt(np.maximum(noise[some], TINY))).mean(axis=0)
        else:
            found[some] = (one > two).mean(axis=0) + (one == two).mean(axis=0) / 2
    return found


def _outcomes(calibration: Calibration, predictions: Predictions, normal: np.ndarray) -> np.ndarray:
    """(draws, n) outcomes of posts from their standard normal errors, (draws, n) or (draws, 1) that all have."""
    from scipy.special import ndtr

    levels = ndtr(normal)
    if predictions.probabilities is not None:
        reached = tempered(predictions.probabilities, calibration.temperature).cumsum(axis=1)
        found = np.zeros(np.broadcast_shapes(levels.shape, (1, len(reached))), np.int64)
        for below in reached.T[:-1]:
            found += levels > below
        return found
    assert predictions.value is not None
    return np.asarray(
        predictions.value + calibration.shift + calibration.spread(predictions) * calibration.quantile(levels)
    )
