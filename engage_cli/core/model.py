"""The model: where its blocks come from, how they are fused, and a head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engage_cli.core.encoders import Tokens
from engage_cli.core.fusion import FUSIONS

# What a batch holds of a block: tokens that were stored, or what a live tower will turn into tokens.
BlockInput = Tokens | dict[str, Tensor]


class EngagementModel(nn.Module):
    """Blocks -> fusion -> head. `towers` holds the live encoders; a block without one comes as stored Tokens."""

    def __init__(
        self,
        dims: Mapping[str, int],
        *,
        fusion: str,
        width: int,
        dropout: float,
        out_dim: int,
        towers: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.towers = nn.ModuleDict(dict(towers or {}))
        self.fusion = FUSIONS.load(fusion)(dims, width, dropout=dropout)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, out_dim))

    def forward(self, blocks: Mapping[str, BlockInput]) -> Tensor:
        tokens = {
            name: block if isinstance(block, Tokens) else self.towers[name](**block) for name, block in blocks.items()
        }
        return self.head(self.fusion(tokens)).float()  # (B, out_dim): losses are taken in float32


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split parameters: matrices decay, norms, biases and other vectors do not."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
