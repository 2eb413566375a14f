"""Runs and baselines on the variants of experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.experiments import centred, experiment_arrays
from engage_cli.data.targets.target import Target
from engage_cli.evaluation.baselines import BASELINES, NEED_VECTORS, Part
from engage_cli.evaluation.experiments import Variants, find_variants, score_variants
from engage_cli.evaluation.results import ExperimentScore, Metrics, Score
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import Predictor
from engage_cli.uncertainty.difference_error import chances_to_win
from engage_cli.uncertainty.error_correlation import beats_in_pairs
from engage_cli.uncertainty.forecast import UncertaintyModel

CONSTANT = "constant"  # the baseline that puts no variant before another


def score_experiments(
    posts: pd.DataFrame,
    predicted: np.ndarray,
    uncertainty: UncertaintyModel | None,
    predictions: Predictions,
    asked: tuple[Predictor, Any],
    *,
    num_resamples: int,
) -> tuple[ExperimentScore | None, Metrics]:
    """Score what a run says (n,) of the variants among posts; None and nothing where no two can be compared.

    `asked` is the run's predictor and the source of the posts. `uncertainty` None: its probabilities are not scored, as
    where they were learned from these very posts.
    """
    variants = find_variants(posts)
    if not len(variants):
        return None, {}
    chances = None if uncertainty is None else chances_of_variants(variants, uncertainty, predictions, posts, asked)
    return score_variants(variants, predicted[variants.rows], chances, num_resamples=num_resamples)


def chances_of_variants(
    variants: Variants,
    uncertainty: UncertaintyModel,
    predictions: Predictions,
    posts: pd.DataFrame,
    asked: tuple[Predictor, Any],
) -> np.ndarray:
    """Return (k,) the run's probability that the counts of each pair show its first variant ahead."""
    one, other = variants.pairs
    first, second = variants.rows[one], variants.rows[other]
    true = uncertainty.true_differences(asked[0], posts, asked[1], predictions, (first, second))
    if true is not None:
        return chances_to_win(true, variants.noise)
    points, near = uncertainty.points(predictions), np.zeros(len(first))
    if points is not None:
        near = uncertainty.correlation.at_distance(np.linalg.norm(points[first] - points[second], axis=1))
    correlation = 1 - (1 - uncertainty.correlation.same_author) * (1 - near)
    both = (predictions.take(first), predictions.take(second))
    return beats_in_pairs(uncertainty.calibration, *both, correlation, noise=variants.noise)


def climb_ladder(
    target: Target, kind: str, parts: tuple[Part, Part, Part], places: np.ndarray, num_resamples: int
) -> list[Score]:
    """Fit the baselines on differences within experiments, weighed by exposure, and score them on the variants asked about.

    What a baseline learns of posts it learns here of variants of one post, as a run that knows of experiments does.
    """
    train, validation, asked = parts
    variants = find_variants(asked.posts) if target.formula.per_exposure and kind == "value" else None
    if variants is None or not len(variants):
        return []
    train, validation = _within(train, target), _within(validation, target)
    if np.ptp(train.truth) == 0:
        return []
    shown = asked.posts.iloc[variants.rows]
    vectors = None if asked.vectors is None else asked.vectors[variants.rows]
    found = []
    for name in BASELINES[kind]:
        if name == CONSTANT or (name in NEED_VECTORS and vectors is None):
            continue
        predicted = BASELINES[kind].load(name)(train, validation, Part(shown, np.zeros(0), vectors)).main
        score, metrics = score_variants(variants, predicted, num_resamples=num_resamples)
        found.append(
            Score(
                name=name,
                kind=kind,
                target=target.name,
                unit=str(target.formula),
                metrics=metrics,
                places=places[variants.rows],
                predicted=predicted,
                true=asked.truth[variants.rows],
                experiments=score,
            )
        )
    return found


def _within(part: Part, target: Target) -> Part:
    """Return the part with its truth less the mean of each experiment, which exposure weighs; only variants are kept."""
    known = experiment_arrays(part.posts, target)
    weights = np.nan_to_num(known.exposure, nan=0.0) * (known.experiment >= 0)
    kept = np.flatnonzero(weights > 0)
    truth = centred(part.truth, known.experiment, np.maximum(weights, 1e-12))
    vectors = None if part.vectors is None else part.vectors[kept]
    return Part(part.posts.iloc[kept], truth[kept], vectors, weights[kept] / weights[kept].mean() if len(kept) else weights)
