"""The text tower: BERT family, DeBERTa-v2/v3, the text sides of CLIP and SigLIP, any AutoModel that gives (B, T, D)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engage_cli.encoders import Tokens
from engage_cli.encoders._checkpoints import Checkpoint
from engage_cli.encoders._loading import load_model, load_processor
from engage_cli.encoders._pooling import (
    CLIP,
    DENSE,
    DEPTHS,
    NUM_DEPTHS,
    PROJECTED,
    SIGLIP,
    depths_of,
    find_pooling,
    last_of,
    mean_of,
    with_depths,
    words_of,
)
from engage_cli.encoders._sentence_layers import find_layers, load_dense
from engage_cli.errors import EngageError

MAX_TOKENS = 256  # of the checkpoints that could read more
MODELS = {
    "clip": "CLIPTextModelWithProjection",
    "clip_text_model": "CLIPTextModelWithProjection",
    "siglip": "SiglipTextModel",
    "siglip_text_model": "SiglipTextModel",
    "siglip2": "Siglip2TextModel",
    "siglip2_text_model": "Siglip2TextModel",
}
WITHOUT_POOLER = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet")
# Titles are short: on the CPU plain attention is faster than the fused kernel, and DeBERTa has no other.
EAGER = "eager"


class Tokenized(NamedTuple):
    """Texts as token ids, cut to what the tower reads."""

    ids: list[list[int]]
    num_cut: np.ndarray  # (n,) int32: tokens behind the tower's limit
    num_unknown: np.ndarray  # (n,) int32: tokens that its vocabulary lacks


class TextTower(nn.Module):
    """A text encoder with the checkpoint's own tokenizer and, unless asked otherwise, its own pooling.

    Its own pooling: CLIP the projected end token, SigLIP the projected last token, others what sentence-transformers noted
    beside the checkpoint, else the mean over real tokens. Pooled vectors are not L2-normalised.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32, pool: str = "checkpoint") -> None:
        super().__init__()
        import transformers

        self.name = checkpoint.name
        self.family = str(checkpoint.config.get("model_type"))
        pooling = find_pooling(checkpoint, "text", pool)
        self.pooling, self.reads_depths = pooling.removesuffix(DEPTHS), pooling.endswith(DEPTHS)
        layers = find_layers(checkpoint.folder)
        self.lower_case = layers.lower_case
        options: dict[str, bool | str] = {"add_pooling_layer": False} if self.family in WITHOUT_POOLER else {}
        if not torch.cuda.is_available():
            options["attn_implementation"] = EAGER
        model_class = getattr(transformers, MODELS.get(self.family, "AutoModel"))
        self.model = load_model(model_class, checkpoint.folder, dtype, **options)
        self.tokenizer = load_processor(transformers.AutoTokenizer, checkpoint.folder)
        self._tokenizing = threading.Lock()  # a fast tokenizer keeps in itself whether it cuts
        # CLIP writes its end token for what it does not know: then nobody can tell them apart.
        others = {getattr(self.tokenizer, f"{name}_token_id", None) for name in ("eos", "bos", "pad", "cls", "sep")}
        self._unknown = None if self.tokenizer.unk_token_id in others else self.tokenizer.unk_token_id
        config = self.model.config
        if not isinstance(getattr(config, "hidden_size", None), int):
            raise EngageError(
                f"{checkpoint.folder} ({self.family}) is not a text encoder that engage knows: no hidden_size; "
                "give another --text"
            )
        self.dim = int(config.hidden_size)
        own = self.dim
        if self.pooling == PROJECTED:
            own = int(config.projection_dim if self.family in CLIP else config.projection_size)
        self.dense = None
        if self.pooling.endswith(DENSE):
            self.pooling = self.pooling.removesuffix(DENSE)
            self.dense, own = load_dense(layers.dense, own, dtype)
        self.widths = (own, *((self.dim,) * NUM_DEPTHS if self.reads_depths else ()))
        self.pooled_dim = sum(self.widths)
        window = getattr(config, "max_position_embeddings", None)
        window = window if isinstance(window, int) and window > 0 else MAX_TOKENS
        if self.family in ("roberta", "xlm-roberta", "camembert"):
            window -= (config.pad_token_id or 0) + 1  # their positions start behind the padding's
        own_limit = layers.most_tokens or MAX_TOKENS
        self.max_tokens = min(window, MAX_TOKENS, self.tokenizer.model_max_length or MAX_TOKENS, own_limit)

    def tokenize(self, texts: Sequence[str]) -> Tokenized:
        """Strings to ids, as the checkpoint's tokenizer gives them with truncation."""
        with self._tokenizing:
            return self._tokenize(texts)

    def _tokenize(self, texts: Sequence[str]) -> Tokenized:
        texts = [text.lower() for text in texts] if self.lower_case else texts
        ids = self._ids(texts)
        num_cut = np.array([max(0, len(row) - self.max_tokens) for row in ids], dtype=np.int32)
        long = np.flatnonzero(num_cut).tolist()
        if long:  # cutting is left to the tokenizer: the closing token stays
            cut = self._ids([texts[row] for row in long], truncation=True, max_length=self.max_tokens)
            for row, short in zip(long, cut, strict=True):
                ids[row] = short
        unknown = self._unknown
        num_unknown = np.array([row.count(unknown) if unknown is not None else 0 for row in ids], dtype=np.int32)
        return Tokenized(ids, num_cut, num_unknown)

    def pad(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Rows of ids to {"input_ids", "attention_mask"}: (B, T) int64, T the longest of them."""
        # SigLIP was trained on texts padded to its whole window; other padding, or the other side, gives other vectors.
        # Elsewhere padding is masked, and stands on the right: positions are counted from the left.
        is_left = self.family in SIGLIP and self.tokenizer.padding_side == "left"
        longest = self.max_tokens if self.family in SIGLIP else max(1, *map(len, ids))
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))[:, None]
        places = np.arange(longest)[None, :]
        is_real = places >= longest - lengths if is_left else places < lengths
        padded = np.full(is_real.shape, self.tokenizer.pad_token_id or 0, dtype=np.int64)
        padded[is_real] = np.fromiter(chain.from_iterable(ids), np.int64, int(lengths.sum()))
        mask = is_real.astype(np.int64)
        return {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(mask)}

    def prepare(self, inputs: Sequence[str]) -> dict[str, Tensor]:
        """Strings to {"input_ids", "attention_mask"}, at most `max_tokens` long."""
        return self.pad(self.tokenize(inputs).ids)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tokens:
        # SigLIP was trained without a mask: handing it one gives other vectors.
        more: dict[str, Tensor | bool] = {} if self.family in SIGLIP else {"attention_mask": attention_mask}
        more |= {"output_hidden_states": True} if self.reads_depths else {}
        output, mask = self.model(input_ids=input_ids, **more), attention_mask.bool()
        return Tokens(output.last_hidden_state, mask, depths_of(output.hidden_states, mask) if self.reads_depths else None)

    def pool(self, tokens: Tokens) -> Tensor:
        """(B, pooled_dim)."""
        pooled = self._pool(tokens) if self.dense is None else self.dense(self._pool(tokens))
        return with_depths(pooled, tokens) if self.reads_depths else pooled

    def _pool(self, tokens: Tokens) -> Tensor:
        if self.pooling == "mean":
            return mean_of(tokens)
        if self.family in CLIP:  # what stands for all is the end token, the last real one
            end = last_of(tokens)
            return self.model.text_projection(end) if self.pooling == PROJECTED else end
        if self.family in SIGLIP:  # ... the last of the window, be it padding
            return self.model.head(tokens.values[:, -1]) if self.pooling == PROJECTED else tokens.values[:, -1]
        return tokens.values[torch.arange(len(tokens.mask)), tokens.mask.long().argmax(dim=1)]  # the first real one

    def few(self, tokens: Tokens, num: int, **prepared: Tensor) -> Tokens:
        """(B, num, dim): the first tokens of each text."""
        return words_of(tokens, num)

    def _ids(self, texts: Sequence[str], **options: Any) -> list[list[int]]:
        encoded = self.tokenizer(
            list(texts), padding=False, return_attention_mask=False, return_token_type_ids=False, verbose=False, **options
        )
        return list(encoded["input_ids"])
