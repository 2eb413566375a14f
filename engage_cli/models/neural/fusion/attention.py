"""Cross-attention (study, section 4.1): each side attends to the other, is pooled, laid side by side and mixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.neural.fusion._cross_attention import CrossModal


class AttentionFusion(nn.Module):
    reads_tokens: ClassVar[bool] = True

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        self.cross = CrossModal(dims, size)
        self.mix = nn.Sequential(nn.GELU(), nn.Dropout(size.dropout), nn.Linear(len(dims) * size.width, size.width))

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        return self.mix(self.cross(blocks).flatten(1))  # (B, width)
