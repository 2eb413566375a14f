"""Images and texts of posts, for models whose encoders are in the loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from engage_cli.covers.numbers import texts_on
from engage_cli.covers.source import CoverSource
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import COVER_TEXT, texts_of
from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError, digest_of, read_bytes, resolve_inside
from engage_cli.models.neural.training.image_text_batches import Contents
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.covers import stored_covers


class FileImages:
    """The image files of posts; a post without a usable one has None."""

    def __init__(self, places: Sequence[tuple[Path, str, str] | None]) -> None:
        """`places`: the images' root, the name below it, and the hash that `engage prepare` found."""
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, row: int) -> bytes | None:
        place = self.places[row]
        if place is None:
            return None
        root, name, digest = place
        try:
            image = read_bytes(resolve_inside(root, name))
        except ImageError:  # it went away since `engage prepare`: a post without an image
            return None
        if digest_of(image) != digest:
            raise EngageError(f"{root / name} was changed after `engage prepare`; run `engage prepare --overwrite` again")
        return image


class GivenImages:
    """Images that are in memory."""

    def __init__(self, images: Sequence[bytes | None]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, row: int) -> bytes | None:
        return self.images[row]


class DatasetContents:
    """Contents of a data folder's posts."""

    def __init__(self, dataset: Dataset, reporter: Reporter | None = None) -> None:
        self.dataset, self.reporter = dataset, reporter or SilentReporter()
        self.roots = {source: dataset.images_of(source) for source in dataset.posts["source"].unique()}

    @cached_property
    def _covers(self) -> CoverSource:
        return stored_covers(self.dataset, self.reporter)

    def contents(self, posts: pd.DataFrame, blocks: Sequence[str]) -> Contents:
        columns = posts[["source", "image", "image_hash"]].itertuples(index=False)
        places = [
            (root, str(post.image), str(post.image_hash)) if post.image_hash and (root := self.roots[post.source]) else None
            for post in columns
        ]
        if COVER_TEXT in blocks:
            posts = posts.assign(**{COVER_TEXT: texts_on(self._covers.covers(posts))})
        return Contents(FileImages(places), {name: texts_of(posts, name) for name in blocks if name != "image"})


class GivenContents:
    """Contents of posts that lie in no data folder; `images` holds each post's file, or None."""

    def __init__(self, images: Sequence[bytes | None], covers: CoverSource | None = None) -> None:
        """`covers` is needed for the block `cover_text`."""
        self.images, self._covers = images, covers

    def contents(self, posts: pd.DataFrame, blocks: Sequence[str]) -> Contents:
        if COVER_TEXT in blocks and self._covers is not None:
            posts = posts.assign(**{COVER_TEXT: texts_on(self._covers.covers(posts))})
        return Contents(GivenImages(self.images), {name: texts_of(posts, name) for name in blocks if name != "image"})
