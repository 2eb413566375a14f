"""Weigh several runs together, and store the ensemble as a run of its own, its members inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from engage_cli.data.dataset import Dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.evaluation.evidence import ON_VALIDATION
from engage_cli.io.files import remove_tree
from engage_cli.io.own_folders import own_run
from engage_cli.io.records import file_hash
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.ensemble.fit import fit_weights, held_out_predictions
from engage_cli.models.ensemble.predictor import Weights, save_weights
from engage_cli.models.held_out import held_out_by_all
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.models.trainer import HeldOut, Problem, Trainer, make_problem
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import copy_run, find_finished, sweep_training
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runs.run_folder import MARKER, MEMBERS, Run, load_run
from engage_cli.steps.evaluate import open_runs
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train.training import TrainSummary, train_made

# What a member is, for the progress.
WHAT = {
    "gp": " (a Gaussian process: predicts from similar posts)",
    "catboost": " (CatBoost: many small decision trees, each of which corrects the ones before)",
    "neural": " (a neural network on the images' and texts' numbers)",
}

COMMAND = "evaluate --ensemble"
NOTE_OF_EQUALS = (
    "the mean of models that chose their epochs on these rows: optimistic; `engage evaluate` reads the test split"
)
NOTE_OF_FEW = "the models and weights that predicted each of these posts were fitted without it"
NOTE = "each row was predicted with weights fitted on the other rows; the members chose their epochs on these rows"


Member = Callable[[Path], object]  # puts a finished run into this folder
Elsewhere = Callable[[Mapping[str, Path], Reporter], None]


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
    opened = _open_members(folders, dataset)
    first = opened[0]
    members = {f"{number}-{member.folder.name}": member for number, member in enumerate(opened, start=1)}
    meta = RunMeta(
        command=COMMAND,
        model=ENSEMBLE,
        kind=first.meta.kind,
        members=tuple(members),
        of={name: file_hash(member.folder / MARKER) for name, member in members.items()},
        data=first.meta.data,
        leaky=any(member.leaky for member in opened),
        marks=tuple(dict.fromkeys(mark for member in opened for mark in member.marks)),
    )
    if (done := find_finished(run, runs_dir, meta=meta)) is not None:
        reporter.say(f"{done.folder} already holds this ensemble")  # the report may not have been written
        return done
    problem = make_problem(dataset, first.target, first.meta.kind)
    trainer = EnsembleTrainer(problem, meta, {name: partial(copy_run, member) for name, member in members.items()})
    return train_made(trainer, run=run, runs_dir=runs_dir, reporter=reporter).run


class EnsembleTrainer(Trainer):
    """Puts its members into the run's folder, one after another, and weighs them."""

    weights: Weights  # these after `fit`
    predictions: dict[str, Predictions]  # of each member, of the posts in `held_out`
    true: np.ndarray

    def __init__(
        self,
        problem: Problem,
        meta: RunMeta,
        members: Mapping[str, Member],
        *,
        is_equal: bool = False,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`meta` names the members. `is_equal`: all count alike, and no weight is fitted.

        `elsewhere` is given the members that are not there yet, with their folders, and puts them there.
        """
        self.problem, self.meta, self.members, self.is_equal = problem, meta, members, is_equal
        self.elsewhere = elsewhere
        self.about = f": {', '.join(members)}, then {'their mean' if is_equal else 'their weights'}"
        self.note = NOTE_OF_EQUALS if is_equal else NOTE

    def fit(self, folder: Path, reporter: Reporter) -> None:
        places = {name: own_run(folder).place(MEMBERS, name) for name in self.members}
        if self.elsewhere is not None:
            self.elsewhere({name: place for name, place in places.items() if not (place / MARKER).is_file()}, reporter)
        for number, (name, put) in enumerate(self.members.items(), start=1):
            place = places[name]
            if (place / MARKER).is_file():
                load_run(place)
                sweep_training(place)
                continue
            reporter.say(f"{number} of {len(self.members)}: {name}{WHAT.get(name, '')}")
            try:
                done = put(place)
            except EngageError:
                if not any(entry.is_dir() for entry in place.parent.glob("*")):  # a member was locked, and none begun
                    remove_tree(place.parent)  # open_run clears the rest
                raise
            if isinstance(done, TrainSummary):
                new = [warning for warning in done.warnings if warning not in self.meta.marks]
                self.warnings += tuple(f"{name}: {warning}" for warning in new)
        self._weigh(Run(folder, self.meta, self.problem.target), reporter)

    def _weigh(self, run: Run, reporter: Reporter) -> None:
        members, dataset, places = members_of(run), self.problem.dataset, self.problem.validation.places
        kept = held_out_by_all(members, dataset)
        if kept is not None:
            self.note = NOTE_OF_FEW
            places, predictions, method = kept[0].places, [one.predictions for one in kept], kept[0].method
        else:
            predictions, method = _ask(members, dataset, places, reporter), ON_VALIDATION
        self.true = true = self.problem.part(places).truth
        if self.is_equal:
            weights = Weights(members=(1 / len(members),) * len(members))
            said = weights.combine(predictions)
        else:
            known = self.problem.part(places).known
            weights = fit_weights(predictions, true, known, by_others=kept is not None)
            said = held_out_predictions(predictions, true, known, by_others=kept is not None)
        self.held_out = HeldOut(places=places, predictions=said, method=method)
        self.weights, self.predictions = weights, dict(zip(self.meta.members, predictions, strict=True))

    def save(self, folder: Path) -> None:
        save_weights(folder, self.meta.members, self.weights)

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        assert self.held_out is not None
        kind, true, said = self.problem.kind, self.true, self.held_out.predictions
        return RunMetrics(
            note=self.note,
            rows={"validation": len(self.problem.validation), "held_out": len(true)},
            metrics=compute_metrics(kind, true, said.main),
            weights=dict(zip(self.meta.members, self.weights.members, strict=True)),
            offset=self.weights.offset,
            members={name: compute_metrics(kind, true, one.main) for name, one in self.predictions.items()},
        )


def _ask(members: Sequence[Run], dataset: Dataset, places: np.ndarray, reporter: Reporter) -> list[Predictions]:
    found = []
    with reporter.stage("predicting with the members", len(members)) as stage:
        for member in members:
            found.append(load_predictor(member).predict(dataset.posts.iloc[places], source_of(member, dataset, reporter)))
            stage.advance(note=member.folder.name)
    return found


def _open_members(folders: Sequence[Path], dataset: Dataset) -> list[Run]:
    if len(folders) < 2:
        raise WrongCallError("--ensemble combines several runs: name two or more")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise WrongCallError("--ensemble: a run is named twice")
    members = open_runs(folders, dataset)
    first = members[0]
    for member in members:
        if member.meta.is_ensemble:
            raise WrongCallError(f"--ensemble: {member.folder} is an ensemble itself; name its members")
        if (member.kind, member.target) != (first.kind, first.target):
            raise WrongCallError(
                f"--ensemble: {first.folder} predicts {first.target.name} as {first.kind}, and {member.folder} "
                f"{member.target.name} as {member.kind}; only runs of one target and kind can be combined"
            )
    return members
