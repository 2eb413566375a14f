"""Runs and baselines on the same rows of one split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from engage_cli.core.baselines import BASELINES
from engage_cli.core.comparison import Comparison, compare
from engage_cli.core.dataset import Dataset
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.metrics import PRIMARY, bootstrap_metrics, true_of
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors import load_predictor
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import Run, load_run, newest_run
from engage_cli.core.scores import Evaluation, Score
from engage_cli.core.targets import Target
from engage_cli.steps.sources import source_of

SPLITS = ("test", "validation")


def evaluate(
    folders: Sequence[Path],
    *,
    dataset: Dataset,
    runs_dir: Path = Path("runs"),
    split: str = "test",
    num_resamples: int = 500,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score runs (the newest one where none is named), and the baselines of each target and kind among them."""
    reporter = reporter or SilentReporter()
    if split not in SPLITS:
        raise WrongCallError(f"unknown split '{split}'; there are: {', '.join(SPLITS)}")
    runs = [load_run(folder) for folder in folders] or [newest_run(runs_dir)]
    for run in runs:
        _must_fit(run, dataset)
    tasks: dict[tuple[str, str], Target] = {}
    for run in runs:
        tasks.setdefault((run.target.name, run.kind), run.target)
    num_baselines = sum(len(BASELINES[kind]) for _, kind in tasks)
    scores, baselines = [], []
    with reporter.stage("evaluating", len(runs) + num_baselines) as stage:
        for run in runs:
            posts = dataset.posts.iloc[dataset.rows(split, run.target)]
            predictions = load_predictor(run).predict(posts, source_of(run, dataset, reporter))
            name = str(run.folder)
            scores.append(_score(name, run.kind, run.target, dataset, split, predictions, num_resamples, run.leaky))
            stage.advance(note=name)
        for (target_name, kind), target in tasks.items():
            parts = {}
            for part in ("train", "validation"):
                some = dataset.posts.iloc[dataset.rows(part, target)]
                values = target.score(some)
                parts[part] = (some, true_of(kind, values, target.classes(values)))
            posts = dataset.posts.iloc[dataset.rows(split, target)]
            for name in BASELINES[kind]:
                predictions = BASELINES[kind].load(name)(parts["train"], parts["validation"], posts)
                baselines.append(_score(name, kind, target, dataset, split, predictions, num_resamples, False))
                stage.advance(note=f"{name} ({target_name})")
    comparisons = _compare(scores, baselines, num_resamples) if num_resamples else []
    return Evaluation(split=split, runs=scores, baselines=baselines, comparisons=comparisons, marks=dataset.marks)


def _compare(runs: Sequence[Score], baselines: Sequence[Score], num_resamples: int) -> list[Comparison]:
    """Compare each run with the best baseline on these rows, and each two runs, of one target and kind."""
    found = []
    for target, kind in dict.fromkeys((run.target, run.kind) for run in runs):
        own, others = ([one for one in some if (one.target, one.kind) == (target, kind)] for some in (runs, baselines))
        best = max(others, key=lambda one: one.metrics[PRIMARY[kind]]["value"])
        pairs = [*((run, best) for run in own), *combinations(own, 2)]
        for first, second in pairs:
            if np.array_equal(first.true, second.true):  # a run may have fitted its target on other rows
                both = ((first.name, first.predicted), (second.name, second.predicted))
                found.append(compare(kind, first.true, *both, num_resamples=num_resamples))
    return found


def _must_fit(run: Run, dataset: Dataset) -> None:
    if run.meta["data"]["fingerprint"] != dataset.fingerprint:
        raise EngageError(
            f"{run.folder} was trained on other data than {dataset.folder} holds, so its test rows may have been trained "
            "on; name its data folder with --data"
        )


def _score(
    name: str,
    kind: str,
    target: Target,
    dataset: Dataset,
    split: str,
    predictions: Predictions,
    num_resamples: int,
    leaky: bool,
) -> Score:
    places = dataset.rows(split, target)
    scores = target.score(dataset.posts.iloc[places])
    true = true_of(kind, scores, target.classes(scores))
    predicted = predictions.main
    assert np.isfinite(predicted).all()
    return Score(
        name=name,
        kind=kind,
        target=target.name,
        unit=str(target.formula),
        metrics=bootstrap_metrics(kind, true, predicted, num_resamples=num_resamples),
        places=places,
        predicted=predicted,
        true=true,
        leaky=leaky,
    )
