"""The models that a run can be of. A new one is one line here, and a predictor."""

from __future__ import annotations

from typing import NamedTuple

from engage_cli.registry import Registry

# What a model is given of posts: vectors of their blocks, the blocks' contents, a table of features, or, of an ensemble,
# what each of its members is given.
VECTORS, CONTENTS, TABLE, AS_MEMBERS = "vectors", "contents", "table", "as members"

_HERE = "engage_cli.models.predictor"


class ModelKind(NamedTuple):
    predictor: str
    reads: str
    words: str


NEURAL, TUNED, CATBOOST, PROCESS, STACK = "neural", "tuned", "catboost", "process", "stack"
MODELS = {
    NEURAL: ModelKind(f"{_HERE}.neural:NeuralPredictor", VECTORS, "neural network"),
    TUNED: ModelKind(f"{_HERE}.tuned:TunedPredictor", CONTENTS, "neural network that trained its encoders"),
    CATBOOST: ModelKind(f"{_HERE}.catboost:CatBoostPredictor", TABLE, "CatBoost"),
    PROCESS: ModelKind(f"{_HERE}.process:ProcessPredictor", VECTORS, "Gaussian process"),
    STACK: ModelKind(f"{_HERE}.stack:StackPredictor", AS_MEMBERS, "ensemble"),
}
PREDICTORS = Registry("model", {name: kind.predictor for name, kind in MODELS.items()})
