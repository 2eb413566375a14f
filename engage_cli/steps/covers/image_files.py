"""The image files of a data folder's posts, each content once, for what is found out about them and kept by hash."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pandas as pd

from engage_cli.data.dataset import Dataset
from engage_cli.errors import EngageError

HASH = "image_hash"
NamedImage = tuple[Path, str, str]  # folder, name, hash


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
