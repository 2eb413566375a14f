"""Objectives: a loss, and how outputs become predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engage_cli.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from engage_cli.config.training import TrainConfig
    from engage_cli.data.targets.target import Target
    from engage_cli.models.predictions import Predictions

WITHIN_EXPERIMENTS = "within-experiments"
VALUE_OBJECTIVES = Registry(
    "objective",
    {
        "hybrid": "engage_cli.models.neural.objectives.mse_huber:HybridObjective",
        "quantile": "engage_cli.models.neural.objectives.quantile:QuantileObjective",
        WITHIN_EXPERIMENTS: "engage_cli.models.neural.objectives.within_experiments:WithinExperimentsObjective",
    },
)
CLASS_OBJECTIVES = Registry(
    "objective",
    {
        "cross-entropy": "engage_cli.models.neural.objectives.cross_entropy:CrossEntropyObjective",
        "ordinal": "engage_cli.models.neural.objectives.corn:OrdinalObjective",
    },
)
OBJECTIVES = {"value": VALUE_OBJECTIVES, "classes": CLASS_OBJECTIVES}


class Objective(Protocol):
    """Made from the fitted target, which gives the scale.

    A loss is a mean over posts of something that each post has by itself: then it adds up, over the micro-batches of a
    window and over ranks, to the loss of one large batch.
    """

    kind: str  # "value" or "classes"
    out_dim: int

    def __init__(self, target: Target, config: TrainConfig) -> None: ...

    def encode(self, scores: Tensor) -> Tensor:
        """Target scores (n,) float64 to what `loss` compares with."""
        ...

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """(B, out_dim) float32 and the encoded target to the mean loss."""
        ...

    def decode(self, outputs: Tensor) -> Predictions: ...
