"""Concatenation: every block projected, laid side by side, mixed by one layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from engage_cli.core.encoders import Tokens
from engage_cli.core.fusion.projection import PooledProjection


class ConcatFusion(nn.Module):
    def __init__(self, dims: Mapping[str, int], width: int, *, dropout: float) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: PooledProjection(dim, width, dropout) for name, dim in dims.items()})
        self.mix = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(len(dims) * width, width))

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        return self.mix(torch.cat([layer(blocks[name]) for name, layer in self.project.items()], dim=-1))  # (B, width)
