"""What is given of posts: their columns, the vectors of their blocks, and what was measured in their covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from engage_cli.covers.reading import Reading
from engage_cli.covers.source import CoverSource
from engage_cli.data.leakage import known_before
from engage_cli.data.schema import KNOWN_AFTER
from engage_cli.embeddings.store import Block, BlockSource


class TableSource(BlockSource, CoverSource, Protocol):
    """Where features of posts come from, given the posts."""

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n, IMAGE_FEATURES) float32; NaN for a post without a usable cover."""
        ...


class NoContents:
    """A source for features that read columns of the posts alone."""

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        raise NotImplementedError

    def covers(self, posts: pd.DataFrame) -> Sequence[Reading | None]:
        raise NotImplementedError

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError


class PostInputs:
    """Some posts, with only what is known before publication, and what is computed from it once and at need.

    `counters` are columns known only after publication, which the user asked for by name.
    """

    def __init__(self, posts: pd.DataFrame, source: TableSource, *, counters: Sequence[str] = ()) -> None:
        assert set(counters) <= set(KNOWN_AFTER)
        self.posts = known_before(posts).join(posts[[name for name in counters if name in posts]])
        self._source = source
        self._blocks: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._image_statistics: np.ndarray | None = None
        self._covers: Sequence[Reading | None] | None = None

    def __len__(self) -> int:
        return len(self.posts)

    def take(self, rows: np.ndarray) -> PostInputs:
        """Return the posts of these places; what was computed for all is not computed again."""
        return _Part(self, np.asarray(rows))

    def vectors(self, block: str) -> np.ndarray:
        """(n, D) float32: one vector a post. A missing cover has the neutral placeholder's, an empty text zeros."""
        return self._block(block)[0].astype(np.float32)

    def has(self, block: str) -> np.ndarray:
        """(n,) bool: whether the post has such content."""
        return self._block(block)[1]

    def image_statistics(self) -> np.ndarray:
        """(n, IMAGE_FEATURES) float32."""
        if self._image_statistics is None:
            self._image_statistics = self._source.image_statistics(self.posts)
        return self._image_statistics

    def covers(self) -> Sequence[Reading | None]:
        """(n,) what each cover shows; None of a post without a usable one."""
        if self._covers is None:
            self._covers = self._source.covers(self.posts)
        return self._covers

    def text(self, column: str) -> pd.Series:
        """(n,) strings; empty where the post, or the whole table, has none."""
        if column not in self.posts:
            return pd.Series("", index=self.posts.index, dtype=object)
        return self.posts[column].fillna("").astype(str).astype(object)

    def number(self, column: str) -> pd.Series:
        """(n,) float32; NaN where the post, or the whole table, has none."""
        if column not in self.posts:
            return pd.Series(np.nan, index=self.posts.index, dtype=np.float32)
        return self.posts[column].astype(np.float32)

    def _block(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._blocks:
            block: Block = self._source.blocks(self.posts, (name,))[name]
            # As they are stored: in single precision those of many posts would take twice the memory.
            self._blocks[name] = block.pooled, np.asarray(block.mask.any(axis=1))
        return self._blocks[name]


class _Part(PostInputs):
    def __init__(self, whole: PostInputs, rows: np.ndarray) -> None:
        self.whole, self.rows = whole, rows
        self.posts = whole.posts.iloc[rows]
        self._blocks, self._image_statistics = {}, None

    def _block(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        vectors, has = self.whole._block(name)
        return vectors[self.rows], has[self.rows]

    def image_statistics(self) -> np.ndarray:
        return self.whole.image_statistics()[self.rows]

    def covers(self) -> Sequence[Reading | None]:
        whole = self.whole.covers()
        return [whole[row] for row in self.rows]
