"""Find out how wrong a run may be about the difference of two posts, from experiments where there are some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.targets.target import Target
from engage_cli.models.predictions import Differences, Predictions
from engage_cli.models.predictor import Predictor, difference_of
from engage_cli.uncertainty.difference_error import (
    LEAST_PAIRS,
    DifferenceError,
    fit_to_experiments,
    fit_to_residuals,
    pairs_within,
)


def difference_error_of(
    predictor: Predictor,
    target: Target,
    checks: tuple[pd.DataFrame, Any],
    held_out: tuple[pd.DataFrame, Predictions],
    points: np.ndarray | None,
) -> DifferenceError | None:
    """Return what is learned of differences; None of a run of classes.

    `checks` are posts that the predictor has not seen, and their source; `held_out` all posts that models without them
    predicted, at points (n, A): the former alone where the latter are more, for a model that knows its own variance.
    """
    posts, source = checks
    all_posts, said = held_out
    if said.value is None:
        return None
    first, second, weights = _pairs(posts, target)
    if len(first):
        own = difference_of(predictor, posts, source, first, second)
    else:  # only whether it knows
        own = difference_of(predictor, posts.iloc[:1], source, np.array([0]), np.array([0]))
    knows = own is not None and own.variance is not None
    if len(first) < LEAST_PAIRS and not knows:
        posts = all_posts
        first, second, weights = _pairs(posts, target)
        own = Differences(mean=said.value[first] - said.value[second], variance=None)
    if len(first) >= LEAST_PAIRS:
        assert own is not None
        scores, noise = target.score(posts), experiment_arrays(posts, target).noise
        return fit_to_experiments(own, scores[first] - scores[second], noise[first] + noise[second], weights)
    if knows:
        return DifferenceError(learned_from="posterior")
    return fit_to_residuals(points, target.score(all_posts) - said.value)


def _pairs(posts: pd.DataFrame, target: Target) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return pairs_within(experiment_arrays(posts, target).experiment)
