"""Weigh runs together and store the ensemble as a run of its own, its members inside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.targets.target import Target
from engage_cli.errors import WrongCallError
from engage_cli.evaluation.evidence import ON_VALIDATION
from engage_cli.io.own_folders import own_run
from engage_cli.io.records import file_hash
from engage_cli.metrics.metrics import compute_metrics, true_of
from engage_cli.models.ensemble.fit import fit_weights, held_out_predictions
from engage_cli.models.ensemble.predictor import Weights, save_weights
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import clear_stage, copy_run, find_finished, finish_run, open_run
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runs.run_folder import MARKER, MEMBERS, Run
from engage_cli.steps.evaluate import open_runs
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._calibrate import calibrate
from engage_cli.steps.train._cross_fit import HeldOut, held_out_by_all

COMMAND = "evaluate --ensemble"
NOTE_OF_EQUALS = (
    "the mean of models that chose their epochs on these rows: optimistic; `engage evaluate` reads the test split"
)
NOTE_OF_FEW = "each of these posts was predicted by models, and by weights, that were fitted without it"
NOTE = "weights fitted on these rows, each row predicted by weights of the others; its members chose their epochs on them"


def combine(
    folders: Sequence[Path],
    *,
    dataset: Dataset,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Run:
    """Fit non-negative weights of the runs on the validation posts, and write a run that evaluate and predict take."""
    reporter = reporter or SilentReporter()
    members = _open_members(folders, dataset, runs_dir)
    first = members[0]
    names = [f"{number}-{member.folder.name}" for number, member in enumerate(members, start=1)]
    meta = RunMeta(
        command=COMMAND,
        model=ENSEMBLE,
        kind=first.meta.kind,
        members=tuple(names),
        of={name: file_hash(member.folder / MARKER) for name, member in zip(names, members, strict=True)},
        data=first.meta.data,
        leaky=any(member.leaky for member in members),
        marks=tuple(dict.fromkeys(mark for member in members for mark in member.marks)),
    )
    if (done := find_finished(run, runs_dir, meta=meta)) is not None:
        reporter.say(f"{done.folder} is this ensemble already")  # the report may not have been written
        return done
    with open_run(run, runs_dir, meta=meta, target=first.target, say=reporter.say) as (folder, goes_on):
        if not goes_on:
            clear_stage(folder)
        for name, member in zip(names, members, strict=True):
            copy_run(member, own_run(folder).place(MEMBERS, name))
        return weigh(folder, meta, first.target, dataset, reporter)


def weigh(
    folder: Path,
    meta: RunMeta,
    target: Target,
    dataset: Dataset,
    reporter: Reporter,
    *,
    started: float | None = None,
    is_equal: bool = False,
) -> Run:
    """Weigh the members that lie in a run folder together, and finish it.

    `started` is time.monotonic() of its training; `is_equal`: predictions are averaged, and no weight is fitted.
    """
    ensemble = Run(folder, meta, target)
    members = members_of(ensemble)
    places = dataset.rows("validation", target)
    kept = held_out_by_all(members, dataset)
    if kept is not None:
        places, predictions, method = kept[0].places, [one.predictions for one in kept], kept[0].method
    else:
        predictions, method = _ask(members, dataset, places, reporter), ON_VALIDATION
    scores = target.score(dataset.posts.iloc[places])
    true = true_of(ensemble.kind, scores, target.classes(scores))
    known = experiment_arrays(dataset.posts.iloc[places], target)
    if is_equal:
        weights = Weights(members=(1 / len(members),) * len(members))
        said = weights.combine(predictions)
    else:
        weights = fit_weights(predictions, true, known)
        said = held_out_predictions(predictions, true, known)
    held_out = HeldOut(places=places, predictions=said, method=method)
    saved = dict(zip(meta.members, weights.members, strict=True))
    save_weights(folder, meta.members, weights)
    evidence = calibrate(ensemble, dataset, source_of(ensemble, dataset, reporter), reporter, held_out=held_out)
    metrics = RunMetrics(
        note=(NOTE_OF_EQUALS if is_equal else NOTE) if kept is None else NOTE_OF_FEW,
        rows={"validation": len(dataset.rows("validation", target)), "held_out": len(true)},
        metrics=compute_metrics(ensemble.kind, true, said.main),
        evidence=evidence,
        weights=saved,
        offset=weights.offset,
        members={
            name: compute_metrics(ensemble.kind, true, one.main) for name, one in zip(saved, predictions, strict=True)
        },
        leaky=meta.leaky,
        marks=meta.marks,
        seconds=round(time.monotonic() - started, 1) if started is not None else None,
    )
    return finish_run(folder, metrics)


def _ask(members: Sequence[Run], dataset: Dataset, places: np.ndarray, reporter: Reporter) -> list[Predictions]:
    found = []
    with reporter.stage("asking the members", len(members)) as stage:
        for member in members:
            found.append(load_predictor(member).predict(dataset.posts.iloc[places], source_of(member, dataset, reporter)))
            stage.advance(note=member.folder.name)
    return found


def _open_members(folders: Sequence[Path], dataset: Dataset, runs_dir: Path) -> list[Run]:
    if len(folders) < 2:
        raise WrongCallError("--ensemble weighs several runs together: name two or more")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise WrongCallError("--ensemble: a run is named twice")
    members = open_runs(folders, dataset, runs_dir)
    first = members[0]
    for member in members:
        if member.meta.is_ensemble:
            raise WrongCallError(f"--ensemble: {member.folder} is an ensemble itself; name its members")
        if (member.kind, member.target) != (first.kind, first.target):
            raise WrongCallError(
                f"--ensemble: {first.folder} predicts {first.target.name} as {first.kind}, and {member.folder} "
                f"{member.target.name} as {member.kind}; only runs of one target and kind can be weighed together"
            )
    return members
