"""Cross-entropy over the five classes (study, section 4.1)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engage_cli.config.general import CLASS_NAMES
from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.models.neural.objectives._class_weights import weights_of
from engage_cli.models.predictions import Predictions


class CrossEntropyObjective:
    kind = "classes"
    out_dim = len(CLASS_NAMES)

    def __init__(self, target: Target, config: TrainConfig) -> None:
        self.target, self.weights = target, weights_of(target, config)

    def encode(self, scores: Tensor) -> Tensor:
        return torch.from_numpy(self.target.classes(scores.numpy()))

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        weights = self.weights.to(outputs.device)[wanted]
        return (F.cross_entropy(outputs, wanted, reduction="none") * weights).mean()

    def decode(self, outputs: Tensor) -> Predictions:
        return Predictions(probabilities=outputs.double().softmax(dim=-1).cpu().numpy())
