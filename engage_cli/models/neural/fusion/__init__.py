"""Fusions: how the blocks of a post become one vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from engage_cli.errors import WrongCallError
from engage_cli.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from engage_cli.encoders import Tokens

FUSIONS = Registry(
    "fusion",
    {
        "concat": "engage_cli.models.neural.fusion.concat:ConcatFusion",
        "attention": "engage_cli.models.neural.fusion.attention:AttentionFusion",
        "gated": "engage_cli.models.neural.fusion.gated:GatedFusion",
        "study": "engage_cli.models.neural.fusion.study:StudyFusion",
    },
)


@dataclass(frozen=True, kw_only=True)
class FusionSize:
    """How large a fusion is; each takes what it has."""

    width: int
    dropout: float = 0.0
    layers: int = 2
    heads: int = 4

    def check_heads(self) -> None:
        """Raise WrongCallError where attention cannot share the width among its heads."""
        if self.width % self.heads:
            raise WrongCallError(f"--heads {self.heads} does not divide --width {self.width}")


class Fusion(Protocol):
    """Made from the width of each block's tokens. A post without a block has its whole mask False."""

    reads_tokens: ClassVar[bool]  # else each block comes as its pooled vector, one token

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None: ...

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        """(B, width)."""
        ...
