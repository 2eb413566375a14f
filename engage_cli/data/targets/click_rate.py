"""Of how many to whom a post was shown, how many clicked: its logarithm, and the error that so few of them leave.

A rate of c clicks out of n has the log-rate's variance 1/c - 1/n by the delta method (Katz et al. 1978). Half a click and
half a person without one are added, so that no clicks have a finite logarithm too (Haldane 1956; Anscombe 1956).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.data.schema import EXPOSURE, OUTCOME
from engage_cli.data.targets.formulas import Formula, need
from engage_cli.errors import EngageError

ADDED = 0.5  # to the clicks, and to those who did not click


def click_rate(posts: pd.DataFrame) -> Formula:
    """log((outcome + 0.5) / (exposure + 1)): the share of those that were shown it who clicked."""
    need(posts, (OUTCOME, EXPOSURE))
    if not (posts[OUTCOME].notna() & posts[EXPOSURE].notna()).any():
        raise EngageError(
            "click_rate needs posts that have both an outcome and an exposure; name them with --outcome and --exposure"
        )
    return Formula(weights={OUTCOME: 1.0}, offset=ADDED, per_exposure=True, transform="log")


def sampling_variance(posts: pd.DataFrame) -> np.ndarray:
    """Return (n,) 1 / (outcome + 0.5) - 1 / (exposure + 1); NaN where one of the two is missing."""
    return variance_of(posts[OUTCOME].to_numpy(np.float64), posts[EXPOSURE].to_numpy(np.float64))


def variance_of(outcome: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Return the same of (n,) counts."""
    return np.asarray(1.0 / (outcome + ADDED) - 1.0 / (exposure + 2 * ADDED))
