"""From many tokens to one vector, or to a few: class token, mean, attention head; regions and words."""

from __future__ import annotations

import json
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from engage_cli.core.encoders import Tokens
from engage_cli.core.encoders.checkpoints import Checkpoint
from engage_cli.core.errors import EngageError, WrongCallError

CLIP = ("clip", "clip_vision_model", "clip_text_model")
SIGLIP = ("siglip", "siglip_vision_model", "siglip_text_model", "siglip2", "siglip2_vision_model", "siglip2_text_model")
POOLINGS = ("checkpoint", "cls", "mean", "map")
PROJECTED = "projected"  # CLIP's two sides and SigLIP's text: the token that stands for all, through the last layer
SENTENCE_POOLING = "1_Pooling/config.json"  # sentence-transformers writes down how its checkpoints pool


def find_pooling(checkpoint: Checkpoint, side: str, asked: str) -> str:
    """Return "cls", "mean", "map" or "projected"; raise where the checkpoint has no such pooling."""
    family = str(checkpoint.config.get("model_type"))
    own = _own_pooling(checkpoint, side, family)
    if asked in ("checkpoint", own):
        return own
    if asked not in POOLINGS:
        raise WrongCallError(f"unknown --pool '{asked}'; there are: {', '.join(POOLINGS)}")
    has_map = side == "vision" and family in SIGLIP
    if asked == "map" and not has_map:
        raise EngageError(f"--pool map: the {side} encoder '{checkpoint.name}' ({family}) has no attention-pooling head")
    if asked == "cls" and has_map:
        raise EngageError(f"--pool cls: the {side} encoder '{checkpoint.name}' ({family}) has no class token")
    return asked


def _own_pooling(checkpoint: Checkpoint, side: str, family: str) -> str:
    if family in CLIP or (family in SIGLIP and side == "text"):
        return PROJECTED
    if side == "vision":
        return "map" if family in SIGLIP else "cls"
    path = checkpoint.folder / SENTENCE_POOLING
    if path.is_file():
        settings = json.loads(path.read_text(encoding="utf-8"))
        modes = [name for name, value in settings.items() if name.startswith("pooling_mode_") and value is True]
        known = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
        if len(modes) == 1 and modes[0] in known:
            return known[modes[0]]
    return "mean"


def mean_of(tokens: Tokens) -> Tensor:
    """(B, D): the mean over real tokens, added up in float32."""
    weights = tokens.mask.unsqueeze(-1).float()
    return ((tokens.values.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)).to(tokens.values.dtype)


def last_of(tokens: Tokens) -> Tensor:
    """(B, D): the last real token."""
    rows = torch.arange(len(tokens.mask), device=tokens.mask.device)
    return tokens.values[rows, tokens.mask.long().sum(dim=1) - 1]


def region_grid(num_regions: int) -> tuple[int, int]:
    """Return (rows, columns) whose product is `num_regions`, as square as can be, never wider than 2:1."""
    rows = math.isqrt(num_regions)
    while num_regions % rows:
        rows -= 1
    columns = num_regions // rows
    if columns > 2 * rows:
        good = ", ".join(str(n) for n in (1, 2, 4, 6, 9, 12, 16, 25, 36, 49))
        raise WrongCallError(f"--tokens {num_regions}: regions form a grid, which {num_regions} cannot; take one of {good}")
    return rows, columns


def regions_of(patches: Tensor, grid: tuple[int, int], num_regions: int) -> Tensor:
    """(B, rows x columns of patches, D) to (B, K, D): the means over a coarser grid, row by row."""
    batch, _, dim = patches.shape
    square = patches.float().transpose(1, 2).reshape(batch, dim, *grid)
    return F.adaptive_avg_pool2d(square, region_grid(num_regions)).flatten(2).transpose(1, 2).to(patches.dtype)


def words_of(tokens: Tokens, num_words: int) -> Tokens:
    """(B, T, D) to (B, K, D): the first K tokens of each text, zeros and False where it has fewer."""
    values, mask = tokens.values[:, :num_words], tokens.mask[:, :num_words]
    missing = num_words - values.shape[1]
    values = F.pad(values * mask.unsqueeze(-1).to(values.dtype), (0, 0, 0, missing))
    return Tokens(values, F.pad(mask, (0, missing)))
