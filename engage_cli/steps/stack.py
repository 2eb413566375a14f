"""Weigh runs together and store the ensemble as a run of its own, its members inside."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from engage_cli.core.dataset import Dataset
from engage_cli.core.errors import WrongCallError
from engage_cli.core.metrics import compute_metrics, true_of
from engage_cli.core.model_table import STACK
from engage_cli.core.own_folders import own_run
from engage_cli.core.predictors import load_predictor, members_of
from engage_cli.core.predictors.stack import Weights, save_weights
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.records import file_hash
from engage_cli.core.run_folders import clear_stage, copy_run, find_finished, finish_run, open_run
from engage_cli.core.run_records import RunMeta, RunMetrics
from engage_cli.core.runs import MARKER, MEMBERS, Run
from engage_cli.core.stacking import fit_weights, held_out_predictions
from engage_cli.core.targets import Target
from engage_cli.steps.calibrate import calibrate
from engage_cli.steps.evaluate import open_runs
from engage_cli.steps.sources import source_of

COMMAND = "evaluate --stack"
NOTE_OF_EQUALS = (
    "the mean of models that chose their epochs on these rows: optimistic; `engage evaluate` reads the test split"
)
NOTE = "weights fitted on these rows, each row predicted by weights of the others; its members chose their epochs on them"


def stack(
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
        model=STACK,
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
    posts = dataset.posts.iloc[dataset.rows("validation", target)]
    scores = target.score(posts)
    true = true_of(ensemble.kind, scores, target.classes(scores))
    predictions = []
    with reporter.stage("asking the members", len(members)) as stage:
        for member in members:
            predictions.append(load_predictor(member).predict(posts, source_of(member, dataset, reporter)))
            stage.advance(note=member.folder.name)
    if is_equal:
        weights = Weights(members=(1 / len(members),) * len(members))
        held_out = weights.combine(predictions)
    else:
        is_later = are_later(posts, dataset.posts.iloc[dataset.rows("train", target)])
        weights = fit_weights(predictions, true, is_later=is_later)
        held_out = held_out_predictions(predictions, true, is_later=is_later)
    saved = dict(zip(meta.members, weights.members, strict=True))
    save_weights(folder, meta.members, weights)
    calibrate(ensemble, dataset, source_of(ensemble, dataset, reporter), reporter, held_out=None if is_equal else held_out)
    metrics = RunMetrics(
        note=NOTE_OF_EQUALS if is_equal else NOTE,
        rows={"validation": len(true)},
        metrics=compute_metrics(ensemble.kind, true, held_out.main),
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


def are_later(posts: pd.DataFrame, others: pd.DataFrame) -> bool:
    """Whether nine in ten posts came after nine in ten of the others, as in a split by date."""
    if "posted_at" not in posts or posts["posted_at"].isna().all() or others["posted_at"].isna().all():
        return False
    return bool(posts["posted_at"].quantile(0.1) >= others["posted_at"].quantile(0.9))


def _open_members(folders: Sequence[Path], dataset: Dataset, runs_dir: Path) -> list[Run]:
    if len(folders) < 2:
        raise WrongCallError("--stack weighs several runs together: name two or more")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise WrongCallError("--stack: a run is named twice")
    members = open_runs(folders, dataset, runs_dir)
    first = members[0]
    for member in members:
        if member.meta.is_ensemble:
            raise WrongCallError(f"--stack: {member.folder} is an ensemble itself; name its members")
        if (member.kind, member.target) != (first.kind, first.target):
            raise WrongCallError(
                f"--stack: {first.folder} predicts {first.target.name} as {first.kind}, and {member.folder} "
                f"{member.target.name} as {member.kind}; only runs of one target and kind can be weighed together"
            )
    return members
