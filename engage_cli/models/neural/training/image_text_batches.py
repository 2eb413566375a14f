"""Batches for towers in the loop: images are decoded ahead, in threads; texts are tokenised once.

Threads, not the worker processes of a DataLoader: Pillow decodes and resizes without holding Python's lock, and forking a
process that holds encoders makes it copy every page of them that it writes to (5 s a fork on two cores with 0.6 GB).
A broken image stops nobody: the neutral placeholder stands in, and the post counts as one without an image.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from engage_cli.data.numbers.number_inputs import NUMBERS
from engage_cli.encoders import Tokens
from engage_cli.encoders.preprocessing import Pixels
from engage_cli.encoders.text import TextTower
from engage_cli.images.reader import open_image
from engage_cli.models.neural.model import BlockInput, LiveInput
from engage_cli.models.neural.training.batches import Batch, Cut, Order, pinned
from engage_cli.runtime.devices import num_cores

MOST_WORKERS = {"cpu": 1, "cuda": 16}  # on a CPU the cores are the model's
BATCHES_AHEAD = 2


class PostImages(Protocol):
    """The images of posts, by row; read by several threads at once."""

    def __len__(self) -> int: ...

    def read(self, row: int) -> bytes | None:
        """Return the file's bytes; None where the post has none, or it cannot be read."""
        ...


class Contents(NamedTuple):
    """What the towers read of the posts of a part."""

    images: PostImages
    texts: Mapping[str, Sequence[str]]  # of each text block; "" where a post has none


class ContentSource(Protocol):
    """Where a model whose encoders were trained gets its posts' contents."""

    def contents(self, posts: pd.DataFrame, blocks: Sequence[str]) -> Contents: ...


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to training images, by chance."""

    flip: bool = False
    crop: float = 1.0  # smallest share of the area that is kept, at the image's own shape

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if self.crop < 1:
            side = float(np.sqrt(rng.uniform(self.crop, 1)))
            width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
            left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
            image = image.crop((int(left), int(top), int(left) + width, int(top) + height))
        if self.flip and rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image


class LiveBatches:
    """Batches of images and token ids, those of similar length together."""

    def __init__(
        self,
        towers: Mapping[str, torch.nn.Module],
        blocks: Sequence[str],
        contents: Contents,
        wanted: Tensor,
        cut: Cut,
        *,
        device: torch.device,
        augmentation: Augmentation | None = None,
        workers: int = -1,
        numbers: Tokens | None = None,
    ) -> None:
        self.wanted, self.device, self.numbers = wanted, device, numbers
        self.tower = towers.get("text")
        self.ids = {name: _tokenized(self.tower, contents.texts[name]) for name in blocks if name != "image"}
        self.present = {name: np.array([bool(text) for text in contents.texts[name]]) for name in self.ids}
        lengths = sum((ids.lengths for ids in self.ids.values()), np.zeros(len(wanted), np.int64))
        self.order = Order(len(wanted), cut, lengths=lengths if self.ids else None)
        self.sizes = self.order.sizes
        self.images: _Images | None = None
        if "image" in blocks:
            pixels = towers["vision"].pixels
            assert isinstance(pixels, Pixels)
            self.images = _Images(contents.images, pixels, augmentation, cut.seed or 0)
        self.workers = workers if workers >= 0 else min(MOST_WORKERS[self.kind], num_cores())

    @property
    def kind(self) -> str:
        return "cuda" if self.device.type == "cuda" else "cpu"

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        order = list(self.order.batches(number))[start:]
        for (rows, num), (pixels, seen) in zip(order, self._images(number, [rows for rows, _ in order]), strict=True):
            blocks: dict[str, BlockInput] = {}
            if pixels:
                blocks["image"] = LiveInput(pixels, seen)
            for name, ids in self.ids.items():
                assert isinstance(self.tower, TextTower)
                padded = self.tower.pad([ids[row] for row in rows])
                blocks[name] = LiveInput(padded, torch.from_numpy(self.present[name][rows]))
            here = torch.from_numpy(rows)
            if self.numbers is not None:
                blocks[NUMBERS] = Tokens(self.numbers.values[here], self.numbers.mask[here])
            yield pinned(Batch(rows, blocks, self.wanted[here], num), self.device)

    def _images(self, number: int, batches: Sequence[np.ndarray]) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        images = self.images
        if images is None:
            yield from (({}, torch.zeros(0)) for _ in batches)
        elif self.workers == 0:
            yield from (images.read(number, rows) for rows in batches)
        else:
            with ThreadPoolExecutor(self.workers) as readers:
                ahead: deque[Future[tuple[dict[str, Tensor], Tensor]]] = deque()
                try:
                    for rows in batches:
                        ahead.append(readers.submit(images.read, number, rows))
                        if len(ahead) > self.workers + BATCHES_AHEAD:
                            yield ahead.popleft().result()
                    while ahead:
                        yield ahead.popleft().result()
                finally:  # the loop may end before its epoch
                    for future in ahead:
                        future.cancel()


class _Images:
    """Rows of posts to pixels, and which of them are images; what a reading thread does."""

    def __init__(self, images: PostImages, pixels: Pixels, augmentation: Augmentation | None, seed: int) -> None:
        self.images, self.pixels, self.augmentation, self.seed = images, pixels, augmentation, seed

    def read(self, number: int, rows: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
        images, seen = [], []
        for row in rows.tolist():
            image, problem = open_image(self.images.read(row), self.pixels.needed_side)
            if self.augmentation is not None:
                image = self.augmentation(image, np.random.default_rng((self.seed, number, row)))
            images.append(image)
            seen.append(problem == "")
        return self.pixels.prepare(images), torch.tensor(seen)


class _Ragged:
    """Rows of token ids of many lengths, in one array: 400,000 lists of Python numbers would take ten times the memory."""

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        self.ends = np.cumsum(self.lengths)
        self.flat = np.fromiter((token for row in rows for token in row), np.int32, int(self.lengths.sum()))

    def __getitem__(self, row: int) -> list[int]:
        end = int(self.ends[row])
        return self.flat[end - int(self.lengths[row]) : end].tolist()


def _tokenized(tower: torch.nn.Module | None, texts: Sequence[str]) -> _Ragged:
    """An empty text is a dash, as in the store; it is masked."""
    assert isinstance(tower, TextTower)
    return _Ragged(tower.tokenize([text or "-" for text in texts]).ids if len(texts) else [])
