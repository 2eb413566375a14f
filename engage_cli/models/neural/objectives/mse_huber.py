"""The study's regression loss: 0.7 MSE + 0.3 Huber (section 4.3), on the standardised target."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.models.predictions import Predictions

MSE_WEIGHT, HUBER_WEIGHT = 0.7, 0.3


class HybridObjective:
    kind = "value"
    out_dim = 1

    def __init__(self, target: Target, config: TrainConfig) -> None:
        self.mean, self.std = target.mean, target.std

    def encode(self, scores: Tensor) -> Tensor:
        return ((scores - self.mean) / self.std).float()

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        predicted = outputs.squeeze(-1)
        return MSE_WEIGHT * F.mse_loss(predicted, wanted) + HUBER_WEIGHT * F.huber_loss(predicted, wanted)

    def decode(self, outputs: Tensor) -> Predictions:
        return Predictions(value=(outputs.squeeze(-1).double() * self.std + self.mean).cpu().numpy())
