"""Ridge regression on standardised rows of which not all fit into memory: from sums over blocks of them.

Of each fold the sums of the rows that it leaves out are kept; those of the rows that it is fitted on are the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engage_cli.data.folds import Folds
from engage_cli.metrics.metrics import r2

SMALLEST_SCALE = 1e-6
AT_ONCE = 16_384

Rows = Callable[[np.ndarray], np.ndarray]  # places -> (k, D) float32


class Fitted(NamedTuple):
    """Of all rows, but for the scores: each row's is of a model without its fold."""

    mean: np.ndarray  # (D,) float32
    scale: np.ndarray  # (D,) float32
    coefficients: np.ndarray  # (D,) float32
    intercept: float
    alpha: float
    scores: np.ndarray  # (n,)


class _Sums(NamedTuple):
    """Of some standardised rows and their truths."""

    num: int
    rows: np.ndarray  # (D,)
    squares: np.ndarray  # (D, D)
    products: np.ndarray  # (D,) with the truths
    truth: float

    def plus(self, other: _Sums, sign: int = 1) -> _Sums:
        return _Sums(
            self.num + sign * other.num,
            self.rows + sign * other.rows,
            self.squares + sign * other.squares,
            self.products + sign * other.products,
            self.truth + sign * other.truth,
        )

    def solve(self, alpha: float) -> tuple[np.ndarray, float]:
        """Return the coefficients (D,) and the intercept, which is not shrunken."""
        mean, level = self.rows / self.num, self.truth / self.num
        squares = self.squares - self.num * np.outer(mean, mean)
        squares.flat[:: len(mean) + 1] += alpha
        found = np.linalg.solve(squares, self.products - self.num * level * mean)
        return found, float(level - found @ mean)


def fit_many(rows: Rows, truth: np.ndarray, folds: Folds, alphas: Sequence[float]) -> Fitted:
    """Fit on n rows as `ridge_scores.Score` does: the first fold chooses among the alphas for all."""
    mean, scale = _moments(rows, len(truth))

    def standardised(places: np.ndarray) -> np.ndarray:
        return np.asarray((rows(places) - mean) / scale)

    everything = np.arange(len(truth))
    excluded = []
    for number in range(folds.num):
        is_fitted = np.zeros(len(truth), bool)
        is_fitted[folds.fitted(number)] = True
        excluded.append(_sums(standardised, np.flatnonzero(~is_fitted), truth) if is_fitted.sum() > 1 else None)
    whole = _sums(standardised, everything, truth)
    scores, alpha = np.full(len(truth), truth.mean()), 0.0
    for number, without in enumerate(excluded):
        if without is None:
            continue
        sums, out = whole.plus(without, -1), folds.held_out(number)
        models = {one: sums.solve(one) for one in ((alpha,) if alpha else alphas)}
        said = {one: np.zeros(len(out)) for one in models}
        for start in range(0, len(out), AT_ONCE):
            block = standardised(out[start : start + AT_ONCE])
            for one, (coefficients, intercept) in models.items():
                said[one][start : start + AT_ONCE] = block @ coefficients + intercept
        alpha = max(models, key=lambda one: r2(truth[out], said[one]))
        scores[out] = said[alpha]
    coefficients, intercept = whole.solve(alpha or alphas[-1])
    return Fitted(mean, scale, coefficients.astype(np.float32), intercept, alpha, scores)


def _moments(rows: Rows, num: int) -> tuple[np.ndarray, np.ndarray]:
    """(D,) float32 means and deviations."""
    blocks = [np.arange(start, min(start + AT_ONCE, num)) for start in range(0, num, AT_ONCE)]
    mean = sum(rows(places).sum(axis=0, dtype=np.float64) for places in blocks) / num
    squares = sum(((rows(places) - mean) ** 2).sum(axis=0) for places in blocks)
    scale = np.maximum(np.sqrt(np.asarray(squares) / num), SMALLEST_SCALE)
    return np.asarray(mean, np.float32), scale.astype(np.float32)


def _sums(rows: Rows, places: np.ndarray, truth: np.ndarray) -> _Sums:
    total: _Sums | None = None
    for start in range(0, max(len(places), 1), AT_ONCE):
        some = places[start : start + AT_ONCE]
        block, wanted = rows(some), truth[some]
        squares = (block.T @ block).astype(np.float64)
        found = _Sums(len(some), block.sum(axis=0, dtype=np.float64), squares, block.T @ wanted, float(wanted.sum()))
        total = found if total is None else total.plus(found)
    assert total is not None
    return total
