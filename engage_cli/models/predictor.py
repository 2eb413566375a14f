"""What a run folder becomes: something that predicts posts, and says what it reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from engage_cli.runs.model_table import PREDICTORS
from engage_cli.runs.run_folder import Run

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from engage_cli.embeddings.store import BlockSource
    from engage_cli.features.inputs import TableSource
    from engage_cli.models.neural.training.image_text_batches import ContentSource
    from engage_cli.models.predictions import Differences, Predictions, Reasons

# What gives a run the contents of posts; of an ensemble, what gives each member them.
Source: TypeAlias = "BlockSource | ContentSource | TableSource | Sequence[Source]"


class Sources(Protocol):
    """Where posts lie, in a data folder or in a question, and all that a run may read of them there.

    Each raises EngageError where an encoder on this machine is not the one that the run was trained on.
    """

    def vectors(self, run: Run) -> BlockSource:
        """Vectors of the run's blocks, by the run's encoders."""
        ...

    def contents(self, run: Run) -> ContentSource:
        """The images and texts themselves."""
        ...

    def table(self, run: Run) -> TableSource:
        """What a table of features is made of: vectors of blocks, and measurements of images."""
        ...


class Predictor(Protocol):
    """What predicts for a run; a class may inherit the defaults."""

    def __init__(self, run: Run) -> None: ...

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> Any:
        """Return the one of `sources` that this model reads, which `predict` and `vectors` are given."""
        ...

    @staticmethod
    def further_columns(run: Run) -> dict[str, str]:
        """Return the columns of posts, beside cover and texts, that the run reads: each a number or a category."""
        return {}

    def predict(self, posts: pd.DataFrame, source: Any) -> Predictions:
        """Predict n posts, given only what is known before publication: values (n,) or probabilities (n, 5)."""
        ...

    def vectors(self, posts: pd.DataFrame, source: Any) -> dict[str, np.ndarray] | None:
        """Return block -> (n, P), the `vectors` of the posts' predictions, which are not wanted; None if it reads none."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """A predictor that says itself what a prediction rests on."""

    def explain(self, posts: pd.DataFrame, source: Any) -> list[Reasons]: ...


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
    from engage_cli.models.predictions import Differences

    if isinstance(predictor, KnowsDifferences):
        found = predictor.difference(posts, source, first, second)
        if found is not None:
            return found
    value = predictor.predict(posts, source).value
    return None if value is None else Differences(mean=value[first] - value[second], variance=None)


def members_of(run: Run) -> list[Run]:
    """Return the runs that an ensemble weighs; a run of its own is its only member."""
    return run.members


def choose_source(run: Run, sources: Sources) -> Source:
    """Return what the run's predictor is to be given."""
    source: Source = PREDICTORS.load(run.meta.model).choose_source(run, sources)
    return source


def extra_columns(run: Run) -> dict[str, str]:
    """Return the columns of posts, beside cover and texts, that the run reads: each a number or a category."""
    found: dict[str, str] = PREDICTORS.load(run.meta.model).further_columns(run)
    return found


def load_predictor(run: Run) -> Predictor:
    predictor: Predictor = PREDICTORS.load(run.meta.model)(run)
    return predictor
