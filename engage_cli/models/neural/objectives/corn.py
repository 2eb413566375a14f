"""CORN: the classes are ordered (Shi, Cao and Raschka 2021, "Deep neural networks for rank-consistent ordinal regression").

Output k is the probability that a post is above class k, given that it is above class k - 1; each is trained on the
posts for which that question arises. Their products fall with k, so no class has a negative probability.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engage_cli.config.general import CLASS_NAMES
from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target
from engage_cli.models.neural.objectives._class_weights import weights_of
from engage_cli.models.predictions import Predictions


class OrdinalObjective:
    kind = "classes"
    out_dim = len(CLASS_NAMES) - 1

    def __init__(self, target: Target, config: TrainConfig) -> None:
        self.target, self.weights = target, weights_of(target, config)

    def encode(self, scores: Tensor) -> Tensor:
        return torch.from_numpy(self.target.classes(scores.numpy()))

    def loss(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Mean over posts of the summed cross-entropies of a post's own questions.

        The paper divides by the number of questions in the batch instead, which does not add up over micro-batches.
        """
        steps = torch.arange(self.out_dim, device=outputs.device)
        is_above = (wanted[:, None] > steps).to(outputs.dtype)
        is_asked = wanted[:, None] >= steps
        losses = F.binary_cross_entropy_with_logits(outputs, is_above, reduction="none") * is_asked
        return (losses.sum(dim=1) * self.weights.to(outputs.device)[wanted]).mean()

    def decode(self, outputs: Tensor) -> Predictions:
        above = outputs.double().sigmoid().cumprod(dim=1)  # P(class > k)
        ones = torch.ones_like(above[:, :1])
        edges = torch.cat([ones, above, torch.zeros_like(ones)], dim=1)
        return Predictions(probabilities=(edges[:, :-1] - edges[:, 1:]).cpu().numpy())
