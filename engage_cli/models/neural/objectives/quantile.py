"""Quantiles of the target by the pinball loss (Koenker and Bassett 1978): the median, and intervals around it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engage_cli.config.general import QUANTILE_LEVELS
from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.models.predictions import Predictions

MEDIAN = QUANTILE_LEVELS.index(0.5)


class QuantileObjective:
    """Output i is the quantile at QUANTILE_LEVELS[i]; the median is the prediction."""

    kind = "value"
    out_dim = len(QUANTILE_LEVELS)

    def __init__(self, target: Target, config: TrainConfig) -> None:
        self.mean, self.std = target.mean, target.std

    def encode(self, scores: Tensor) -> Tensor:
        return ((scores - self.mean) / self.std).float()

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        levels = torch.tensor(QUANTILE_LEVELS, device=outputs.device)
        errors = wanted[:, None] - self._ordered(outputs)
        return torch.maximum(levels * errors, (levels - 1) * errors).mean()

    def decode(self, outputs: Tensor) -> Predictions:
        quantiles = (self._ordered(outputs).double() * self.std + self.mean).cpu().numpy()
        return Predictions(value=quantiles[:, MEDIAN].copy(), quantiles=quantiles)

    def _ordered(self, outputs: Tensor) -> Tensor:
        """The median, and positive steps away from it on both sides: quantiles cannot cross."""
        median, steps = outputs[:, MEDIAN : MEDIAN + 1], F.softplus(outputs)
        below = median - steps[:, :MEDIAN].flip(1).cumsum(dim=1).flip(1)
        return torch.cat([below, median, median + steps[:, MEDIAN + 1 :].cumsum(dim=1)], dim=1)
