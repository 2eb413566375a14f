"""The image files of a data folder's posts, each content once, for what is found out about them and kept by hash."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Generic, NoReturn, TypeVar

import pandas as pd

from engage_cli.data.dataset import FEATURES, Dataset
from engage_cli.errors import EngageError
from engage_cli.images.examine import examine
from engage_cli.io.files import sweep_dead
from engage_cli.io.own_folders import own_data
from engage_cli.io.sealed_table import write_sealed
from engage_cli.progress.reporters import Reporter

HASH = "image_hash"
NamedImage = tuple[Path, str, str]  # folder, name, hash
T = TypeVar("T")


def different_images(dataset: Dataset, posts: pd.DataFrame) -> list[NamedImage]:
    """Return each different cover of posts once."""
    roots = {source: dataset.images_of(source) for source in posts["source"].unique()}
    first = posts[posts[HASH] != ""].drop_duplicates(HASH)
    return [
        (root, str(post.image), str(post.image_hash))
        for post in first[["source", "image", HASH]].itertuples(index=False)
        if (root := roots[post.source]) is not None
    ]


def raise_gone(file: NamedImage) -> NoReturn:
    root, name, _ = file
    raise EngageError(
        f"{root / name} is gone or changed since `engage prepare`; bring it back, or run prepare --overwrite again"
    )


def are_hashes(column: pd.Series) -> pd.Series:
    return column.str.fullmatch(r"[0-9a-f]{32}", na=False)


class KnownImages(ABC, Generic[T]):
    """What was found out about each different cover of a data folder, kept in one sealed table of its features."""

    FILE: ClassVar[str]
    KIND: ClassVar[str]
    TITLE: ClassVar[str]
    WHAT: ClassVar[str]  # of `examine`
    BATCH: ClassVar[int]
    FEW: ClassVar[int]  # up to this many covers, starting processes takes longer than the work

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._path = dataset.features_dir / self.FILE
        self._known: dict[str, T] = self._read(self._path)

    @abstractmethod
    def _read(self, path: Path) -> dict[str, T]:
        """Return what earlier calls found; nothing where that is damaged or of another version: it is found again."""

    @abstractmethod
    def _table(self) -> pd.DataFrame:
        """Return what is known, with the column HASH."""

    def _add(self, posts: pd.DataFrame, look: Callable[[list[NamedImage]], Sequence[T | None]], reporter: Reporter) -> int:
        """Look at the covers of these posts that are not known yet; return their number."""
        todo = [file for file in different_images(self.dataset, posts) if file[2] not in self._known]
        if todo:
            sweep_dead(self._path.parent, self.FILE)
        examine(
            todo,
            look,
            keep=self._keep,
            save=self._save,
            title=self.TITLE,
            what=self.WHAT,
            batch=self.BATCH,
            few=self.FEW,
            reporter=reporter,
        )
        return len(todo)

    def _keep(self, file: NamedImage, found: T | None) -> None:
        if found is None:
            raise_gone(file)
        self._known[file[2]] = found

    def _save(self) -> None:
        own_data(self.dataset.folder).place(FEATURES, self.FILE)
        write_sealed(self._path, self._table(), kind=self.KIND)
