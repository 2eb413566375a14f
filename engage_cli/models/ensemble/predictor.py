"""Several runs, weighed together, as a predictor.

Values: stacked regression with non-negative weights (Breiman 1996). Classes are ordered, so the normal scores of their
cumulative probabilities are added up, as values are. An average of probabilities is too unsure by construction (Ranjan
and Gneiting 2010); a sum of scores may be surer than any member, where the weights add up to more than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from engage_cli.errors import EngageError
from engage_cli.io.ranges import Number
from engage_cli.io.records import record
from engage_cli.models.predictions import Differences, Predictions
from engage_cli.models.predictor import (
    Predictor,
    Source,
    Sources,
    choose_source,
    difference_of,
    extra_columns,
    load_predictor,
    members_of,
)
from engage_cli.runs.records import AGAIN, FolderName, read_run_record, write_run_record
from engage_cli.runs.run_folder import FIRST, Run

WEIGHTS_FILE, WEIGHTS_KIND = "ensemble.json", "run weights"
MOST_WEIGHT = 1000.0  # far beyond what validation posts ever give
NEARLY_ZERO = 1e-4  # a cumulative probability is held this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What each member counts: values, or normal scores of cumulative probabilities, are added up with them."""

    members: tuple[float, ...]  # >= 0
    offset: float = 0.0  # of values

    def combine(self, predictions: Sequence[Predictions]) -> Predictions:
        if predictions[0].value is not None:
            values = np.stack([one.main for one in predictions], axis=1)
            return Predictions(value=self.offset + values @ np.asarray(self.members))
        return Predictions(probabilities=join_scores(normal_scores(predictions), np.asarray(self.members)))


def normal_scores(predictions: Sequence[Predictions]) -> np.ndarray:
    """(n, 4, members): where each member puts the four edges between the classes, in its standard deviations."""
    from scipy.special import ndtri

    below = np.stack([one.main.cumsum(axis=1)[:, :-1] for one in predictions], axis=2)
    return np.asarray(ndtri(np.clip(below, NEARLY_ZERO, 1 - NEARLY_ZERO)))


def join_scores(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (n, 5) probabilities; with no weight below 0 the edges stay in order."""
    from scipy.special import ndtr

    return np.diff(np.asarray(ndtr(scores @ weights)), axis=1, prepend=0.0, append=1.0)


@record
class SavedWeights:
    """ensemble.json: what each member counts, by its name, and what is added to values."""

    weights: dict[FolderName, Annotated[float, Field(ge=0, le=MOST_WEIGHT)]]
    offset: Number


def save_weights(folder: Path, members: Sequence[str], weights: Weights) -> None:
    saved = SavedWeights(weights=dict(zip(members, weights.members, strict=True)), offset=weights.offset)
    write_run_record(folder / WEIGHTS_FILE, saved, WEIGHTS_KIND)


def read_weights(run: Run) -> Weights:
    """Return what each member of an ensemble counts, in their order."""
    path = run.open(WEIGHTS_FILE)
    saved = read_run_record(path, SavedWeights, WEIGHTS_KIND)
    if set(saved.weights) != set(run.meta.members):
        raise EngageError(f"{path}: the weights do not match the members in {FIRST}; {AGAIN}")
    return Weights(members=tuple(saved.weights[name] for name in run.meta.members), offset=saved.offset)


class EnsemblePredictor(Predictor):
    def __init__(self, run: Run) -> None:
        self.folder, self.weights = run.folder, read_weights(run)
        self.members = [load_predictor(member) for member in members_of(run)]

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> list[Source]:
        return [choose_source(member, sources) for member in run.members]

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        return {name: kind for member in run.members for name, kind in extra_columns(member).items()}

    def predict(self, posts: pd.DataFrame, source: Sequence[Any]) -> Predictions:
        found = [member.predict(posts, one) for member, one in zip(self.members, source, strict=True)]
        return replace(
            self.weights.combine(found).checked(self.folder), vectors=_first_of_each([one.vectors for one in found])
        )

    def difference(
        self, posts: pd.DataFrame, source: Sequence[Any], first: np.ndarray, second: np.ndarray
    ) -> Differences | None:
        """As Predictor.difference: the variance is that of the first member that has one, which is near that of the sum."""
        found = [difference_of(member, posts, one, first, second) for member, one in zip(self.members, source, strict=True)]
        told = [one for one in found if one is not None]
        if len(told) < len(found):
            return None
        mean = np.stack([one.mean for one in told], axis=1) @ np.asarray(self.weights.members)
        return Differences(mean=mean, variance=next((one.variance for one in told if one.variance is not None), None))

    def vectors(self, posts: pd.DataFrame, source: Sequence[Any]) -> dict[str, np.ndarray] | None:
        return _first_of_each([member.vectors(posts, one) for member, one in zip(self.members, source, strict=True)])


def _first_of_each(vectors: Sequence[dict[str, np.ndarray] | None]) -> dict[str, np.ndarray] | None:
    """Return every block as the first member that reads it has it."""
    found: dict[str, np.ndarray] = {}
    for one in vectors:
        found = {**(one or {}), **found}
    return found or None
