"""The text tower: BERT family, DeBERTa-v2/v3, and the text sides of CLIP and SigLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engage_cli.core.encoders import Tokens
from engage_cli.core.encoders.checkpoints import Checkpoint
from engage_cli.core.encoders.loading import load_model, load_processor

MAX_TOKENS = 256  # of the checkpoints that could read more
CLIP, SIGLIP = ("clip", "clip_text_model"), ("siglip", "siglip_text_model")


class TextTower(nn.Module):
    """A text encoder with the checkpoint's own tokenizer and pooling.

    Pooling: CLIP the projected end token, SigLIP its head, others the mean over real tokens. Pooled vectors are
    not L2-normalised.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        import transformers

        self.name = checkpoint.name
        self.family = str(checkpoint.config["model_type"])
        options: dict[str, Any] = {}
        if self.family in CLIP:
            model_class = transformers.CLIPTextModelWithProjection
        elif self.family in SIGLIP:
            model_class = transformers.SiglipTextModel
        else:
            model_class = transformers.AutoModel
            options = {"add_pooling_layer": False} if self.family in ("bert", "roberta") else {}
        self.model = load_model(model_class, checkpoint.folder, dtype, **options)
        self.tokenizer = load_processor(transformers.AutoTokenizer, checkpoint.folder)
        config = self.model.config
        self.dim = int(config.hidden_size)
        self.pooled_dim = self.dim
        if self.family in CLIP:
            self.pooled_dim = int(config.projection_dim)
        elif self.family in SIGLIP:
            self.pooled_dim = int(config.projection_size)
        window = int(getattr(config, "max_position_embeddings", 0)) or MAX_TOKENS
        self.max_tokens = min(window, MAX_TOKENS)

    def prepare(self, inputs: Sequence[str]) -> dict[str, Tensor]:
        """Strings to {"input_ids", "attention_mask"}: (B, T) int64, T the longest of them, at most `max_tokens`."""
        # SigLIP was trained on texts padded to its whole window; other padding gives other vectors.
        padding = "max_length" if self.family in SIGLIP else "longest"
        encoded = self.tokenizer(
            list(inputs),
            padding=padding,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
            return_attention_mask=True,
        )
        return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}

    def count_tokens(self, inputs: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text before it is cut."""
        return [
            len(ids) for ids in self.tokenizer(list(inputs), padding=False, truncation=False, verbose=False)["input_ids"]
        ]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tokens:
        # SigLIP was trained without a mask: handing it one gives other vectors.
        masks = {} if self.family in SIGLIP else {"attention_mask": attention_mask}
        return Tokens(self.model(input_ids=input_ids, **masks).last_hidden_state, attention_mask.bool())

    def pool(self, tokens: Tokens) -> Tensor:
        if self.family in CLIP:
            last = tokens.mask.long().sum(dim=1) - 1  # the end token is the last real one
            rows = torch.arange(len(last), device=last.device)
            return self.model.text_projection(tokens.values[rows, last])
        if self.family in SIGLIP:
            return self.model.head(tokens.values[:, -1])
        weights = tokens.mask.unsqueeze(-1).to(tokens.values.dtype)
        return (tokens.values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
