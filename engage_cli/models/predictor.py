"""What a run folder becomes: something that predicts posts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from engage_cli.features.table import load_table
from engage_cli.models.predictions import Differences, Predictions
from engage_cli.runs.model_table import PREDICTORS, TABLE
from engage_cli.runs.run_folder import MEMBERS as MEMBERS
from engage_cli.runs.run_folder import Run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from engage_cli.embeddings.store import BlockSource
    from engage_cli.features.inputs import TableSource
    from engage_cli.models.neural.training.image_text_batches import ContentSource

# What gives a run the contents of posts; of an ensemble, what gives each member them.
Source: TypeAlias = "BlockSource | ContentSource | TableSource | Sequence[Source]"


class Predictor(Protocol):
    def __init__(self, run: Run) -> None: ...

    def predict(self, posts: pd.DataFrame, source: Any) -> Predictions:
        """Predict posts, given only what is known before publication. `source` is a Source of the run's own kind."""
        ...

    def vectors(self, posts: pd.DataFrame, source: Any) -> dict[str, np.ndarray] | None:
        """Return the `vectors` of the posts' predictions, where the predictions are not wanted; None if it reads none."""
        ...


@runtime_checkable
class KnowsDifferences(Protocol):
    """A predictor whose model says how unsure it is of a difference: what two posts share cancels."""

    def difference(self, posts: pd.DataFrame, source: Any, first: np.ndarray, second: np.ndarray) -> Differences | None:
        """Return the differences of pairs of the posts, `first` less `second`, places (k,) among them; None of classes."""
        ...


def difference_of(
    predictor: Predictor, posts: pd.DataFrame, source: Any, first: np.ndarray, second: np.ndarray
) -> Differences | None:
    """Return differences of pairs of posts, with the model's own variance where it has one; None of a run of classes."""
    if isinstance(predictor, KnowsDifferences) and (found := predictor.difference(posts, source, first, second)):
        return found
    value = predictor.predict(posts, source).value
    return None if value is None else Differences(mean=value[first] - value[second], variance=None)


def members_of(run: Run) -> list[Run]:
    """Return the runs that an ensemble weighs; a run of its own is its only member."""
    return run.members


def extra_columns(run: Run) -> dict[str, str]:
    """Return the columns of posts, beside cover and texts, that the run reads: each a number or a category."""
    found: dict[str, str] = {}
    for member in members_of(run):
        if member.meta.reads == TABLE:
            found.update(load_table(member.open).further_columns)
    return found


def load_predictor(run: Run) -> Predictor:
    predictor: Predictor = PREDICTORS.load(run.meta.model)(run)
    return predictor
