"""Blocks of posts that lie in no store, encoded when they are asked for; equal contents once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from engage_cli.covers.numbers import texts_on
from engage_cli.covers.source import CoverSource
from engage_cli.data.schema import COVER_TEXT, side_of, texts_of
from engage_cli.embeddings.pipeline import Encoded, Pipeline
from engage_cli.embeddings.store import Block
from engage_cli.encoders.encoder import Encoder
from engage_cli.images.decode import digest_of
from engage_cli.images.reader import ReadImage

NO_CONTENT = ""


class _Row(NamedTuple):
    """What one content became: a row of a Block."""

    values: np.ndarray  # (T, D)
    mask: np.ndarray  # (T,)
    pooled: np.ndarray  # (P,)


class LiveVectors:
    """Encoders, and what they made of the contents that they have seen until `forget`."""

    def __init__(self, encoders: Mapping[str, Encoder], *, num_towers: int | None = 1) -> None:
        """`num_towers`: 1, one on all cores, answers soonest; None, one a core, encodes the most."""
        self.encoders, self.num_towers = dict(encoders), num_towers
        self._rows: dict[tuple[str, str], _Row] = {}
        self._problems: dict[str, str] = {}  # of images, by key

    def forget(self) -> None:
        self._rows.clear()
        self._problems.clear()

    def problem_of(self, image: bytes) -> str:
        """Return why an image that was asked for gives no image; "" where it gives one."""
        return self._problems.get(digest_of(image), "")

    def of_images(self, images: Sequence[bytes | None]) -> Block:
        keys = [NO_CONTENT if data is None else digest_of(data) for data in images]
        new = {key: data for key, data in zip(keys, images, strict=True) if ("vision", key) not in self._rows}
        if new:
            encoded = self._encode("vision", [lambda data=data: data for data in new.values()])
            self._problems |= dict(zip(new, encoded.problems, strict=True))
            has = [key != NO_CONTENT and not problem for key, problem in zip(new, encoded.problems, strict=True)]
            self._keep("vision", list(new), encoded, has)
        return self._block("vision", keys)

    def of_texts(self, texts: Sequence[str]) -> Block:
        new = list(dict.fromkeys(text for text in texts if ("text", text) not in self._rows))
        if new:
            encoded = self._encode("text", [text or "-" for text in new])
            for number, text in enumerate(new):
                if not text:  # as in the store: no text, no vector
                    encoded.pooled[number] = 0
                    if encoded.tokens is not None:
                        encoded.tokens[number] = 0
            self._keep("text", new, encoded, [bool(text) for text in new])
        return self._block("text", texts)

    def _encode(self, side: str, contents: Sequence[str] | Sequence[ReadImage]) -> Encoded:
        return Pipeline(self.encoders[side], num_towers=self.num_towers).encode(contents)

    def _keep(self, side: str, keys: Sequence[str], encoded: Encoded, has: Sequence[bool]) -> None:
        for number, key in enumerate(keys):
            pooled, there = encoded.pooled[number], has[number]
            if encoded.tokens is None or encoded.token_mask is None:
                self._rows[side, key] = _Row(pooled[None], np.array([there]), pooled)
            else:
                self._rows[side, key] = _Row(encoded.tokens[number], encoded.token_mask[number] & there, pooled)

    def _block(self, side: str, keys: Sequence[str]) -> Block:
        rows = [self._rows[side, key] for key in keys]
        return Block(*(np.stack(part) for part in zip(*rows, strict=True)))


class LiveBlocks:
    """A BlockSource; `images` holds each post's file, or None for a post without one."""

    def __init__(self, vectors: LiveVectors, images: Sequence[bytes | None], covers: CoverSource | None = None) -> None:
        """`covers` is needed for the block `cover_text`."""
        self.vectors, self.images, self._covers = vectors, images, covers

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        found = {}
        if COVER_TEXT in names and self._covers is not None:
            posts = posts.assign(**{COVER_TEXT: texts_on(self._covers.covers(posts))})
        for name in names:
            of_image = side_of(name) == "vision"
            found[name] = self.vectors.of_images(self.images) if of_image else self.vectors.of_texts(texts_of(posts, name))
        return found
