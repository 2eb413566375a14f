"""Where the table of CatBoost gets vectors and measurements: a data folder's store, or one post's own contents."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.covers.reading import Reading
from engage_cli.data.dataset import Dataset
from engage_cli.embeddings.store import Block, BlockSource, StoredBlocks
from engage_cli.encoders.encoder import Encoder
from engage_cli.features.handcrafted import measure_image
from engage_cli.features.handcrafted.image import LoadedImage
from engage_cli.images.decode import ImageError
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.covers import CoverMemo, stored_covers
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.inputs._measure_images import MeasuredImages


class StoredTable:
    """Of a data folder's posts; what its stores lack is embedded and measured first."""

    def __init__(
        self,
        dataset: Dataset,
        encoders: EncoderConfig,
        blocks: Sequence[str],
        *,
        reads_images: bool,
        reads_covers: bool,
        reporter: Reporter,
    ) -> None:
        self._blocks = stored_blocks(dataset, encoders, blocks, reporter) if blocks else StoredBlocks({})
        self._statistics = MeasuredImages(dataset)
        if reads_images:
            self._statistics.measure(dataset.posts, reporter)
        self._covers = stored_covers(dataset, reporter) if reads_covers else None

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder of each side that is read."""
        return {side: store.encoder for side, store in self._blocks.stores.items()}

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        return self._blocks.blocks(posts, names)

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        return self._statistics.of(posts)

    def covers(self, posts: pd.DataFrame) -> list[Reading | None]:
        assert self._covers is not None
        return self._covers.covers(posts)


class ImageMemo:
    """What was measured in images, by their bytes, until `forget`."""

    def __init__(self) -> None:
        self._known: dict[bytes | None, np.ndarray] = {}

    def measure(self, images: Sequence[bytes | None]) -> np.ndarray:
        """(n, numbers); what is new is measured on all cores."""
        new = [data for data in dict.fromkeys(images) if data not in self._known]
        if len(new) > 1:
            with ThreadPoolExecutor(os.cpu_count()) as readers:
                self._known |= dict(zip(new, readers.map(_measure, new), strict=True))
        elif new:
            self._known[new[0]] = _measure(new[0])
        return np.stack([self._known[data] for data in images])

    def forget(self) -> None:
        self._known.clear()


class LiveTable:
    """Of posts that lie in no data folder; `images` holds each post's file, or None for a post without one."""

    def __init__(self, blocks: BlockSource, images: Sequence[bytes | None], memo: ImageMemo, covers: CoverMemo) -> None:
        self._blocks, self._images, self._memo, self._covers = blocks, images, memo, covers

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        return self._blocks.blocks(posts, names)

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        return self._memo.measure(self._images)

    def covers(self, posts: pd.DataFrame) -> list[Reading | None]:
        return self._covers.read(self._images)


def _measure(data: bytes | None) -> np.ndarray:
    try:
        return measure_image(LoadedImage(data) if data is not None else None)
    except ImageError:
        return measure_image(None)
