"""Bidirectional cross-modal attention: image tokens attend to text tokens, and text tokens to image tokens."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engage_cli.data.schema import side_of
from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.neural.fusion._projection import TokenProjection


class CrossAttention(nn.Module):
    """One pre-norm layer: (B, T, width) attends to (B, S, width), then a feed-forward; both residual."""

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.heads, self.dropout = size.heads, size.dropout
        self.norm_queries, self.norm_others = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.queries = nn.Linear(size.width, size.width)
        self.keys_values = nn.Linear(size.width, 2 * size.width)
        self.out = nn.Linear(size.width, size.width)
        self.feed_forward = FeedForward(size)

    def forward(self, tokens: Tensor, others: Tokens) -> Tensor:
        batch, length, width = tokens.shape
        shape = (batch, -1, self.heads, width // self.heads)
        queries = self.queries(self.norm_queries(tokens)).view(shape).transpose(1, 2)
        keys, values = (
            part.reshape(shape).transpose(1, 2)
            for part in self.keys_values(self.norm_others(others.values)).chunk(2, dim=-1)
        )
        found = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=others.mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        tokens = tokens + self.out(found.transpose(1, 2).reshape(batch, length, width))
        return tokens + self.feed_forward(tokens)


class FeedForward(nn.Module):
    """Norm, and two layers of four times the width."""

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width)
        self.up, self.down = nn.Linear(size.width, 4 * size.width), nn.Linear(4 * size.width, size.width)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.down(self.dropout(F.gelu(self.up(self.norm(tokens)))))


class CrossModal(nn.Module):
    """Blocks projected to the shared width; then each side attends to the other, where there are both."""

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        size.check_heads()
        self.project = nn.ModuleDict({name: TokenProjection(dim, size) for name, dim in dims.items()})
        sides = {side_of(name) for name in dims}
        self.attend = nn.ModuleDict({side: CrossAttention(size) for side in sorted(sides) if len(sides) > 1})
        self.pool = nn.ModuleDict({name: AttentionPooling(size) for name in dims})

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        """(B, M, width): one vector of each block."""
        projected = {name: layer(blocks[name]) for name, layer in self.project.items()}
        mixed = projected
        if len(self.attend):
            sides = {side: _joined([t for name, t in projected.items() if side_of(name) == side]) for side in self.attend}
            mixed = {}
            for name, tokens in projected.items():
                other = next(side for side in sides if side != side_of(name))
                mixed[name] = Tokens(self.attend[side_of(name)](tokens.values, sides[other]), tokens.mask)
        return torch.stack([self.pool[name](tokens) for name, tokens in mixed.items()], dim=1)


class AttentionPooling(nn.Module):
    """(B, T, width) to (B, width): a learned weight for each token, summing to one over the real ones."""

    def __init__(self, size: FusionSize) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size.width)
        self.weigh = nn.Linear(size.width, 1)

    def forward(self, tokens: Tokens) -> Tensor:
        values = self.norm(tokens.values)
        scores = self.weigh(values).squeeze(-1).float()
        weights = scores.masked_fill(~tokens.mask, torch.finfo(scores.dtype).min).softmax(dim=1)
        return (values * weights.unsqueeze(-1).to(values.dtype)).sum(dim=1)


def _joined(parts: list[Tokens]) -> Tokens:
    return Tokens(torch.cat([part.values for part in parts], dim=1), torch.cat([part.mask for part in parts], dim=1))
