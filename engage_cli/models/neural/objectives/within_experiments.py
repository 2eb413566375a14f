"""Differences between variants of one experiment: squared errors of truths less their experiment's level, by exposure.

What is wanted of a post is its truth and how much it counts (data/within_experiments.py), so the loss is a weighted mean.
Posts of no experiment count too, around the mean of all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.models.predictions import Predictions


class WithinExperimentsObjective:
    kind = "value"
    out_dim = 1

    def __init__(self, target: Target, config: TrainConfig) -> None:
        self.mean, self.std = target.mean, target.std

    def encode(self, scores: Tensor, weights: Tensor | None = None) -> Tensor:
        """(n, 2): the standardised truth, and the weight."""
        weights = torch.ones_like(scores) if weights is None else weights
        return torch.stack([(scores - self.mean) / self.std, weights], dim=1).float()

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        return (wanted[:, 1] * (outputs.squeeze(-1) - wanted[:, 0]) ** 2).mean()

    def decode(self, outputs: Tensor) -> Predictions:
        return Predictions(value=(outputs.squeeze(-1).double() * self.std + self.mean).cpu().numpy())
