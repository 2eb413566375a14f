"""How counters grow with a post's age: log(counter) = what the post is worth + slope x log(1 - exp(-age / days)).

A counter rises in proportion to the age at first and levels off after `days`; in its logarithm that is a straight line in
log age which bends to a level. Both numbers are learned, with what else is known of the posts held fixed. The curve holds
beyond the ages that training posts have, where a tree or a kernel would stay at the nearest age that it knows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.data.known_columns import DURATION, FOLLOWERS, log_of_role
from engage_cli.data.schema import AUTHOR_COLUMNS, LOG_AGE
from engage_cli.io.ranges import Number, Positive
from engage_cli.io.records import record

DAYS = (
    1.0,
    3.0,
    10.0,
    30.0,
    100.0,
    300.0,
    1000.0,
    10_000.0,
)  # after which counters level off: the one that fits best is taken
LEAST_POSTS = 20  # of known age, for a slope


@record
class Growth:
    """A curve that was fitted. `mean` is that of the curve over training posts, so that offsets are about 0."""

    days: Positive = 30.0
    slope: Number = 0.0
    mean: Number = 0.0

    def curve(self, log_age: np.ndarray) -> np.ndarray:
        """(n,) log of the share of its final counter that a post has; NaN of an unknown age."""
        return np.log(-np.expm1(-np.exp(np.asarray(log_age, np.float64)) / self.days)) - self.mean

    def offset(self, log_age: np.ndarray) -> np.ndarray:
        """(n,) how much more than a training post of usual age, in the target's unit; 0 of an unknown age."""
        return np.nan_to_num(self.slope * self.curve(log_age), nan=0.0)


def fit_growth(posts: pd.DataFrame, truth: np.ndarray) -> Growth:
    """Fit by least squares on posts of known age, the slope drawn to 0 by its own error (James and Stein 1961)."""
    ages = posts[LOG_AGE].to_numpy(np.float64) if LOG_AGE in posts else np.full(len(posts), np.nan)
    known = np.isfinite(ages)
    if known.sum() < LEAST_POSTS or ages[known].std() < 1e-6:
        return Growth()
    rest = np.column_stack([np.ones(known.sum()), _others(posts[known])])
    wanted = _left(rest, truth[known].astype(np.float64))
    found = []
    for days in DAYS:
        curve = Growth(days=days).curve(ages[known])
        moved = _left(rest, curve)
        size = max(float(moved @ moved), 1e-12)
        slope = float(moved @ wanted) / size
        error = float(((wanted - slope * moved) ** 2).sum())
        found.append((error, days, slope, error / max(len(wanted) - rest.shape[1] - 1, 1) / size, float(curve.mean())))
    _, days, slope, variance, mean = min(found)
    return Growth(days=days, slope=slope * max(0.0, 1 - variance / max(slope**2, 1e-12)), mean=mean)


def _others(posts: pd.DataFrame) -> np.ndarray:
    """(n, F) standardised numbers beside the age, 0 where unknown."""
    columns = [log_of_role(posts, FOLLOWERS), log_of_role(posts, DURATION)]
    columns += [posts[name].to_numpy(np.float64) for name in AUTHOR_COLUMNS if name in posts]
    found = []
    for values in columns:
        known = np.isfinite(values)
        if known.any() and values[known].std() > 1e-9:
            found.append(np.where(known, (values - values[known].mean()) / values[known].std(), 0.0))
    return np.stack(found, axis=1) if found else np.zeros((len(posts), 0))


def _left(rest: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what least squares on `rest` leaves of values (n,)."""
    return values - rest @ np.linalg.lstsq(rest, values, rcond=None)[0]
