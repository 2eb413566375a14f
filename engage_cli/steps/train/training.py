"""How every run is trained: opened, gone on with, fitted, saved, calibrated and finished."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.evaluation.evidence import ON_VALIDATION
from engage_cli.io.files import remove_tree
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.held_out import save_held_out
from engage_cli.models.trainer import WORK, Refit, Trainer
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import clear_stage, find_killed_at_its_end, finish_run, open_run
from engage_cli.runs.records import RunMetrics
from engage_cli.runs.run_folder import Run, load_run
from engage_cli.runtime.devices import find_device
from engage_cli.runtime.distributed import get_rank, get_world_size, share_text, together, wait_for_all
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._calibrate import calibrate
from engage_cli.steps.train._cover_facts import remember_covers
from engage_cli.steps.train._cross_fit import cross_fit

REFUSED, GOES_ON, NEW = "refused", "goes on", "new"  # what the first rank tells the others of the run's folder

Settings = TypeVar("Settings")
Make = Callable[[Settings, EncoderConfig, Dataset, Reporter], Trainer]
Judge = Callable[[Trainer, Run, Reporter], RunMetrics]


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """A finished training."""

    run: Run
    went_on: bool
    warnings: tuple[str, ...] = ()


def train_run(
    make: Make[Settings],
    settings: Settings,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder, going on where an equal command was killed; every trainer is called by this.

    `run` names the folder; without, it is an unfinished one of these very settings below `runs_dir`, or a new one.
    Under torchrun all ranks call it, where the trainer is for several.
    """
    if reporter is None or get_rank() > 0:
        reporter = SilentReporter()
    with together(on_gpu=find_device().type == "cuda"):
        trainer = make(settings, encoders, dataset, reporter)
        return train_made(trainer, run=run, runs_dir=runs_dir, reporter=reporter)


def train_made(
    trainer: Trainer, *, run: Path | None, runs_dir: Path, reporter: Reporter, judge: Judge | None = None
) -> TrainSummary:
    """Do the same with a trainer that is made already. `judge` finds the run's metrics, in another way than is usual."""
    is_first, judge = get_rank() == 0, judge or _judge
    if get_world_size() > 1 and not trainer.in_ranks:
        raise WrongCallError("this runs in one process; under torchrun use train-regressor or train-classifier")
    for mark in trainer.meta.marks:
        reporter.say(mark)
    if run is None and (ended := _killed_at_its_end(trainer, runs_dir)) is not None:
        reporter.say(f"{ended} is this run: it was trained to its end by a command that was stopped before it could say so")
        return TrainSummary(run=load_run(ended), went_on=True, warnings=trainer.meta.marks)
    with _opened(trainer, run, runs_dir, reporter) as (folder, goes_on):
        started = time.monotonic()
        trainer.fit(folder, reporter)
        if is_first:
            trainer.save(folder)
            remember_covers(folder, trainer.problem)
        found = judge(trainer, Run(folder, trainer.meta, trainer.problem.target), reporter)
        if is_first:
            remove_tree(folder / WORK)
            seconds = round(time.monotonic() - started, 1) if found.seconds is None else found.seconds
            finish_run(folder, dataclasses.replace(found, seconds=seconds))
        trainer.forget()
        wait_for_all()
    return TrainSummary(run=load_run(folder), went_on=goes_on, warnings=(*trainer.meta.marks, *trainer.warnings))


def _killed_at_its_end(trainer: Trainer, runs_dir: Path) -> Path | None:
    """Let the first rank look, and tell the others."""
    found = find_killed_at_its_end(runs_dir, meta=trainer.meta) if get_rank() == 0 else None
    folder = share_text("" if found is None else str(found))
    return Path(folder) if folder else None


@contextmanager
def _opened(trainer: Trainer, run: Path | None, runs_dir: Path, reporter: Reporter) -> Iterator[tuple[Path, bool]]:
    """Open the run on the first rank, which holds its lock, and tell the others where it is."""
    if get_rank() > 0:
        how, _, what = share_text("").partition("|")
        if how == REFUSED:
            raise EngageError(what)
        wait_for_all()
        yield Path(what), how == GOES_ON
        return
    with ExitStack() as stack:
        try:
            opened = open_run(run, runs_dir, meta=trainer.meta, target=trainer.problem.target, say=reporter.say)
            folder, goes_on = stack.enter_context(opened)
        except EngageError as error:
            share_text(f"{REFUSED}|{error}")
            raise
        share_text(f"{GOES_ON if goes_on else NEW}|{folder}")
        if not goes_on:
            clear_stage(folder)
        reporter.say(f"{'continuing' if goes_on else 'training'} {folder}{trainer.about}")
        wait_for_all()
        yield folder, goes_on


def _judge(trainer: Trainer, run: Run, reporter: Reporter) -> RunMetrics:
    """Find out how good a run is and how sure it may be, and write what answers depend on of that."""
    problem, meta = trainer.problem, trainer.meta
    source = source_of(run, problem.dataset, reporter)  # on every rank: they look at the stores together
    if get_rank() > 0:
        return RunMetrics()
    told, held_out = trainer.report(run.folder, reporter), trainer.held_out
    if trainer.refit is not None:
        held_out = cross_fit(partial(_train_fold, trainer.refit), problem, run.folder, reporter)
    elif held_out is not None and held_out.method != ON_VALIDATION:
        save_held_out(run.folder, problem.dataset, held_out)
    evidence, predictions = calibrate(run, problem, source, held_out, reporter)
    return dataclasses.replace(
        told,
        rows=told.rows or {"train": len(problem.train), "validation": len(problem.validation)},
        metrics=told.metrics or compute_metrics(problem.kind, problem.validation.truth, predictions.main),
        evidence=evidence,
        leaky=meta.leaky,
        marks=meta.marks,
    )


def _train_fold(refit: Refit, dataset: Dataset, folder: Path) -> Run:
    """Train on a fold's posts; nobody asks how sure that run may be."""
    silent = SilentReporter()
    trainer = refit(dataset, silent)
    return train_made(trainer, run=folder, runs_dir=folder.parent, reporter=silent, judge=lambda *_: RunMetrics()).run
