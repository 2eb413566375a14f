"""Concatenation: every block projected, laid side by side, mixed by one layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.neural.fusion._projection import PooledProjection


class ConcatFusion(nn.Module):
    reads_tokens: ClassVar[bool] = False

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: PooledProjection(dim, size) for name, dim in dims.items()})
        self.mix = nn.Sequential(nn.GELU(), nn.Dropout(size.dropout), nn.Linear(len(dims) * size.width, size.width))

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        return self.mix(torch.cat([layer(blocks[name]) for name, layer in self.project.items()], dim=-1))  # (B, width)
