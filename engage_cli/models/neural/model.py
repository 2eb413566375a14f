"""The model: where its blocks come from, how they are fused, and a head. Numbers of a post are a block too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engage_cli.config.training import TrainConfig
from engage_cli.data.numbers.number_inputs import NUMBERS
from engage_cli.data.schema import side_of
from engage_cli.encoders import Tokens, Tower
from engage_cli.models.neural.fusion import FUSIONS, FusionSize
from engage_cli.models.neural.numbers import NumbersBranch


class LiveInput(NamedTuple):
    """What a live tower turns into tokens."""

    prepared: dict[str, Tensor]  # pixels, or token ids and their mask
    present: Tensor  # (B,) bool, False where the post has no such content and something neutral stands in


BlockInput = Tokens | LiveInput


class EngagementModel(nn.Module):
    """Blocks -> fusion -> head. `towers` holds a live encoder for "vision" and "text"; without one, Tokens come stored."""

    def __init__(
        self,
        dims: Mapping[str, int],
        config: TrainConfig,
        *,
        out_dim: int,
        towers: Mapping[str, nn.Module] | None = None,
        num_tokens: int = 0,
        num_numbers: int = 0,
    ) -> None:
        """`num_tokens`: how many tokens of a live tower are kept, 0 for all; fusions that read none get one vector.

        `num_numbers`: the width of the rows of numbers (data.numbers.number_inputs), which are one more block; 0 for none.
        """
        super().__init__()
        fusion = FUSIONS.load(config.fusion)
        self.towers = nn.ModuleDict(dict(towers or {}))
        self.num_tokens, self.reads_tokens = num_tokens, bool(fusion.reads_tokens)
        self.modality_dropout = config.modality_dropout
        size = FusionSize(width=config.width, dropout=config.dropout, layers=config.layers, heads=config.heads)
        self.numbers = NumbersBranch(num_numbers, size) if num_numbers else None
        self.fusion = fusion({**dims, NUMBERS: config.width} if num_numbers else dims, size)
        self.head = nn.Sequential(
            nn.LayerNorm(config.width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(config.width, out_dim)
        )

    def forward(self, blocks: Mapping[str, BlockInput]) -> Tensor:
        tokens = self.encode(blocks)
        if self.training and self.modality_dropout:
            tokens = hide_blocks(tokens, self.modality_dropout)
        return self.score(tokens)

    def encode(self, blocks: Mapping[str, BlockInput]) -> dict[str, Tokens]:
        """Return the tokens of each block: the stored ones, or what the live towers make."""
        found = {
            name: block if isinstance(block, Tokens) else self._encode(self.towers[side_of(name)], block)
            for name, block in blocks.items()
        }
        if self.numbers is not None:
            found[NUMBERS] = Tokens(self.numbers(found[NUMBERS].values), found[NUMBERS].mask)
        return found

    def score(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """(B, out_dim) float32: losses are taken in it."""
        return self.head(self.fusion(tokens)).float()

    def _encode(self, tower: nn.Module, block: LiveInput) -> Tokens:
        return encode_live(tower, block, self.num_tokens, self.reads_tokens)  # type: ignore[arg-type]


def encode_live(tower: Tower, block: LiveInput, num_tokens: int, reads_tokens: bool) -> Tokens:
    """Run a tower and hand out what the store would hold: the pooled vector, that and a few tokens, or all tokens."""
    tokens = tower.forward(**block.prepared)
    present = block.present[:, None]
    if not reads_tokens:
        return Tokens(tower.pool(tokens).unsqueeze(1), present)
    if num_tokens:
        few = tower.few(tokens, num_tokens, **block.prepared)
        few = with_pooled(few, tower.pool(tokens)) if tower.widths[0] == tower.dim else few
        return Tokens(few.values, few.mask & present)
    return Tokens(tokens.values, tokens.mask & present)


def with_pooled(tokens: Tokens, pooled: Tensor) -> Tokens:
    """Put the pooled vector before the kept tokens, where it is as wide as they are: it knows what their means lost.

    Of one with depths behind it the first part.
    """
    width = tokens.values.shape[-1]
    if pooled.shape[-1] % width:
        return tokens
    pooled = pooled[..., :width]
    has = tokens.mask.any(dim=1, keepdim=True)
    return Tokens(torch.cat([pooled.unsqueeze(1), tokens.values], dim=1), torch.cat([has, tokens.mask], dim=1))


def hide_blocks(tokens: Mapping[str, Tokens], chance: float) -> dict[str, Tokens]:
    """Hide blocks of posts by chance, never the last one that a post has."""
    present = torch.stack([block.mask.any(dim=1) for block in tokens.values()], dim=1)  # (B, M)
    draws = torch.rand(present.shape, device=present.device)
    keeps = draws >= chance
    # Of each post the present block with the highest draw is kept in any case.
    best = torch.where(present, draws, -1.0).argmax(dim=1, keepdim=True)
    keeps = keeps.scatter(1, best, True)
    return {
        name: Tokens(block.values, block.mask & keeps[:, number, None])
        for number, (name, block) in enumerate(tokens.items())
    }


def num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
