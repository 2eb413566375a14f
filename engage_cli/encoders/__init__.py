"""Encoders: the checkpoints that have a short name, and the Tower that every encoder becomes.

Any hub id and any local folder of a known family works without a line here. An entry is a hub id, or the absolute path of a
local folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

VISION_CHECKPOINTS = {
    "dinov2-small": "packaged",
    "siglip": "google/siglip-so400m-patch14-384",
    "clip": "openai/clip-vit-large-patch14",
    "clip-base": "openai/clip-vit-base-patch32",
    "vit": "google/vit-base-patch16-224",
}
TEXT_CHECKPOINTS = {
    "minilm": "packaged",
    "deberta": "microsoft/deberta-v3-large",
    "bert": "bert-base-uncased",
    "siglip": "google/siglip-so400m-patch14-384",
    "clip": "openai/clip-vit-large-patch14",
    "clip-base": "openai/clip-vit-base-patch32",
}
CHECKPOINTS = {"vision": VISION_CHECKPOINTS, "text": TEXT_CHECKPOINTS}


class Tokens(NamedTuple):
    """What every tower gives and every fusion takes."""

    values: Tensor  # (B, T, D)
    mask: Tensor  # (B, T) bool, True where real
    depths: Tensor | None = None  # (B, 3, D): statistics of the tokens on their way, where a tower was asked for them


class Tower(Protocol):
    """An encoder: used frozen by `embed`, and trained inside a model."""

    name: str
    dim: int  # width of a token
    pooled_dim: int  # width of the pooled vector
    widths: tuple[int, ...]  # of the parts that it consists of: its own pooling, then each depth

    def prepare(self, inputs: Sequence[Any]) -> dict[str, Tensor]:
        """On the CPU: PIL images to pixels, or strings to token ids."""
        ...

    def forward(self, **prepared: Tensor) -> Tokens:
        """On the device: (B, T, dim) and their mask."""
        ...

    def pool(self, tokens: Tokens) -> Tensor:
        """(B, pooled_dim): the checkpoint's own pooling, or the one that was asked for."""
        ...

    def few(self, tokens: Tokens, num: int, **prepared: Tensor) -> Tokens:
        """(B, num, dim): regions of an image, or the first words of a text."""
        ...
