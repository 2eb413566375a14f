"""Gated fusion: gates computed from all blocks together say how much of each block passes.

Arevalo et al. 2017, "Gated multimodal units for information fusion", with a softmax over blocks instead of two
complementary sigmoids, so that any number of blocks fits.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engage_cli.core.encoders import Tokens
from engage_cli.core.fusion.projection import PooledProjection


class GatedFusion(nn.Module):
    def __init__(self, dims: Mapping[str, int], width: int, *, dropout: float) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: PooledProjection(dim, width, dropout) for name, dim in dims.items()})
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(len(dims) * width, width)
        self.gates = nn.Linear(width, len(dims) * width)

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        projected = torch.stack([layer(blocks[name]) for name, layer in self.project.items()], dim=1)  # (B, M, width)
        # Without the hidden layer a gate sees sums of blocks only, and no match between two of them.
        together = F.gelu(self.hidden(self.dropout(F.gelu(projected)).flatten(1)))
        gates = self.gates(together).view_as(projected).float().softmax(dim=1).to(projected.dtype)
        return (gates * projected).sum(dim=1) + together  # (B, width)
