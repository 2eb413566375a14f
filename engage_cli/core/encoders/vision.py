"""The vision tower: CLIP, SigLIP, ViT, DINOv2 and any AutoModel that gives last_hidden_state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from engage_cli.core.encoders import Tokens
from engage_cli.core.encoders.checkpoints import Checkpoint
from engage_cli.core.encoders.loading import load_model, load_processor


class VisionTower(nn.Module):
    """An image encoder with the checkpoint's own preprocessing and pooling.

    Pooling: CLIP the projected class token, SigLIP its attention-pooling head, others the class token after the
    last norm. Pooled vectors are not L2-normalised.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        import transformers

        self.name = checkpoint.name
        self.family = str(checkpoint.config["model_type"])
        options: dict[str, Any] = {}
        if self.family in ("clip", "clip_vision_model"):
            model_class = transformers.CLIPVisionModelWithProjection
        elif self.family in ("siglip", "siglip_vision_model"):
            model_class = transformers.SiglipVisionModel
        else:
            model_class = transformers.AutoModel
            options = {"add_pooling_layer": False} if self.family == "vit" else {}
        self.model = load_model(model_class, checkpoint.folder, dtype, **options)
        # Pixels differ between transformers' backends: one is pinned.
        self.processor = load_processor(transformers.AutoImageProcessor, checkpoint.folder, backend="pil")
        self.dim = int(self.model.config.hidden_size)
        is_clip = self.family in ("clip", "clip_vision_model")
        self.pooled_dim = int(self.model.config.projection_dim) if is_clip else self.dim

    def prepare(self, inputs: Sequence[Image.Image]) -> dict[str, Tensor]:
        """RGB images to {"pixel_values": (B, 3, H, W) float32}."""
        return {"pixel_values": self.processor(images=list(inputs), return_tensors="pt")["pixel_values"]}

    def forward(self, pixel_values: Tensor) -> Tokens:
        values = self.model(pixel_values=pixel_values.to(self.model.dtype)).last_hidden_state
        return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    def pool(self, tokens: Tokens) -> Tensor:
        if self.family in ("clip", "clip_vision_model"):
            return self.model.visual_projection(self.model.vision_model.post_layernorm(tokens.values[:, 0]))
        if self.family in ("siglip", "siglip_vision_model"):
            return self.model.head(tokens.values)
        return tokens.values[:, 0]
