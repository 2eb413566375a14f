"""Several runs, weighed together, as a predictor (stacked regression with non-negative weights, Breiman 1996)."""

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


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What each member counts: values are added up with them and the offset, probabilities averaged by them."""

    members: tuple[float, ...]  # >= 0; of classes their sum is 1
    offset: float = 0.0

    def combine(self, predictions: Sequence[Predictions]) -> Predictions:
        if predictions[0].value is not None:
            values = np.stack([one.main for one in predictions], axis=1)
            return Predictions(value=self.offset + values @ np.asarray(self.members))
        shares = np.stack([one.main for one in predictions], axis=2)
        return Predictions(probabilities=shares @ np.asarray(self.members))


class StackPredictor:
    def __init__(self, run: Run) -> None:
        try:
            saved = read_json(run.folder / WEIGHTS_FILE)
            members = tuple(float(saved["weights"][name]) for name in run.meta[MEMBERS])
            self.weights = Weights(members=members, offset=float(saved["offset"]))
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
