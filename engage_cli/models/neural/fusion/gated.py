"""Gated fusion: gates computed from all blocks together say how much of each block passes.

Arevalo et al. 2017, "Gated multimodal units for information fusion", with a softmax over blocks instead of two
complementary sigmoids, so that any number of blocks fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.neural.fusion._projection import PooledProjection


class Gates(nn.Module):
    """(B, M, width) to (B, width)."""

    def __init__(self, num_blocks: int, size: FusionSize) -> None:
        super().__init__()
        self.dropout = nn.Dropout(size.dropout)
        self.hidden = nn.Linear(num_blocks * size.width, size.width)
        self.gates = nn.Linear(size.width, num_blocks * size.width)

    def forward(self, vectors: Tensor) -> Tensor:
        # Without the hidden layer a gate sees sums of blocks only, and no match between two of them.
        together = F.gelu(self.hidden(self.dropout(F.gelu(vectors)).flatten(1)))
        gates = self.gates(together).view_as(vectors).float().softmax(dim=1).to(vectors.dtype)
        return (gates * vectors).sum(dim=1) + together


class GatedFusion(nn.Module):
    reads_tokens: ClassVar[bool] = False

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: PooledProjection(dim, size) for name, dim in dims.items()})
        self.join = Gates(len(dims), size)

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        return self.join(torch.stack([layer(blocks[name]) for name, layer in self.project.items()], dim=1))  # (B, width)
