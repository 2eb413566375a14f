"""A frozen encoder: a checkpoint, a precision, a pooling; and the record by which its vectors are filed."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TypedDict

import torch

from engage_cli.config.general import NATIVE, RESIZES
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders._loading import first_line
from engage_cli.encoders._pooling import DEPTHS, find_pooling, region_grid
from engage_cli.encoders._sentence_layers import find_layers
from engage_cli.encoders.preprocessing import PREPROCESSING
from engage_cli.encoders.text import MAX_TOKENS, TextTower
from engage_cli.encoders.vision import VisionTower
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.images.decode import placeholder
from engage_cli.runtime.devices import PRECISIONS, choose_precision, find_device, is_out_of_memory, matmul_precision

DTYPES = {"fp16": "float16", "fp32": "float32"}  # of stored vectors, as numpy calls them


class EncoderIdentity(TypedDict):
    """All that decides about the vectors; equal ones give equal vectors."""

    side: str
    revision: str
    precision: str
    pooling: str
    tokens: int
    dtype: str
    normalised: bool
    resize: str
    preprocessing: str


# The widths of towers that were loaded in this process, by their records: a tower is not loaded again for them alone.
_WIDTHS: dict[tuple[tuple[str, object], ...], tuple[int, ...]] = {}


class Encoder:
    """A frozen tower on a device, loaded when it is first used."""

    def __init__(
        self,
        side: str,
        name: str,
        *,
        precision: str = "auto",
        pool: str = "checkpoint",
        tokens: int = 0,
        dtype: str = "fp16",
        resize: str = NATIVE,
        is_proven: bool = False,
    ) -> None:
        """`is_proven`: a run was trained on it, so it need not be tried when it is loaded."""
        if dtype not in DTYPES:
            raise WrongCallError(f"unknown --dtype '{dtype}'; give one of: {', '.join(DTYPES)}")
        if resize not in RESIZES:
            raise WrongCallError(f"unknown --resize '{resize}'; give one of: {', '.join(RESIZES)}")
        if tokens and side == "vision":
            region_grid(tokens)
        self.side, self.tokens, self.dtype, self.is_proven = side, tokens, dtype, is_proven
        self.resize = resize if side == "vision" else NATIVE
        self.device = find_device()
        self.precision = choose_precision(precision, self.device)
        self.checkpoint = find_checkpoint(side, name)
        self.pooling = find_pooling(self.checkpoint, side, pool)
        self._loading = threading.Lock()

    @property
    def record(self) -> EncoderIdentity:
        """All that decides about the vectors; equal records give equal vectors."""
        return {
            "side": self.side,
            "revision": self.checkpoint.revision,
            "precision": self.precision,
            "pooling": self.pooling,
            "tokens": self.tokens,
            "dtype": self.dtype,
            "normalised": False,
            "resize": self.resize,
            "preprocessing": PREPROCESSING if self.side == "vision" else self._text_preprocessing,
        }

    @property
    def _text_preprocessing(self) -> str:
        layers = find_layers(self.checkpoint.folder)
        limit = min(MAX_TOKENS, layers.most_tokens or MAX_TOKENS)
        return f"at most {limit} tokens" + (f", {layers.record}" if layers.record else "")

    @property
    def shared_space(self) -> str | None:
        """Equal for the two sides of a checkpoint that put images and texts into one space, else None."""
        kind = self.checkpoint.config["model_type"]
        is_own = find_pooling(self.checkpoint, self.side, "checkpoint") == self.pooling.removesuffix(DEPTHS)
        return f"{kind}:{self.checkpoint.revision}" if kind in ("clip", "siglip", "siglip2") and is_own else None

    @cached_property
    def _tower(self) -> VisionTower | TextTower:
        torch.set_float32_matmul_precision(matmul_precision(self.device))
        how = self.checkpoint, PRECISIONS[self.precision], self.pooling
        tower = (VisionTower(*how, self.resize) if self.side == "vision" else TextTower(*how)).to(self.device)
        try:
            if not self.is_proven:
                self._try(tower)
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            if is_out_of_memory(error):
                raise
            name = self.checkpoint.name
            raise EngageError(
                f"'{name}' does not work as a {self.side} encoder: {first_line(error)}; give another --{self.side}"
            ) from None
        return tower

    def _try(self, tower: VisionTower | TextTower) -> None:
        """Encode one image or text: what a checkpoint's files do not tell shows here, before any work is done."""
        prepared = tower.prepare([placeholder()]) if isinstance(tower, VisionTower) else tower.prepare(["a"])
        prepared = {name: tensor.to(self.device) for name, tensor in prepared.items()}
        with torch.no_grad():  # not inference mode: what a model caches here may be trained with
            tokens = tower.forward(**prepared)
            tower.pool(tokens)
            if self.tokens:
                tower.few(tokens, self.tokens, **prepared)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the parts that a vector consists of: its own pooling, then each depth."""
        key = tuple(self.record.items())
        if key not in _WIDTHS:
            _WIDTHS[key] = self.tower.widths
        return _WIDTHS[key]

    @property
    def tower(self) -> VisionTower | TextTower:
        with self._loading:
            return self._tower
