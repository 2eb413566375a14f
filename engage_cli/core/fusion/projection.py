"""The first step of every fusion: a block's tokens to one vector of the shared width, or its "absent" vector."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engage_cli.core.encoders import Tokens


class PooledProjection(nn.Module):
    """Masked mean over tokens, norm, dropout, linear; a post without the block gets a learned vector instead."""

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, width)
        self.absent = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tokens) -> Tensor:
        values, mask = tokens  # (B, T, D), (B, T)
        weights = mask.unsqueeze(-1).to(values.dtype)
        pooled = (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        projected = self.linear(self.dropout(self.norm(pooled)))  # (B, width)
        return torch.where(mask.any(dim=1, keepdim=True), projected, self.absent.to(projected.dtype))
