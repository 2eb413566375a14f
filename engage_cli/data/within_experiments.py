"""What a model that knows no experiments is given of them: truths less their experiment's level, and how much each counts.

A truth counts by 1 / (its known noise + the variance between variants), as in a random-effects meta-analysis; the latter is
what the truths vary beyond their noise (DerSimonian and Laird 1986). The only variant of an experiment counts nothing: it
differs from no other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engage_cli.data.experiments import NONE, ExperimentArrays, centred

LEAST_SHARE = 0.05  # of what truths vary by within an experiment: the variance between variants is at least that


@dataclass(frozen=True, kw_only=True)
class WithinTruth:
    """Of n posts: posts of no experiment stand beside them with the mean level."""

    truth: np.ndarray  # (n,) float64
    weights: np.ndarray  # (n,) float64, 1 on average


def take(known: ExperimentArrays, rows: np.ndarray) -> ExperimentArrays:
    """Return what is known of some posts."""
    return ExperimentArrays(experiment=known.experiment[rows], noise=known.noise[rows], exposure=known.exposure[rows])


def within_truth(scores: np.ndarray, known: ExperimentArrays) -> WithinTruth:
    """Return the truths (n,) as differences from their experiment's weighted mean, around the mean of all."""
    between = between_variance(scores, known)
    weights = 1.0 / (known.noise + between)
    truth = scores.mean() + centred(scores, known.experiment, weights)
    weights[is_only_variant(known.experiment)] = 0.0
    weights /= weights.mean() or 1.0
    return WithinTruth(truth=truth, weights=weights)


def is_only_variant(experiment: np.ndarray) -> np.ndarray:
    """(n,) bool: posts of an experiment that has no other one here."""
    sizes = np.bincount(experiment + 1)
    return np.asarray((experiment != NONE) & (sizes[experiment + 1] == 1))


def between_variance(scores: np.ndarray, known: ExperimentArrays) -> float:
    """Return how much variants of one experiment vary beyond their known noise; 1 where none has another beside it."""
    codes = known.experiment + 1
    sizes = np.bincount(codes)
    inside = (known.experiment != NONE) & (sizes[codes] > 1)
    if not inside.any():
        return 1.0
    freedom = inside.sum() - len(np.unique(codes[inside]))
    away = centred(scores, known.experiment)[inside]
    total = float((away**2).sum()) / freedom
    # The residual of one of k variants holds (1 - 1 / k) of its own noise and its share of the others'.
    noise = float((known.noise[inside] * (1 - 1 / sizes[codes[inside]])).sum()) / freedom
    return max(total - noise, LEAST_SHARE * total) or 1.0
