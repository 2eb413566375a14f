"""What a run folder becomes: something that predicts posts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engage_cli.core.registry import Registry
from engage_cli.core.tabular import load_table

if TYPE_CHECKING:
    import pandas as pd

    from engage_cli.core.features import BlockSource
    from engage_cli.core.given import TableSource
    from engage_cli.core.live_batches import ContentSource
    from engage_cli.core.predictions import Predictions
    from engage_cli.core.runs import Run

PREDICTORS = Registry(
    "model",
    {
        "neural": "engage_cli.core.predictors.neural:NeuralPredictor",
        "tuned": "engage_cli.core.predictors.tuned:TunedPredictor",
        "catboost": "engage_cli.core.predictors.catboost:CatBoostPredictor",
    },
)

NEURAL = "neural"
TUNED = "tuned"  # runs with encoders of their own: they read contents
CATBOOST = "catboost"  # runs on a table: they read blocks and measured covers


class Predictor(Protocol):
    def __init__(self, run: Run) -> None: ...

    def predict(self, posts: pd.DataFrame, source: BlockSource | ContentSource | TableSource) -> Predictions:
        """Predict posts, given only what is known before publication."""
        ...


def extra_columns(run: Run) -> dict[str, str]:
    """Return the columns of posts, beside cover and texts, that the run reads: each a number or a category."""
    return load_table(run.folder).further_columns if run.meta["model"] == CATBOOST else {}


def load_predictor(run: Run) -> Predictor:
    predictor: Predictor = PREDICTORS.load(run.meta["model"])(run)
    return predictor
