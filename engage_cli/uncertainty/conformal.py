"""How sure a run may be: what its errors on the validation posts were, kept as numbers beside the model.

Of values: split conformal prediction (Vovk et al. 2005; Lei et al. 2018). A signed residual of a validation post is divided
by the spread that the model predicted for it; where it predicts none, by a line over the predictions, for high ones are
often less sure than low ones. These are the distribution of a new post's residual, and an interval is cut from it at ranks
that make its coverage what it promises, on average, for exchangeable posts.
Of classes: one temperature (Guo et al. 2017) by which all log-probabilities are divided.
Both are drawn to the classes' shares among the training posts, the more the fewer residuals there are: that none of 30 fell
into a class does not mean that none will.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from engage_cli.io.ranges import FromOne, Number, Positive, Rising
from engage_cli.io.records import record
from engage_cli.models.predictions import Predictions

MOST_RESIDUALS = 2001  # that are kept: of more, as many evenly spaced ones
LEAST_SPREAD = 0.1  # of the median predicted spread: what is predicted narrower is not believed
NORMAL_80 = 2 * NormalDist().inv_cdf(0.9)  # width of the central 80 % of a standard normal
SPREADS = (0.5, 2.0)  # between which a line may take it
LEAST_FOR_LINE = 100  # posts
STANDARD_ERRORS = 1.64  # that a slope must be away from 0
TEMPERATURES = (0.2, 10.0)
USUAL = 0.8  # the interval that is always told, where any is
PRIOR_POSTS = 10  # that the classes' shares count as, beside the residuals
TINY = 1e-9


@record
class Calibration:
    """Fitted on `rows` validation posts."""

    kind: Literal["value", "classes"]
    rows: FromOne
    # Of values: rising, in units of the spread.
    residuals: Annotated[Rising, Field(max_length=MOST_RESIDUALS)] = ()
    usual_spread: Positive = 1.0  # the median predicted one; 1 where none is predicted
    slope: Number = 0.0  # by how much of 1 the spread grows with each unit of the value, where none is predicted
    centre: Number = 0.0  # the value at which it is 1
    temperature: Annotated[float, Field(ge=TEMPERATURES[0] / 2, le=TEMPERATURES[1] * 2)] = 1.0  # of classes
    shift: Number = (
        0.0  # of values: what is added to every one, in the target's unit, since recent posts earned so much more
    )

    def spread(self, predictions: Predictions) -> np.ndarray:
        """(n,) what residuals are divided by: the predicted standard deviation, or a straight line of the value."""
        bounds = predictions.interval(0.8)
        if bounds is None:
            assert predictions.value is not None
            return np.clip(1 + self.slope * (predictions.value - self.centre), *SPREADS)
        return np.maximum((bounds[1] - bounds[0]) / NORMAL_80, LEAST_SPREAD * self.usual_spread)

    def supports(self, share: float) -> bool:
        """Whether there are enough residuals for an interval of this share: of fewer, their extremes hold too little."""
        return (1 - share) / 2 * (self.rows + 1) > 1 - TINY

    def interval(self, predictions: Predictions, share: float) -> tuple[np.ndarray, np.ndarray]:
        """(n,) low and high, in the target's unit; of so few residuals that no rank will do, their extremes."""
        assert predictions.value is not None
        low, high = (self._at_end(sign, share) for sign in (-1, 1))
        value, spread = predictions.value + self.shift, self.spread(predictions)
        return value + spread * low, value + spread * high

    def width(self, share: float) -> float:
        """Of an interval, in units of the spread."""
        return self._at_end(1, share) - self._at_end(-1, share)

    def placed(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) the model's own values and their spreads, by the 80 % intervals that were made of them."""
        spread = (high - low) / max(self.width(USUAL), TINY)
        return low - spread * self._at_end(-1, USUAL) - self.shift, spread

    def _at_end(self, sign: int, share: float) -> float:
        """The residual below which (1 + sign * share) / 2 of (rows + 1) lie: between two ranks a part of the way.

        So an interval holds on average what it promises, or little more (Beran and Hall 1993). A rank rounded outward would
        hold more: 86 of 100 rather than 80, of 27 residuals.
        """
        rank = np.clip((0.5 + sign * share / 2) * (self.rows + 1), 1, self.rows)
        place = (rank - 1) / max(1, self.rows - 1) * (len(self.residuals) - 1)
        return float(np.interp(place, np.arange(len(self.residuals)), self.residuals))

    def quantile(self, levels: np.ndarray) -> np.ndarray:
        """Residuals, in units of the spread, at levels in 0..1."""
        return np.interp(levels, self._levels, self.residuals)

    def level(self, residuals: np.ndarray) -> np.ndarray:
        """In 0..1: the share of residuals below each, given in units of the spread."""
        return np.interp(residuals, self.residuals, self._levels, left=0.0, right=1.0)

    @property
    def _levels(self) -> np.ndarray:
        num = len(self.residuals)
        return (np.arange(num) + 0.5) / num

    def probabilities(self, predictions: Predictions, cuts: tuple[float, ...]) -> np.ndarray:
        """(n, 5): of values what lies between the cuts of the predictive distribution; of classes tempered."""
        if predictions.probabilities is not None:
            return tempered(predictions.probabilities, self.temperature)
        assert predictions.value is not None
        value = predictions.value + self.shift
        away = (np.asarray(cuts)[None] - value[:, None]) / self.spread(predictions)[:, None]
        below = np.concatenate([np.zeros((len(away), 1)), self.level(away), np.ones((len(away), 1))], axis=1)
        return np.diff(below, axis=1)

    def smoothed(self, probabilities: np.ndarray, shares: Sequence[float]) -> np.ndarray:
        """(n, 5): drawn to the classes' shares (5,), as by a Dirichlet prior worth ten posts; or others to others."""
        return (self.rows * probabilities + PRIOR_POSTS * np.asarray(shares)) / (self.rows + PRIOR_POSTS)

    def middle(self, predictions: Predictions) -> np.ndarray:
        """(n,) the estimate: the value; the median of its predictive distribution where it lies outside its 80 % interval.

        That is where more than nine in ten errors have one sign.
        """
        assert predictions.value is not None
        value = predictions.value + self.shift
        if self.supports(USUAL) and not self._at_end(-1, USUAL) <= 0.0 <= self._at_end(1, USUAL):
            return value + self.spread(predictions) * float(np.median(self.residuals))
        return value

    def normal_scores(self, predictions: Predictions, true: np.ndarray) -> np.ndarray:
        """(n,) where the truths lie in their predictive distributions, as standard normal deviates."""
        from scipy.special import ndtri

        if predictions.probabilities is not None:
            shares = tempered(predictions.probabilities, self.temperature)
            rows = np.arange(len(true))
            levels = shares.cumsum(axis=1)[rows, true] - shares[rows, true] / 2
        else:
            levels = self.level((true - predictions.value - self.shift) / self.spread(predictions))
        return np.asarray(ndtri(np.clip(levels, 0.5 / self.rows, 1 - 0.5 / self.rows)))

    def rounded(self) -> Calibration:
        """Return it as it is stored: residuals with six digits."""
        return replace(self, residuals=tuple(float(f"{residual:.6g}") for residual in self.residuals))


def fit_calibration(predictions: Predictions, true: np.ndarray) -> Calibration:
    """Fit on predictions of posts that the model did not learn from; `true` are scores (n,) or classes (n,)."""
    if predictions.probabilities is not None:
        return Calibration(kind="classes", rows=len(true), temperature=_fit_temperature(predictions.probabilities, true))
    bounds = predictions.interval(0.8)
    if bounds is None:
        slope, centre = _fit_line(predictions.main, np.abs(true - predictions.main))
        blank = Calibration(kind="value", rows=len(true), slope=slope, centre=centre)
    else:
        usual = float(np.median(bounds[1] - bounds[0])) / NORMAL_80
        blank = Calibration(kind="value", rows=len(true), usual_spread=usual or 1.0)
    return replace(blank, residuals=_kept((true - predictions.main) / blank.spread(predictions)))


def _kept(residuals: np.ndarray) -> tuple[float, ...]:
    """Return them rising; of many, evenly spaced ones."""
    residuals = np.sort(residuals)
    if len(residuals) > MOST_RESIDUALS:
        residuals = residuals[np.linspace(0, len(residuals) - 1, MOST_RESIDUALS).round().astype(np.int64)]
    return tuple(map(float, residuals))


def recalibrate(old: Calibration, points: np.ndarray, spreads: np.ndarray, true: np.ndarray) -> Calibration:
    """Fit anew on what recent posts earned, (n,) `true`, by the model's own values (n,) and their spreads (n,).

    All values move by the median error; the errors that are left take the place of the old residuals. The old ones are of
    other times, and are not mixed in: split conformal prediction is exact on average for posts like the recent ones alone.
    """
    shift = float(np.median(true - points))
    return replace(old, rows=len(true), residuals=_kept((true - points - shift) / spreads), shift=shift)


def _fit_line(values: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Return slope and centre of the errors' sizes over the values, in units of the mean size.

    No slope where there are too few posts to see one: two numbers from hundreds of residuals spoil no coverage, from ten
    they would.
    """
    away = values - values.mean()
    # The mean of equal numbers may differ from them in a last digit.
    is_constant = away.std() <= TINY * np.abs(values).max()
    if len(values) < LEAST_FOR_LINE or is_constant or not sizes.any():
        return 0.0, float(values.mean())
    slope = float((away * sizes).sum() / (away**2).sum())
    left = sizes - sizes.mean() - slope * away
    error = float(np.sqrt((left**2).mean() / (away**2).sum()))
    if abs(slope) < STANDARD_ERRORS * error:
        slope = 0.0
    return slope / float(sizes.mean()), float(values.mean())


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(n, 5): the softmax of the log-probabilities divided by the temperature. The order of the classes stays."""
    logs = np.log(np.maximum(probabilities, TINY)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _fit_temperature(probabilities: np.ndarray, true: np.ndarray) -> float:
    """The temperature of the least log loss."""
    from scipy import optimize

    def loss(log_temperature: float) -> float:
        shares = tempered(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(shares[np.arange(len(true)), true], TINY)).mean())

    found = optimize.minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0
