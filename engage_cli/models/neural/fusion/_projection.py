"""The first step of every fusion: a block in the shared width, or the learned "absent" in its place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engage_cli.encoders import Tokens
from engage_cli.models.neural.fusion import FusionSize


class PooledProjection(nn.Module):
    """(B, T, D) to (B, width): masked mean over tokens, norm, dropout, linear."""

    def __init__(self, dim: int, size: FusionSize) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(size.dropout)
        self.linear = nn.Linear(dim, size.width)
        self.absent = nn.Parameter(torch.zeros(size.width))

    def forward(self, tokens: Tokens) -> Tensor:
        projected = self.linear(self.dropout(self.norm(masked_mean(tokens))))
        return torch.where(tokens.mask.any(dim=1, keepdim=True), projected, self.absent.to(projected.dtype))


class TokenProjection(nn.Module):
    """(B, T, D) to (B, T, width); a post without the block gets one token, the "absent" one, so no mask is all False."""

    def __init__(self, dim: int, size: FusionSize) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(size.dropout)
        self.linear = nn.Linear(dim, size.width)
        self.kind = nn.Parameter(torch.zeros(size.width))  # tells a title's tokens from a description's
        self.absent = nn.Parameter(torch.zeros(size.width))

    def forward(self, tokens: Tokens) -> Tokens:
        values = self.linear(self.dropout(self.norm(tokens.values)))
        is_absent = ~tokens.mask.any(dim=1, keepdim=True)  # (B, 1)
        values = torch.where(is_absent.unsqueeze(-1), self.absent.to(values.dtype), values) + self.kind.to(values.dtype)
        first = torch.zeros_like(tokens.mask)
        first[:, 0] = True
        return Tokens(values, tokens.mask | (is_absent & first))


def masked_mean(tokens: Tokens) -> Tensor:
    """(B, T, D) to (B, D): the mean over real tokens; zeros where there is none."""
    weights = tokens.mask.unsqueeze(-1).to(tokens.values.dtype)
    return (tokens.values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
