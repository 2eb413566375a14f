"""Whether a run is as sure as it may be: the coverage of its intervals, and how often its favourite of a pair wins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engage_cli.evaluation.results import Metrics
from engage_cli.metrics.bootstrap import resample, with_bounds
from engage_cli.models.predictions import Predictions
from engage_cli.uncertainty.error_correlation import beats_in_pairs
from engage_cli.uncertainty.forecast import UncertaintyModel

NUM_PAIRS = 5_000
NUM_BINS = 10
PAIR_ECE = "pair_ece"


def interval_metrics(
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]], true: np.ndarray, *, num_resamples: int, seed: int = 0
) -> Metrics:
    """Return coverage_80, width_80, ...: the share of truths inside, and the mean width, with bootstrap intervals."""
    columns = {}
    for name, (low, high) in intervals.items():
        columns[f"coverage_{name}"] = ((low <= true) & (true <= high)).astype(np.float64)
        columns[f"width_{name}"] = high - low
    draws = list(resample(len(true), num_resamples, seed=seed))
    return {
        name: with_bounds(float(values.mean()), [float(values[rows].mean()) for rows in draws])
        for name, values in columns.items()
    }


def pair_metrics(
    uncertainty: UncertaintyModel, predictions: Predictions, true: np.ndarray, *, num_resamples: int, seed: int = 0
) -> Metrics:
    """Return pair_ece: of 5,000 random pairs, how far P(one beats the other) is from how often it does, in ten bins.

    The interval is over posts, which many pairs share. The error is never below what chance alone gives: about 0.01.
    """
    chances, wins, pairs = chances_of_pairs(uncertainty, predictions, true, seed=seed)
    if not len(wins):
        return {}
    samples = []
    for rows in resample(len(true), num_resamples, seed=seed):
        times = np.bincount(rows, minlength=len(true))
        weights = (times[pairs[0]] * times[pairs[1]]).astype(np.float64)
        if weights.any():
            samples.append(expected_calibration_error(chances, wins, weights))
    return {PAIR_ECE: with_bounds(expected_calibration_error(chances, wins), samples)}


def chances_of_pairs(
    uncertainty: UncertaintyModel, predictions: Predictions, true: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (m,) P(the first beats the second) of random pairs, (m,) whether it did, and (2, m) who they are.

    A tie is half a win in both.
    """
    if len(true) < 2:
        return np.zeros(0), np.zeros(0), np.zeros((2, 0), np.int64)
    generator = np.random.default_rng(seed)
    first = generator.integers(0, len(true), NUM_PAIRS)
    second = (first + generator.integers(1, len(true), NUM_PAIRS)) % len(true)
    points, correlation = uncertainty.points(predictions), np.zeros(len(first))
    if points is not None:
        away = np.linalg.norm(points[first] - points[second], axis=1)
        correlation = uncertainty.correlation.at_distance(away)
    chances = beats_in_pairs(uncertainty.calibration, predictions.take(first), predictions.take(second), correlation)
    return chances, (true[first] > true[second]) + (true[first] == true[second]) / 2, np.stack([first, second])


def expected_calibration_error(chances: np.ndarray, wins: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean gap between the promised and the seen share, over ten bins of equal width, weighed by what they hold."""
    weights = np.ones(len(wins)) if weights is None else weights
    bins = np.minimum((chances * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=weights * (chances - wins), minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / weights.sum())
