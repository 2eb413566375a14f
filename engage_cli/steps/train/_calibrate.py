"""Find out, from the validation posts, how sure a run may be, and which training posts stand where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.experiments import centred, experiment_codes
from engage_cli.evaluation.evidence import ON_VALIDATION, weigh_evidence
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import Predictor, load_predictor
from engage_cli.models.trainer import HeldOut, Part, Problem
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import Evidence
from engage_cli.runs.run_folder import Run
from engage_cli.steps.train._calibrate_differences import difference_error_of
from engage_cli.uncertainty.conformal import fit_calibration
from engage_cli.uncertainty.error_correlation import fit_correlation
from engage_cli.uncertainty.forecast import CALIBRATION_FILE, save_uncertainty
from engage_cli.uncertainty.neighbours import Neighbours, choose_posts, fit_neighbours

WITHIN = "r2_within_experiments"


def calibrate(
    run: Run, problem: Problem, source: Any, held_out: HeldOut | None, reporter: Reporter
) -> tuple[Evidence, Predictions]:
    """Write calibration.json, and the neighbours before it, into a run that is trained and not yet finished.

    `source` is what `source_of` gives for it. `held_out` are predictions of posts by models that have not seen them in any
    way; without, the run's own of the validation posts, which are optimistic as far as these chose its epoch. Return how
    good these predictions are, and the run's own of the validation posts.
    """
    predictor, checked = load_predictor(run), problem.validation
    with reporter.stage("setting how wide the intervals are, from past errors (calibration)", 3) as stage:
        own = predictor.predict(checked.posts, source)
        stage.advance(note=f"on {len(checked):,} validation posts")
        predictions, method = own, ON_VALIDATION
        if held_out is not None:
            checked, predictions, method = problem.part(held_out.places), held_out.predictions, held_out.method
        told, called = (checked.truth, predictions.main), None
        if run.target.formula.per_exposure and run.kind == "value" and (variants := _variants_among(checked.posts)).size:
            # What posts share, as their audience, is no news to whoever asks which variant wins.
            told, called = _within_experiments(checked.posts, variants, told), WITHIN
        evidence = weigh_evidence(run.kind, *told, posts=len(problem.train), method=method, called=called)
        stage.advance()
        if not (run.folder / CALIBRATION_FILE).is_file():  # of a run that was killed after this
            calibration = fit_calibration(predictions, checked.truth)
            points = None
            if own.vectors is not None:
                neighbours = _keep_neighbours(run, problem.train, predictor, source, own.vectors)
                vectors = own.vectors if held_out is None else predictor.vectors(checked.posts, source)
                assert vectors is not None
                points = neighbours.place(vectors)
            posts = checked.posts
            authors = posts["author"].fillna("").astype(str).to_numpy(object) if "author" in posts else None
            checks = (problem.validation.posts, source)
            differences = difference_error_of(predictor, run.target, checks, (posts, predictions), points)
            correlation = fit_correlation(points, calibration.normal_scores(predictions, checked.truth), authors)
            save_uncertainty(run.folder, calibration, correlation, differences, has_neighbours=points is not None)
        stage.advance()
    return evidence, own


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
    run: Run, train: Part, predictor: Predictor, source: Any, validation: dict[str, np.ndarray]
) -> Neighbours:
    """Write and return the training posts' places, and how far from them the validation posts usually are."""
    chosen = choose_posts(len(train), sum(block.shape[1] for block in validation.values()))
    posts = train.posts.iloc[chosen]
    vectors = predictor.vectors(posts, source)
    assert vectors is not None
    neighbours = fit_neighbours(vectors, train.scores[chosen], validation)
    neighbours.save(run.folder, posts)
    return neighbours
