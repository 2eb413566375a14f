"""Every cover read once (covers.reading), on all cores; what is known is kept by the hash of the file's bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engage_cli.covers.numbers import texts_on
from engage_cli.covers.reading import VERSION, Reading, read_cover, read_files, reading_from_json
from engage_cli.covers.source import CoverSource
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import COVER_TEXT
from engage_cli.embeddings.store import Block, BlockSource
from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError
from engage_cli.io.sealed_table import read_sealed
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.covers.image_files import HASH, KnownImages, are_hashes

FILE = "covers.parquet"
KIND = f"engage covers {VERSION}"
READING = "reading"


class ReadCovers(KnownImages[str]):
    """What the covers of a data folder show, as JSON; "" of a file that is no image."""

    FILE, KIND = FILE, KIND
    TITLE, WHAT = "reading covers", "covers were read"
    BATCH, FEW = 8, 8  # a cover takes about a fifth of a second

    def read(self, posts: pd.DataFrame, reporter: Reporter) -> int:
        """Read the covers of these posts that are not known yet; return their number."""
        return self._add(posts, read_files, reporter)

    def has_read(self, posts: pd.DataFrame) -> bool:
        """Whether the cover of each of these posts that has one was read, and any has one."""
        hashes = {digest for digest in posts[HASH] if digest}
        return bool(hashes) and hashes <= self._known.keys()

    def covers(self, posts: pd.DataFrame) -> list[Reading | None]:
        """Return what each post's cover shows; None of a post without a usable one."""
        return [reading_from_json(text) if (text := self._known.get(digest, "")) else None for digest in posts[HASH]]

    def _read(self, path: Path) -> dict[str, str]:
        table = read_sealed(path, kind=KIND, columns={HASH: are_hashes, READING: _are_readings})
        return {} if table is None else dict(zip(table[HASH], table[READING], strict=True))

    def _table(self) -> pd.DataFrame:
        return pd.DataFrame({HASH: list(self._known), READING: list(self._known.values())})


@dataclass(frozen=True, kw_only=True)
class CoversSummary:
    """What reading covers did."""

    covers: int  # different images that are read, and are images
    added: int
    with_lettering: int
    with_faces: int
    seconds: float


def read_covers(dataset: Dataset, reporter: Reporter) -> CoversSummary:
    """Read what a data folder's covers show, those that are not known yet."""
    started = time.perf_counter()
    covers = ReadCovers(dataset)
    added = covers.read(dataset.posts, reporter)
    found = [one for one in covers.covers(dataset.posts.drop_duplicates(HASH)) if one is not None]
    return CoversSummary(
        covers=len(found),
        added=added,
        with_lettering=sum(bool(one.lines) for one in found),
        with_faces=sum(bool(one.faces) for one in found),
        seconds=round(time.perf_counter() - started, 2),
    )


def stored_covers(dataset: Dataset, reporter: Reporter) -> ReadCovers:
    """Return what a data folder's covers show, reading first those that are not known yet."""
    covers = ReadCovers(dataset)
    covers.read(dataset.posts, reporter)
    return covers


def with_cover_text(dataset: Dataset, reporter: Reporter) -> Dataset:
    """Return the data folder with a column `cover_text` in its posts."""
    texts = texts_on(stored_covers(dataset, reporter).covers(dataset.posts))
    found = Dataset(dataset.folder, dataset.meta)
    vars(found)["posts"] = dataset.posts.assign(**{COVER_TEXT: texts})
    return found


class CoverMemo:
    """What was read off images, by their bytes, until `forget`."""

    def __init__(self) -> None:
        self._known: dict[bytes | None, Reading | None] = {None: None}

    def read(self, images: Sequence[bytes | None]) -> list[Reading | None]:
        """(n,); what is new is read, one after the other, each on all cores."""
        for data in dict.fromkeys(images):
            if data is not None and data not in self._known:
                self._known[data] = _read_live(data)
        return [self._known[data] for data in images]

    def forget(self) -> None:
        self._known = {None: None}


class LiveCovers:
    """A CoverSource of posts that lie in no data folder; `images` holds each post's file, or None."""

    def __init__(self, images: Sequence[bytes | None], memo: CoverMemo) -> None:
        self._images, self._memo = images, memo

    def covers(self, posts: pd.DataFrame) -> list[Reading | None]:
        return self._memo.read(self._images)


class WithCovers:
    """A BlockSource that also knows what covers show."""

    def __init__(self, source: BlockSource, covers: CoverSource) -> None:
        self._source, self._covers = source, covers

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        return self._source.blocks(posts, names)

    def covers(self, posts: pd.DataFrame) -> Sequence[Reading | None]:
        return self._covers.covers(posts)


def _read_live(data: bytes) -> Reading | None:
    try:
        return read_cover(data, threads=os.cpu_count() or 1)
    except ImageError:
        return None


def _are_readings(column: pd.Series) -> pd.Series:
    return column.map(_is_reading)


def _is_reading(text: object) -> bool:
    try:
        return isinstance(text, str) and (not text or bool(reading_from_json(text)))
    except (EngageError, ValueError):
        return False
