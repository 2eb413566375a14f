"""Several runs, weighed together, as a predictor.

Values: stacked regression with non-negative weights (Breiman 1996). Classes are ordered, so the normal scores of their
cumulative probabilities are added up, as values are. An average of probabilities is too unsure by construction (Ranjan
and Gneiting 2010); a sum of scores may be surer than any member, where the weights add up to more than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.atomic import read_json
from engage_cli.core.errors import EngageError
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors import MEMBERS, load_predictor, members_of
from engage_cli.core.runs import Run

WEIGHTS_FILE = "stack.json"
PROBIT = "probit"
LINEAR = "linear"  # classes of an ensemble that was stored before there was another scale
NEARLY_ZERO = 1e-4  # a cumulative probability is held this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What each member counts: values, or normal scores of cumulative probabilities, are added up with them."""

    members: tuple[float, ...]  # >= 0
    offset: float = 0.0  # of values
    scale: str = PROBIT  # of classes

    def combine(self, predictions: Sequence[Predictions]) -> Predictions:
        if predictions[0].value is not None:
            values = np.stack([one.main for one in predictions], axis=1)
            return Predictions(value=self.offset + values @ np.asarray(self.members))
        if self.scale == LINEAR:
            shares = np.stack([one.main for one in predictions], axis=2)
            return Predictions(probabilities=shares @ np.asarray(self.members))
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


class StackPredictor:
    def __init__(self, run: Run) -> None:
        try:
            saved = read_json(run.folder / WEIGHTS_FILE)
            members = tuple(float(saved["weights"][name]) for name in run.meta[MEMBERS])
            scale = saved.get("scale", LINEAR)
            assert scale in (PROBIT, LINEAR)
            self.weights = Weights(members=members, offset=float(saved["offset"]), scale=scale)
        except (OSError, ValueError, LookupError, TypeError, AssertionError):
            raise EngageError(f"{run.folder / WEIGHTS_FILE} is damaged or gone; stack the runs again") from None
        self.members = [load_predictor(member) for member in members_of(run)]

    def predict(self, posts: pd.DataFrame, source: Sequence[Any]) -> Predictions:
        found = [member.predict(posts, one) for member, one in zip(self.members, source, strict=True)]
        return replace(self.weights.combine(found), vectors=_first_of_each([one.vectors for one in found]))

    def vectors(self, posts: pd.DataFrame, source: Sequence[Any]) -> dict[str, np.ndarray] | None:
        return _first_of_each([member.vectors(posts, one) for member, one in zip(self.members, source, strict=True)])


def _first_of_each(vectors: Sequence[dict[str, np.ndarray] | None]) -> dict[str, np.ndarray] | None:
    """Return every block as the first member that reads it has it."""
    found: dict[str, np.ndarray] = {}
    for one in vectors:
        found = {**(one or {}), **found}
    return found or None
