"""From many tokens to one vector, or to a few: class token, mean, attention head; regions and words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from engage_cli.config.general import POOLINGS
from engage_cli.encoders import Tokens
from engage_cli.encoders._checkpoints import Checkpoint
from engage_cli.encoders._sentence_layers import find_layers
from engage_cli.errors import EngageError, WrongCallError

CLIP = ("clip", "clip_vision_model", "clip_text_model")
SIGLIP = ("siglip", "siglip_vision_model", "siglip_text_model", "siglip2", "siglip2_vision_model", "siglip2_text_model")
# Of other families nobody knows whether the first token stands for the whole image: their patches are averaged.
WITH_CLASS_TOKEN = (
    *("vit", "deit", "beit", "data2vec-vision", "vit_msn"),
    *("dinov2", "dinov2_with_registers", "dinov3_vit", *CLIP),
)
# CLIP's two sides and SigLIP's text: the token that stands for all, through the last layer.
PROJECTED = "projected"
# Behind the name of a pooling: with what is known of the tokens before the last layer. The last layers forget what their
# training had no use for, as an image's style and a text's manner; frozen, the layers in between tell it.
DEPTHS = "+depths"
# And with the dense layers that sentence-transformers puts behind it.
DENSE = "+dense"
NUM_DEPTHS = 3
SENTENCE_MODES = {  # old and new names; None is a pooling that is not built here
    "cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "max_tokens": None,
    "mean_sqrt_len_tokens": None, "weightedmean_tokens": None, "lasttoken": None,
}  # fmt: skip


def find_pooling(checkpoint: Checkpoint, side: str, asked: str) -> str:
    """Return "cls", "mean", "map" or "projected", "+depths" behind it; raise where the checkpoint has no such pooling."""
    if asked == "depths" or asked.endswith(DEPTHS):
        return find_pooling(checkpoint, side, asked.removesuffix(DEPTHS).replace("depths", "checkpoint")) + DEPTHS
    family = str(checkpoint.config.get("model_type"))
    if family == "vit_mae":
        raise EngageError(
            f"'{checkpoint.name}' ({family}) hides patches at random, so the same image gives different vectors each time; "
            "choose another encoder"
        )
    if asked.removesuffix(DENSE) not in (*POOLINGS, PROJECTED):
        raise WrongCallError(f"unknown --pool '{asked}'; give one of: {', '.join(POOLINGS)}")
    if side == "text" and asked in ("cls", "mean"):  # whatever is noted beside the checkpoint
        return asked
    own = _own_pooling(checkpoint, side, family)
    if asked in ("checkpoint", own):
        return own
    if asked.endswith(DENSE):
        raise EngageError(f"the {side} encoder '{checkpoint.name}' ({family}) has no dense layers; give --pool auto")
    if asked == PROJECTED:
        raise EngageError(f"the {side} encoder '{checkpoint.name}' ({family}) has no projection; give --pool auto")
    has_map = side == "vision" and family in SIGLIP
    if asked == "map" and not has_map:
        raise EngageError(
            f"--pool map: the {side} encoder '{checkpoint.name}' ({family}) has no attention-pooling head; give --pool auto"
        )
    if asked == "cls" and side == "vision" and family not in WITH_CLASS_TOKEN:
        raise EngageError(
            f"--pool cls: the {side} encoder '{checkpoint.name}' ({family}) has no class token; give --pool mean or auto"
        )
    return asked


def _own_pooling(checkpoint: Checkpoint, side: str, family: str) -> str:
    if family in CLIP or (family in SIGLIP and side == "text"):
        return PROJECTED
    if side == "vision":
        return "map" if family in SIGLIP else "cls" if family in WITH_CLASS_TOKEN else "mean"
    layers = find_layers(checkpoint.folder)
    if layers.others:
        raise EngageError(
            f"'{checkpoint.name}' has a layer of the kind {layers.others[0]} in its modules.json, which engage does not "
            "compute; give --pool mean or cls to go without"
        )
    pooling = _noted_pooling(layers.pooling) if layers.pooling is not None else "mean"
    return pooling + DENSE if layers.dense else pooling


def _noted_pooling(path: Path) -> str:
    """Read what sentence-transformers noted, in its format of today or in that of before version 6."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        old = [name.removeprefix("pooling_mode_") for name, value in settings.items() if value is True]
        modes = (
            [settings["pooling_mode"]] if "pooling_mode" in settings else [name for name in old if name in SENTENCE_MODES]
        )
    except (OSError, ValueError, AttributeError) as error:
        raise EngageError(f"{path} cannot be read: {error}") from None
    known = [SENTENCE_MODES.get(str(mode)) for mode in modes]
    if len(known) == 1 and known[0]:
        return known[0]
    raise EngageError(
        f"{path}: texts are pooled by {' and '.join(map(str, modes)) or 'nothing known'}; give --pool mean or cls"
    )


def mean_of(tokens: Tokens) -> Tensor:
    """(B, D): the mean over real tokens, added up in float32."""
    weights = tokens.mask.unsqueeze(-1).float()
    return ((tokens.values.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)).to(tokens.values.dtype)


def depths_of(layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """(B, 3, D): deviation of the tokens a quarter of the way up, their means half and three quarters of the way.

    `layers` are what goes into the first layer and what comes out of each, (B, T, D); `mask` (B, T) is True where a token
    counts.
    """
    height = len(layers) - 1
    quarter, half, most = (layers[math.ceil(height * share / 4)].float() for share in (1, 2, 3))
    weights = mask.unsqueeze(-1).float()
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1)
    mean = (quarter * weights).sum(dim=1, keepdim=True)
    deviation = ((quarter - mean).square() * weights).sum(dim=1).sqrt()
    return torch.stack([deviation, (half * weights).sum(dim=1), (most * weights).sum(dim=1)], dim=1)


def with_depths(pooled: Tensor, tokens: Tokens) -> Tensor:
    """(B, P) to (B, P + 3 D)."""
    assert tokens.depths is not None
    return torch.cat([pooled.float(), tokens.depths.flatten(1)], dim=1)


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
        raise WrongCallError(f"--tokens {num_regions}: {num_regions} regions cannot form a grid; take one of {good}")
    return rows, columns


def regions_of(patches: Tensor, grid: tuple[int, int], num_regions: int) -> Tensor:
    """(B, rows x columns of patches, D) to (B, K, D): the means over a coarser grid, row by row."""
    batch, _, dim = patches.shape
    square = patches.float().transpose(1, 2).reshape(batch, dim, *grid)
    return F.adaptive_avg_pool2d(square, region_grid(num_regions)).flatten(2).transpose(1, 2).to(patches.dtype)


def words_of(tokens: Tokens, num_words: int) -> Tokens:
    """(B, T, D) to (B, K, D): the first K tokens of each text, zeros and False where it has fewer."""
    order = (~tokens.mask).int().argsort(dim=1, stable=True)[:, :num_words]  # real ones first, wherever padding stands
    values = tokens.values.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.values.shape[-1]))
    mask = tokens.mask.gather(1, order)
    missing = num_words - values.shape[1]
    values = F.pad(values * mask.unsqueeze(-1).to(values.dtype), (0, 0, 0, missing))
    return Tokens(values, F.pad(mask, (0, missing)))
