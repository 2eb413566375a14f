"""The vision tower: CLIP, SigLIP and SigLIP 2, ViT, DINOv2 and any AutoModel that gives (B, T, D) tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from engage_cli.config.general import NATIVE, SQUASH
from engage_cli.encoders import Tokens
from engage_cli.encoders._checkpoints import Checkpoint
from engage_cli.encoders._loading import load_model
from engage_cli.encoders._pooling import (
    CLIP,
    DEPTHS,
    NUM_DEPTHS,
    PROJECTED,
    WITH_CLASS_TOKEN,
    depths_of,
    find_pooling,
    mean_of,
    regions_of,
    with_depths,
)
from engage_cli.encoders.preprocessing import Pixels
from engage_cli.errors import EngageError, WrongCallError

MODELS = {
    "clip": "CLIPVisionModelWithProjection",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
    "siglip2_vision_model": "Siglip2VisionModel",
}
FEW_PATCHES = 64
WITHOUT_POOLER = ("vit", "deit", "beit")  # of these the unused pooler need not even be made


class VisionTower(nn.Module):
    """An image encoder with the checkpoint's own preprocessing and, unless asked otherwise, its own pooling.

    Its own pooling: CLIP the projected class token, SigLIP its attention-pooling head, others the class token after the
    last norm. Pooled vectors are not L2-normalised.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: torch.dtype = torch.float32,
        pool: str = "checkpoint",
        resize: str = NATIVE,
    ) -> None:
        super().__init__()
        import transformers

        self.name = checkpoint.name
        self.family = str(checkpoint.config.get("model_type"))
        pooling = find_pooling(checkpoint, "vision", pool)
        self.pooling, self.reads_depths = pooling.removesuffix(DEPTHS), pooling.endswith(DEPTHS)
        options: dict[str, bool] = {"add_pooling_layer": False} if self.family in WITHOUT_POOLER else {}
        model_class = getattr(transformers, MODELS.get(self.family, "AutoModel"))
        self.model = load_model(model_class, checkpoint.folder, dtype, **options)
        self.pixels = Pixels(checkpoint.folder, is_whole=resize == SQUASH)
        width = getattr(self.model.config, "hidden_size", None)
        if not isinstance(width, int):
            raise EngageError(
                f"{checkpoint.folder} ({self.family}) is not an image encoder that engage knows: no hidden_size; "
                "give another --vision"
            )
        self.dim = width
        own = int(self.model.config.projection_dim) if self.pooling == PROJECTED else self.dim
        self.widths = (own, *((self.dim,) * NUM_DEPTHS if self.reads_depths else ()))
        self.pooled_dim = sum(self.widths)

    def prepare(self, inputs: Sequence[Image.Image]) -> dict[str, Tensor]:
        """RGB images to {"pixel_values": (B, H, W, 3) uint8}, or to what the checkpoint's processor gives."""
        return self.pixels.prepare(inputs)

    def forward(self, pixel_values: Tensor, **more: Tensor) -> Tokens:
        pixels = self.pixels.normalise(pixel_values, self.model.dtype)
        layers = {"output_hidden_states": True} if self.reads_depths else {}
        output = self.model(pixel_values=pixels, **more, **layers)
        values = output.last_hidden_state
        if values.ndim != 3:
            raise EngageError(
                f"the encoder '{self.name}' ({self.family}) gives no tokens: its output has {values.ndim} dimensions"
            )
        mask = more.get("pixel_attention_mask")
        if mask is None:
            mask = torch.ones(values.shape[:2], device=values.device)
        depths = self._depths(output.hidden_states, mask.bool()) if self.reads_depths else None
        return Tokens(values, mask.bool(), depths)

    def _depths(self, layers: Sequence[Tensor] | None, mask: Tensor) -> Tensor:
        if not layers or layers[0].ndim != 3 or layers[-1].shape[1] != mask.shape[1]:
            raise EngageError(
                f"--pool depths: the encoder '{self.name}' ({self.family}) does not show its layers; give --pool checkpoint"
            )
        registers = getattr(self.model.config, "num_register_tokens", 0)
        first = 1 + registers if self.family in WITH_CLASS_TOKEN else 0
        return depths_of([layer[:, first:] for layer in layers], mask[:, first:])

    def pool(self, tokens: Tokens) -> Tensor:
        """(B, pooled_dim)."""
        return with_depths(self._pool(tokens), tokens) if self.reads_depths else self._pool(tokens)

    def _pool(self, tokens: Tokens) -> Tensor:
        if self.pooling == PROJECTED:
            return self.model.visual_projection(self._class_token(tokens))
        if self.pooling == "map":
            masks = () if tokens.mask.all() else (tokens.mask.long(),)
            return self.model.head(tokens.values, *masks)
        return self._class_token(tokens) if self.pooling == "cls" else mean_of(tokens)

    def few(self, tokens: Tokens, num: int, **prepared: Tensor) -> Tokens:
        """(B, num, dim): the patches averaged over a grid of regions, row by row."""
        if "spatial_shapes" in prepared:  # every image has its own number of patches
            parts = []
            for values, (rows, columns) in zip(tokens.values, prepared["spatial_shapes"].tolist(), strict=True):
                parts.append(regions_of(values[None, : rows * columns], (rows, columns), num))
            regions = torch.cat(parts)
        else:
            rows, columns = self._patch_grid(prepared["pixel_values"])
            first = tokens.values.shape[1] - rows * columns  # class and register tokens stand before the patches
            if num > rows * columns:
                raise WrongCallError(
                    f"--tokens {num}: the images of '{self.name}' have only {rows * columns} patches; "
                    "give no more than that"
                )
            if first < 0:
                raise EngageError(
                    f"--tokens: the encoder '{self.name}' ({self.family}) has no grid of patches; give --tokens 0"
                )
            regions = regions_of(tokens.values[:, first:], (rows, columns), num)
        return Tokens(regions, torch.ones(regions.shape[:2], dtype=torch.bool, device=regions.device))

    @property
    def larger_batches(self) -> int:
        """How many times as many images as usual go into a batch: of few patches, as CLIP B/32 has them, twice as many.

        Its products are small, and on two cores 16 at a time are 10 % faster than 8; of 257 patches 8 are.
        """
        image, patch = (getattr(self.model.config, name, None) for name in ("image_size", "patch_size"))
        if not (isinstance(image, int) and isinstance(patch, int)):
            return 1
        return 2 if (image // patch) ** 2 <= FEW_PATCHES else 1

    def _class_token(self, tokens: Tokens) -> Tensor:
        if self.family in CLIP:
            return self.model.vision_model.post_layernorm(tokens.values[:, 0])
        return tokens.values[:, 0]

    def _patch_grid(self, pixels: Tensor) -> tuple[int, int]:
        patch = getattr(self.model.config, "patch_size", None)
        if not isinstance(patch, int):
            raise EngageError(
                f"--tokens: the encoder '{self.name}' ({self.family}) has no patches of one size; give --tokens 0"
            )
        height, width = pixels.shape[1:3] if pixels.dtype == torch.uint8 else pixels.shape[2:4]
        return int(height) // patch, int(width) // patch
