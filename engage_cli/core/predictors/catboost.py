"""A CatBoost run as a predictor."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.core.atomic import read_json
from engage_cli.core.features import BlockSource
from engage_cli.core.leakage import known_before
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors import CONTRACT_FILE
from engage_cli.core.runs import Run
from engage_cli.core.tabular import build_table, check_columns

MODEL_FILE = "model.cbm"


class CatBoostPredictor:
    def __init__(self, run: Run) -> None:
        from catboost import CatBoost

        self.contract = read_json(run.folder / CONTRACT_FILE)
        self.kind = run.kind
        self.model = CatBoost()
        self.model.load_model(str(run.folder / MODEL_FILE))

    def predict(self, posts: pd.DataFrame, source: BlockSource) -> Predictions:
        table = build_table(
            known_before(posts), source, with_cosine=self.contract["with_cosine"], extra=self.contract["columns"]
        )
        return predict_table(self.model, check_columns(table, self.contract["names"]), self.kind)


def predict_table(model: object, table: pd.DataFrame, kind: str) -> Predictions:
    """Predict the rows of a feature table with a CatBoost model of either kind."""
    predict = model.predict  # type: ignore[attr-defined]
    if kind == "value":
        return Predictions(value=np.asarray(predict(table), np.float64).reshape(-1))
    return Predictions(probabilities=np.asarray(predict(table, prediction_type="Probability"), np.float64))
