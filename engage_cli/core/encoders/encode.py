"""Frozen encoding: images or texts in, pooled vectors out, the same for `embed` and `predict`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engage_cli.core.devices import PRECISIONS, choose_precision, find_device, matmul_precision
from engage_cli.core.encoders.checkpoints import find_checkpoint
from engage_cli.core.encoders.text import MAX_TOKENS, TextTower
from engage_cli.core.encoders.vision import VisionTower
from engage_cli.core.images import ImageError, decode, placeholder

Item = TypeVar("Item")
PREFETCHED_BATCHES = 3


class Encoder:
    """A frozen tower on a device, loaded when it is first used."""

    def __init__(self, side: str, name: str, *, precision: str = "auto", batch_size: int = 16) -> None:
        self.side = side
        self.device = find_device()
        self.precision = choose_precision(precision, self.device)
        self.batch_size = batch_size
        self.checkpoint = find_checkpoint(side, name)
        self._tower: VisionTower | TextTower | None = None

    @property
    def record(self) -> dict[str, Any]:
        """All that decides about the vectors; equal records give equal vectors."""
        return {
            "side": self.side,
            "revision": self.checkpoint.revision,
            "precision": self.precision,
            "pooling": "checkpoint",
            "normalised": False,
            "preprocessing": "pil" if self.side == "vision" else f"at most {MAX_TOKENS} tokens",
        }

    @property
    def shared_space(self) -> str | None:
        """Equal for the two sides of a checkpoint that put images and texts into one space, else None."""
        kind = self.checkpoint.config["model_type"]
        return f"{kind}:{self.checkpoint.revision}" if kind in ("clip", "siglip") else None

    @property
    def tower(self) -> VisionTower | TextTower:
        if self._tower is None:
            torch.set_float32_matmul_precision(matmul_precision(self.device))
            make = VisionTower if self.side == "vision" else TextTower
            self._tower = make(self.checkpoint, PRECISIONS[self.precision]).to(self.device)
        return self._tower

    def encode_images(self, files: Sequence[bytes | None], advance: Callable[[int], None] = lambda num: None) -> Encoded:
        """Encode files' bytes; None or an undecodable file gets the neutral placeholder's vector and a problem."""
        problems: list[str] = [""] * len(files)

        def load(row: int) -> Image.Image:
            data = files[row]
            if data is None:
                problems[row] = "missing"
                return placeholder()
            try:
                return decode(data)
            except ImageError as problem:
                problems[row] = str(problem)
                return placeholder()

        batches = list(_chunks(range(len(files)), self.batch_size))
        tower = self.tower
        assert isinstance(tower, VisionTower)
        vectors = self._run(batches, lambda rows: tower.prepare([load(row) for row in rows]), advance)
        return Encoded(vectors, problems, 0)

    def encode_texts(self, texts: Sequence[str], advance: Callable[[int], None] = lambda num: None) -> Encoded:
        """Encode strings, in batches of similar length so that little is padding."""
        tower = self.tower
        assert isinstance(tower, TextTower)
        lengths = np.array(tower.count_tokens(texts))
        order = np.argsort(-lengths, kind="stable")
        batches = list(_chunks(order.tolist(), self.batch_size))
        sorted_vectors = self._run(batches, lambda rows: tower.prepare([texts[row] for row in rows]), advance)
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return Encoded(vectors, [""] * len(texts), int((lengths > tower.max_tokens).sum()))

    def _run(
        self,
        batches: list[list[int]],
        prepare: Callable[[list[int]], dict[str, Tensor]],
        advance: Callable[[int], None],
    ) -> np.ndarray:
        tower = self.tower
        vectors = []
        with torch.inference_mode():
            for rows, prepared in zip(batches, _ahead(prepare, batches), strict=True):
                on_device = {name: tensor.to(self.device, non_blocking=True) for name, tensor in prepared.items()}
                vectors.append(tower.pool(tower.forward(**on_device)).float().cpu().numpy())
                advance(len(rows))
        return np.concatenate(vectors)


class Encoded:
    """Vectors (n, D) float32 in the order asked for, a problem or "" for each, and how many texts were cut."""

    def __init__(self, vectors: np.ndarray, problems: list[str], num_cut: int) -> None:
        self.vectors, self.problems, self.num_cut = vectors, problems, num_cut


def _chunks(items: Sequence[int] | range, size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _ahead(prepare: Callable[[list[int]], Item], batches: list[list[int]]) -> Iterator[Item]:
    """Yield prepare(batch) in order, a few batches prepared ahead in a thread while the tower works."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[Future[Item]] = deque()
        for batch in batches:
            waiting.append(pool.submit(prepare, batch))
            if len(waiting) > PREFETCHED_BATCHES:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
