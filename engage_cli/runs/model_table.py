"""The models that a run can be of. A new one is one line here, and a predictor."""

from __future__ import annotations

from typing import NamedTuple

from engage_cli.registry import Registry

# What a model is given of posts: vectors of their blocks, the blocks' contents, a table of features, or, of an ensemble,
# what each of its members is given.
VECTORS, CONTENTS, TABLE, AS_MEMBERS = "vectors", "contents", "table", "as members"


class ModelKind(NamedTuple):
    predictor: str
    reads: str
    words: str


NEURAL, FINETUNED, CATBOOST, GAUSSIAN_PROCESS, ENSEMBLE = "neural", "finetuned", "catboost", "gaussian_process", "ensemble"
MODELS = {
    NEURAL: ModelKind("engage_cli.models.neural.predictor:NeuralPredictor", VECTORS, "neural network"),
    FINETUNED: ModelKind(
        "engage_cli.models.neural.finetuned_predictor:FinetunedPredictor",
        CONTENTS,
        "neural network that trained its encoders",
    ),
    CATBOOST: ModelKind("engage_cli.models.boosting.predictor:CatBoostPredictor", TABLE, "CatBoost"),
    GAUSSIAN_PROCESS: ModelKind(
        "engage_cli.models.gaussian_process.predictor:GaussianProcessPredictor", VECTORS, "Gaussian process"
    ),
    ENSEMBLE: ModelKind("engage_cli.models.ensemble.predictor:EnsemblePredictor", AS_MEMBERS, "ensemble"),
}
PREDICTORS = Registry("model", {name: kind.predictor for name, kind in MODELS.items()})
