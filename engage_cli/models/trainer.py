"""What a training is: posts to learn from, and something that learns from them and writes what its predictor reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd

from engage_cli.config.general import Kind
from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import ExperimentArrays, experiment_arrays
from engage_cli.data.targets.target import Target, require_variety
from engage_cli.data.within_experiments import within_truth
from engage_cli.errors import WrongCallError
from engage_cli.metrics.metrics import true_of
from engage_cli.models.predictions import Predictions
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import RunMeta, RunMetrics

WORK = "work"  # in a run's folder: what only an unfinished training needs


@dataclass(frozen=True, kw_only=True)
class Part:
    """The n posts of one part of the data that have the target, and what is to be learned of each.

    What else a trainer is to know of each post is one more field, an array (n,) in the same order.
    """

    places: np.ndarray  # (n,) int64: rows of the data's posts
    posts: pd.DataFrame  # n rows, with counters: a trainer hides them from its model
    scores: np.ndarray  # (n,) float64, in the target's unit
    truth: np.ndarray  # (n,): the scores, or the posts' classes as int64
    known: ExperimentArrays  # of which experiment each is, and the known noise of its score
    weights: np.ndarray | None = None  # (n,) how much each counts, where that differs

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A target, as values or as classes, and the posts that it is learned from and checked on."""

    dataset: Dataset
    target: Target
    kind: Kind
    train: Part
    validation: Part

    def part(self, places: np.ndarray) -> Part:
        """Return any posts of the data that have the target."""
        return _part(self.dataset, self.target, self.kind, places)


def make_problem(dataset: Dataset, target: Target, kind: Kind) -> Problem:
    """Raise EngageError where a part has no post with the target, or all training posts have one value or class."""
    train, validation = (_part(dataset, target, kind, dataset.rows(name, target)) for name in ("train", "validation"))
    require_variety(train.truth, kind, target.name)
    return Problem(dataset=dataset, target=target, kind=kind, train=train, validation=validation)


def _part(dataset: Dataset, target: Target, kind: Kind, places: np.ndarray) -> Part:
    posts = dataset.posts.iloc[places]
    scores = target.score(posts)
    return Part(
        places=places,
        posts=posts,
        scores=scores,
        truth=true_of(kind, scores, target.classes(scores)),
        known=experiment_arrays(posts, target),
    )


def problem_within(problem: Problem) -> Problem:
    """Return the same posts with scores less their experiment's level, and weights by their noise, as values.

    Raises WrongCallError where a part has no two variants of one experiment.
    """
    return replace(problem, train=_within(problem.train, "train"), validation=_within(problem.validation, "validation"))


def _within(part: Part, name: str) -> Part:
    if not part.known.any:
        raise WrongCallError(
            f"--objective within-experiments needs {name} posts that are variants of experiments; prepare them with "
            "--experiment, --outcome and --exposure"
        )
    within = within_truth(part.scores, part.known)
    return replace(part, scores=within.truth, truth=within.truth, weights=within.weights)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Predictions of posts by models that were not trained on them."""

    places: np.ndarray  # (m,) rows of the data's posts
    predictions: Predictions
    method: str


Refit: TypeAlias = "Callable[[Dataset, Reporter], Trainer]"


class Trainer(Protocol):
    """One training, made with its settings and with what gives it the posts' contents; a class may inherit the defaults.

    `steps.train.training` opens the run's folder and locks it, calls `fit` and `save`, finds out how sure the run may be,
    and finishes it. Whatever refuses a training is met while the trainer is made, before there is a folder.
    """

    problem: Problem
    meta: RunMeta  # what run.json says of it
    refit: Refit | None = None  # makes the same training of other posts; None: too costly
    held_out: HeldOut | None = None  # after `fit`: what that found out itself of held-out posts
    in_ranks: bool = False  # whether the processes of torchrun train it together
    about: str = ""  # what follows "training FOLDER"
    warnings: tuple[str, ...] = ()  # after `fit`: what a user should know of how it went

    def fit(self, folder: Path, reporter: Reporter) -> None:
        """Learn from `problem.train`; `problem.validation` may stop it, or choose among models.

        `folder` is the run's. What is kept in its folder WORK, or in files of the trainer's own, is gone on from where a
        training was killed, to the same result. Under torchrun every rank calls it.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write all that the predictor of `meta.model` opens; once more after a kill."""
        ...

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        """Return what only the trainer knows of how it went, and draw what is to be seen of it.

        `metrics` are left empty where the run's predictions of the validation posts are to be scored.
        """
        return RunMetrics()

    def forget(self) -> None:
        """Remove from a run that is finished what only an unfinished one needs, beside the folder WORK."""
        return
