"""How much each class counts in a loss over classes."""

from __future__ import annotations

import torch
from torch import Tensor

from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.errors import WrongCallError

CLASS_WEIGHTS = ("none", "balanced")


def weights_of(target: Target, config: TrainConfig) -> Tensor:
    """Return (5,) float32: ones, or the classes' inverse shares, scaled so that a training post counts 1 on average."""
    if config.class_weights not in CLASS_WEIGHTS:
        raise WrongCallError(f"unknown --class-weights '{config.class_weights}'; give one of: {', '.join(CLASS_WEIGHTS)}")
    shares = torch.tensor(target.class_shares, dtype=torch.float64)
    if config.class_weights == "none":
        return torch.ones(len(shares))
    there = shares > 0
    weights = torch.where(there, 1.0 / (shares.clamp(min=1e-12) * there.sum()), 1.0)
    return weights.float()
