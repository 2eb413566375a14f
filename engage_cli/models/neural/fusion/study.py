"""The study's regressor (section 4.3): cross-modal attention, pooling, gated fusion, transformer layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.neural.fusion._cross_attention import CrossModal
from engage_cli.models.neural.fusion.gated import Gates


class StudyFusion(nn.Module):
    """The fused vector is refined by transformer layers in which it attends to the blocks' own vectors."""

    reads_tokens: ClassVar[bool] = True

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        self.cross = CrossModal(dims, size)
        self.join = Gates(len(dims), size)
        self.refine = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size.width,
                size.heads,
                4 * size.width,
                size.dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(size.layers)
        )

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        vectors = self.cross(blocks)
        tokens = torch.cat([self.join(vectors).unsqueeze(1), vectors], dim=1)  # (B, 1 + M, width)
        for layer in self.refine:
            tokens = layer(tokens)
        return tokens[:, 0]  # (B, width)
