"""Where test posts are too few to show anything: all posts, each predicted by models that were trained without it."""

from __future__ import annotations

import numpy as np

from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target
from engage_cli.evaluation.evidence import score_warnings
from engage_cli.evaluation.results import Score
from engage_cli.metrics.metrics import PRIMARY, bootstrap_metrics, true_of
from engage_cli.metrics.paired_bootstrap import LEAST_FOR_VERDICT
from engage_cli.models.held_out import load_held_out
from engage_cli.runs.run_folder import Run


def score_in_turn(run: Run, tested: Score, dataset: Dataset, num_resamples: int) -> Score | None:
    """Score few test posts together with those that cross-validation predicted; None where test posts suffice.

    None, too, of a run that kept no such predictions, and of too few posts even then.
    """
    if tested.rows >= LEAST_FOR_VERDICT or (kept := load_held_out(run.folder, dataset)) is None:
        return None
    places = np.concatenate([kept.places, tested.places])
    if len(places) < LEAST_FOR_VERDICT:
        return None
    true = truth_of(run.target, run.kind, dataset, places)
    predicted = np.concatenate([kept.predictions.main, tested.predicted])
    metrics = bootstrap_metrics(run.kind, true, predicted, num_resamples=num_resamples)
    primary = PRIMARY[run.kind]
    return Score(
        name=tested.name,
        kind=run.kind,
        target=tested.target,
        unit=tested.unit,
        metrics=metrics,
        places=places,
        predicted=predicted,
        true=true,
        leaky=run.leaky,
        warnings=tuple(score_warnings(primary, metrics[primary], len(true), "cross-validated")),
    )


def truth_of(target: Target, kind: str, dataset: Dataset, places: np.ndarray) -> np.ndarray:
    scores = target.score(dataset.posts.iloc[places])
    return true_of(kind, scores, target.classes(scores))
