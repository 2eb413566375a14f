"""Cross-fitting: each of few posts is predicted by models fitted without it, for six validation posts tell nothing.

The same kind of model is trained again on parts of the training and validation posts, and predicts the others. How sure a
run may be, and what each member of an ensemble counts, is then learned from many posts, where they are few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.dataset import Dataset
from engage_cli.data.repeated_folds import Resplit, are_later, resplit
from engage_cli.evaluation.evidence import ENOUGH_VALIDATION
from engage_cli.io.files import remove_tree
from engage_cli.models.held_out import load_held_out, save_held_out
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor
from engage_cli.models.trainer import HeldOut, Problem
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import MARKER, Run, load_run
from engage_cli.runtime.distributed import get_world_size
from engage_cli.steps.inputs.sources import source_of

FOLDS = "folds"  # the runs of the folds; gone from a finished run
IN_TURN, IN_ORDER = "cross-validation", "cross-validation in order of time"

Train = Callable[[Dataset, Path], Run]  # data and the folder of a run -> a finished run there


@dataclass(frozen=True)
class Fold(Dataset):
    """A data folder whose posts are in other parts; targets are as they were."""

    source: Dataset = field(kw_only=True)
    parts: np.ndarray = field(kw_only=True, compare=False)  # (n,)

    @cached_property
    def posts(self) -> pd.DataFrame:
        return self.source.posts.assign(split=self.parts)


def has_few_posts(problem: Problem) -> bool:
    """Whether its validation posts are too few to learn from how sure a run may be."""
    return len(problem.validation) < ENOUGH_VALIDATION


def cross_fit(train: Train, problem: Problem, folder: Path, reporter: Reporter) -> HeldOut | None:
    """Return predictions of posts held out in turn, and keep them in the run's folder; None where they are not needed.

    None, too, of fewer posts than can be dealt, and in several processes. `train` is given a folder of its own for each
    fold, so that a killed run need not train it again.
    """
    dataset = problem.dataset
    if not has_few_posts(problem) or get_world_size() > 1:
        return None
    found = load_held_out(folder, dataset)
    if found is None:
        plan, method = plan_folds(problem)
        kept = []
        with reporter.stage("training again without some posts, to predict those (cross-fitting)", len(plan)) as stage:
            for number, division in enumerate(plan):
                said = train_and_ask(train, dataset, division, folder / FOLDS / f"fold-{number}")
                kept.append((division.held_out, said))
                stage.advance(note=f"{len(said):,} posts")
        if kept:
            found = HeldOut(
                places=np.concatenate([places for places, _ in kept]),
                predictions=_joined([said for _, said in kept]),
                method=method,
            )
            save_held_out(folder, dataset, found)
    remove_tree(folder / FOLDS)
    return found


def plan_folds(problem: Problem) -> tuple[list[Resplit], str]:
    """Divide the training and validation posts, by places in the data, the same for every model; and say how.

    A fold in which all posts are of one value or class is left out: there is nothing to learn in it.
    """
    train, validation, posts = problem.train, problem.validation, problem.dataset.posts
    in_order = are_later(validation.posts, train.posts)
    both = np.sort(np.concatenate([train.places, validation.places]))
    divisions = resplit(posts.iloc[both].reset_index(drop=True), in_order=in_order)
    truth = problem.part(both).truth
    found = [
        Resplit(fitted=both[one.fitted], stopping=both[one.stopping], held_out=both[one.held_out])
        for one in divisions
        if len(np.unique(truth[one.fitted])) > 1
    ]
    return found, IN_ORDER if in_order else IN_TURN


def train_and_ask(train: Train, dataset: Dataset, division: Resplit, folder: Path) -> Predictions:
    """Train a run on a fold, where that is not done yet, and predict its held-out posts."""
    parts = np.full(len(dataset.posts), "", object)
    parts[division.fitted], parts[division.stopping] = "train", "validation"
    fold = Fold(dataset.folder, dataset.meta, source=dataset, parts=parts)
    run = load_run(folder) if (folder / MARKER).is_file() else train(fold, folder)
    source = source_of(run, fold, SilentReporter())
    said = load_predictor(run).predict(dataset.posts.iloc[division.held_out], source)
    return Predictions(value=said.value, quantiles=said.quantiles, probabilities=said.probabilities)


def _joined(some: Sequence[Predictions]) -> Predictions:
    def of(name: str) -> np.ndarray | None:
        parts = [getattr(one, name) for one in some]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    return Predictions(value=of("value"), quantiles=of("quantiles"), probabilities=of("probabilities"))
