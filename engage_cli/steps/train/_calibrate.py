"""Find out, from the validation posts, how sure a run may be, and which training posts stand where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import centred, experiment_codes
from engage_cli.evaluation.evidence import ON_VALIDATION, weigh_evidence
from engage_cli.metrics.metrics import true_of
from engage_cli.models.predictor import Predictor, load_predictor
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import Evidence
from engage_cli.runs.run_folder import Run
from engage_cli.steps.train._calibrate_differences import difference_error_of
from engage_cli.steps.train._cross_fit import HeldOut
from engage_cli.uncertainty.conformal import fit_calibration
from engage_cli.uncertainty.error_correlation import fit_correlation
from engage_cli.uncertainty.forecast import CALIBRATION_FILE, save_uncertainty
from engage_cli.uncertainty.neighbours import Neighbours, choose_posts, fit_neighbours

WITHIN = "r2_within_experiments"


def calibrate(run: Run, dataset: Dataset, source: Any, reporter: Reporter, *, held_out: HeldOut | None = None) -> Evidence:
    """Write calibration.json, and the neighbours before it, into a run that is trained and not yet finished.

    `source` is what `source_of` gives for it. `held_out` are predictions of posts by models that have not seen them in any
    way; without, the run's own of the validation posts, which are optimistic as far as these chose its epoch. Return how
    good these predictions are.
    """
    target, predictor = run.target, load_predictor(run)
    posts = checks = dataset.posts.iloc[dataset.rows("validation", target)]
    with reporter.stage("looking how sure it may be", 3) as stage:
        own = predictor.predict(checks, source)
        stage.advance(note=f"on {len(checks):,} validation posts")
        predictions, method = own, ON_VALIDATION
        if held_out is not None:
            posts, predictions, method = dataset.posts.iloc[held_out.places], held_out.predictions, held_out.method
        scores = target.score(posts)
        true = true_of(run.kind, scores, target.classes(scores))
        num = len(dataset.rows("train", target))
        told, called = (true, predictions.main), None
        if target.formula.per_exposure and run.kind == "value" and (variants := _variants_among(posts)).size:
            # What posts share, as their audience, is no news to whoever asks which variant wins.
            told, called = _within_experiments(posts, variants, told), WITHIN
        evidence = weigh_evidence(run.kind, *told, posts=num, method=method, called=called)
        stage.advance()
        if not (run.folder / CALIBRATION_FILE).is_file():  # of a run that was killed after this
            calibration = fit_calibration(predictions, true)
            points = None
            if own.vectors is not None:
                neighbours = _keep_neighbours(run, dataset, predictor, source, own.vectors)
                vectors = own.vectors if held_out is None else predictor.vectors(posts, source)
                assert vectors is not None
                points = neighbours.place(vectors)
            authors = posts["author"].fillna("").astype(str).to_numpy(object) if "author" in posts else None
            differences = difference_error_of(predictor, target, (checks, source), (posts, predictions), points)
            correlation = fit_correlation(points, calibration.normal_scores(predictions, true), authors)
            save_uncertainty(run.folder, calibration, correlation, differences, has_neighbours=points is not None)
        stage.advance()
    return evidence


def _variants_among(posts: pd.DataFrame) -> np.ndarray:
    """Return the places of posts that have another variant of their experiment beside them."""
    codes = experiment_codes(posts)
    return np.flatnonzero((codes >= 0) & (np.bincount(codes + 1)[codes + 1] > 1))


def _within_experiments(
    posts: pd.DataFrame, variants: np.ndarray, told: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and prediction of variants, each less its experiment's mean."""
    codes = experiment_codes(posts)[variants]
    true, predicted = (centred(values[variants], codes) for values in told)
    return true, predicted


def _keep_neighbours(
    run: Run, dataset: Dataset, predictor: Predictor, source: Any, validation: dict[str, np.ndarray]
) -> Neighbours:
    """Write and return the training posts' places, and how far from them the validation posts usually are."""
    rows = dataset.rows("train", run.target)
    train = dataset.posts.iloc[rows[choose_posts(len(rows), sum(block.shape[1] for block in validation.values()))]]
    vectors = predictor.vectors(train, source)
    assert vectors is not None
    neighbours = fit_neighbours(vectors, run.target.score(train), validation)
    neighbours.save(run.folder, train)
    return neighbours
