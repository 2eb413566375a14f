"""The models that a run can be of. A new one is one line here, and a predictor."""

from __future__ import annotations

from typing import NamedTuple

from engage_cli.registry import Registry


class ModelKind(NamedTuple):
    predictor: str  # of models.predictor.Predictor
    words: str
    is_ensemble: bool = False  # whether it consists of runs, its members


NEURAL, FINETUNED, CATBOOST, GAUSSIAN_PROCESS, ENSEMBLE = "neural", "finetuned", "catboost", "gaussian_process", "ensemble"
MODELS = {
    NEURAL: ModelKind("engage_cli.models.neural.predictor:NeuralPredictor", "neural network"),
    FINETUNED: ModelKind(
        "engage_cli.models.neural.finetuned_predictor:FinetunedPredictor", "neural network that trained its encoders"
    ),
    CATBOOST: ModelKind("engage_cli.models.boosting.predictor:CatBoostPredictor", "CatBoost"),
    GAUSSIAN_PROCESS: ModelKind(
        "engage_cli.models.gaussian_process.predictor:GaussianProcessPredictor", "Gaussian process"
    ),
    ENSEMBLE: ModelKind("engage_cli.models.ensemble.predictor:EnsemblePredictor", "ensemble", is_ensemble=True),
}
PREDICTORS = Registry("model", {name: kind.predictor for name, kind in MODELS.items()})
