"""Few posts, and a run that learned from many posts of others: start from what it says, and learn what is different here.

A post's score is offset + scale x (the base's prediction) + a Gaussian process of what that leaves. Offset and scale have
a prior; the process counts as much as it is seen to help on training posts that were each left out. The result is an
ensemble: the base's models, copied, and the process.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target, fit_target
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.own_folders import own_run
from engage_cli.io.records import file_hash
from engage_cli.models.ensemble.amount import Amount, fit_amount, share_kept
from engage_cli.models.ensemble.predictor import Weights, read_weights, save_weights
from engage_cli.models.gaussian_process.predictor import left_out_r2_of, predict_processes
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor
from engage_cli.models.trainer import HeldOut, Problem, Trainer, make_problem
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import copy_run
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runs.run_folder import MARKER, MEMBERS, Run, load_run, verify_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._cross_fit import Fold, has_few_posts, plan_folds
from engage_cli.steps.train._run_inputs import data_of
from engage_cli.steps.train.gaussian_process import ProcessTrainer
from engage_cli.steps.train.training import TrainSummary, train_made, train_run
from engage_cli.uncertainty.neighbours import NAMES_FILE, known_posts

COMMAND = "train"
HERE = "here"  # the member that learned what is different
FEW = 300  # training posts: with more, a run of its own is as good
NOTE = "the base had not seen these rows, and no weight was fitted on them"
NOTE_OF_FEW = "the correction was learned without each of these posts in turn"


@dataclass(frozen=True)
class Base:
    """A finished run that others' posts made, and what it says of these."""

    run: Run
    dataset: Dataset
    reporter: Reporter = field(compare=False)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(n,) of every post of the data."""
        posts = self.dataset.posts
        with self.reporter.stage("predicting with the base", 1) as stage:
            said = load_predictor(self.run).predict(posts, source_of(self.run, self.dataset, self.reporter)).main
            stage.advance()
        return said

    @cached_property
    def members(self) -> dict[str, Run]:
        """Name in the new run -> a model of the base."""
        names = self.run.meta.members or ("run",)
        return {f"base-{name}": member for name, member in zip(names, self.run.members, strict=True)}

    def weights(self) -> Weights:
        return read_weights(self.run) if self.run.meta.is_ensemble else Weights(members=(1.0,))


@dataclass(frozen=True, kw_only=True)
class OnBase:
    """Settings of such a training, and the folder of its base."""

    config: EnsembleConfig
    base: Path


class BaseTrainer(Trainer):
    """Puts the base's models into the run's folder, and a process of what they leave beside them."""

    weights: Weights  # after `fit`

    def __init__(self, settings: OnBase, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> None:
        config, run = settings.config, verify_run(settings.base)
        _refuse_other_kinds(run, settings)
        _refuse_own_posts(run, dataset)
        self.config, self.encoders = config, encoders
        self.base = Base(run, dataset, reporter)
        self.problem = make_problem(dataset, _target_of(run, dataset), "value")
        self.here = _process_of(self.problem, self.base, config, encoders, reporter)
        _refuse_other_encoders(run, self.here)
        members = self.base.members
        self.about = f": predictions of {run.folder.name}, corrected for these posts"
        if len(self.problem.train) > FEW:
            reporter.say(
                f"{len(self.problem.train):,} training posts are enough for a run of their own: train one without --base, "
                "and compare both with `engage evaluate`"
            )
        self.meta = RunMeta(
            command=COMMAND,
            model=ENSEMBLE,
            kind="value",
            config=dataclasses.asdict(config),
            asked=dataclasses.asdict(encoders),
            data=data_of(dataset),
            members=(*members, HERE),
            of={name: file_hash(member.folder / MARKER) for name, member in members.items()},
            leaky=run.leaky,
            marks=tuple(dict.fromkeys((*dataset.marks, *run.marks))),
        )

    def fit(self, folder: Path, reporter: Reporter) -> None:
        own = own_run(folder)
        for name, member in self.base.members.items():
            place = own.place(MEMBERS, name)
            if not (place / MARKER).is_file():
                copy_run(member, place)
        place = own.place(MEMBERS, HERE)
        if not (place / MARKER).is_file():
            train_made(self.here, run=place, runs_dir=place.parent, reporter=reporter, judge=lambda *_: RunMetrics())
        load_run(place)
        kept = share_kept(left_out_r2_of(place) or 0.0, len(self.problem.train))
        amount, of = _amount_of(self.problem, self.base), self.base.weights()
        self.weights = Weights(
            members=(*(amount.scale * weight for weight in of.members), kept),
            offset=amount.offset + amount.scale * of.offset,
        )
        if has_few_posts(self.problem):
            self.held_out = self._hold_out(folder, reporter)

    def _hold_out(self, folder: Path, reporter: Reporter) -> HeldOut | None:
        """Predict few posts in turn, each by an amount and a process that were learned without it."""
        plan, method = plan_folds(self.problem)
        places, found, dataset = list[np.ndarray](), list[np.ndarray](), self.problem.dataset
        with reporter.stage("training again without some posts, to predict those (cross-fitting)", len(plan)) as stage:
            for division in plan:
                parts = np.full(len(dataset.posts), "", object)
                parts[np.concatenate([division.fitted, division.stopping])] = "train"
                parts[division.held_out] = "validation"
                fold = Fold(dataset.folder, dataset.meta, source=dataset, parts=parts)
                problem = make_problem(fold, self.problem.target, "value")
                trainer = _process_of(problem, self.base, self.config, self.encoders, SilentReporter())
                fitted = trainer.fit_processes(None, SilentReporter())
                kept = share_kept(fitted.left_out_r2 or 0.0, len(problem.train))
                said = _amount_of(problem, self.base).of(self.base.predicted[division.held_out])
                if kept:
                    said = said + kept * predict_processes(fitted, problem.validation.posts, trainer.source)
                places.append(division.held_out)
                found.append(said)
                stage.advance(note=f"{len(said):,} posts")
        if not places:
            return None
        return HeldOut(places=np.concatenate(places), predictions=Predictions(value=np.concatenate(found)), method=method)

    def save(self, folder: Path) -> None:
        save_weights(folder, self.meta.members, self.weights)

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        return RunMetrics(
            note=NOTE if self.held_out is None else NOTE_OF_FEW,
            weights=dict(zip(self.meta.members, self.weights.members, strict=True)),
            offset=self.weights.offset,
        )


def _process_of(
    problem: Problem, base: Base, config: EnsembleConfig, encoders: EncoderConfig, reporter: Reporter
) -> ProcessTrainer:
    """Return the training of a process on what the base leaves of the training posts."""
    amount, places = _amount_of(problem, base), problem.train.places
    left = problem.train.scores - amount.of(base.predicted[places])
    settings = GaussianProcessConfig(
        target=config.target, kind="value", vision=config.vision, text=config.text, seed=config.seed
    )
    return ProcessTrainer(settings, encoders, problem.dataset, reporter, problem=problem, left=left)


def _amount_of(problem: Problem, base: Base) -> Amount:
    return fit_amount(base.predicted[problem.train.places], problem.train.scores)


def _target_of(base: Run, dataset: Dataset) -> Target:
    """Return the base's target with the levels of these posts."""
    own = dataset.target(base.target.name)
    if own.formula == base.target.formula:
        return own
    posts = dataset.posts
    part = posts if own.fit_on == "all" else posts[posts["split"] == own.fit_on]
    return fit_target(own.name, part, fit_on=own.fit_on, formula=base.target.formula)


def _refuse_other_kinds(base: Run, settings: OnBase) -> None:
    if settings.config.kind != "value" or base.kind != "value":
        raise WrongCallError("--base needs runs that predict a value; give --as value, and a base that was trained with it")
    if base.target.name != settings.config.target:
        raise WrongCallError(
            f"--base {base.folder}: it predicts {base.target.name}, not {settings.config.target}; give "
            f"--target {base.target.name}, or another base"
        )
    if settings.config.members != EnsembleConfig.members:
        raise WrongCallError("--members cannot be given with --base: it trains a Gaussian process beside the base's models")


def _refuse_own_posts(base: Run, dataset: Dataset) -> None:
    """Raise EngageError where the base learned from these very posts: it would know what it is to predict."""
    of = f"--base {base.folder}: it was trained on"
    if base.meta.data.fingerprint == dataset.fingerprint:
        raise EngageError(f"{of} these very posts, so it already knows their outcomes; name a run of other posts")
    for run in dict.fromkeys([base.folder, *(member.folder for member in base.members)]):
        if not (run / NAMES_FILE).is_file():
            continue
        both = known_posts(run / NAMES_FILE) & _posts_of(dataset)
        if both:
            raise EngageError(
                f"{of} {len(both):,} of these posts too (such as '{min(both)[0]}'), so it already knows their outcomes; "
                "name a run of other posts"
            )


def _posts_of(dataset: Dataset) -> set[tuple[str, str]]:
    """Return (id, title) of every post."""
    posts = dataset.posts
    titles = posts["title"].fillna("").astype(str) if "title" in posts else [""] * len(posts)
    return set(zip(posts["id"].astype(str), titles, strict=True))


def _refuse_other_encoders(base: Run, here: ProcessTrainer) -> None:
    for member in base.members:
        for side, encoder in member.meta.encoders.items():
            own = here.meta.encoders.get(side)
            if own is not None and own != encoder:
                raise WrongCallError(
                    f"--base {base.folder}: its {side} encoder is {encoder.name}, as {encoder.pooling}, and here it is "
                    f"{own.name}, as {own.pooling}; give --{side} {encoder.name}, or the settings it was embedded with"
                )


def train_on_base(
    config: EnsembleConfig,
    base: Path,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train on few posts, starting from a finished run of others' posts."""
    settings = OnBase(config=config, base=base)
    return train_run(
        BaseTrainer, settings, dataset=dataset, encoders=encoders, run=run, runs_dir=runs_dir, reporter=reporter
    )
