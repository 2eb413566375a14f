"""The data folder: posts.parquet, and dataset.json written last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.atomic import file_fingerprint, fingerprint, read_json, replacing, write_json
from engage_cli.core.errors import EngageError
from engage_cli.core.targets import TARGETS, Target

POSTS_FILE, MARKER = "posts.parquet", "dataset.json"


@dataclass(frozen=True)
class Dataset:
    """A prepared data folder."""

    folder: Path
    meta: dict[str, Any]

    @cached_property
    def posts(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / POSTS_FILE)

    @property
    def images_dir(self) -> Path | None:
        path = self.meta["images_dir"]
        return Path(path) if path else None

    @property
    def fingerprint(self) -> str:
        """Equal for equal posts, split and targets, wherever the folder lies."""
        return str(self.meta["fingerprint"])

    @property
    def features_dir(self) -> Path:
        return self.folder / "features"

    def target(self, name: str) -> Target:
        """Return the fitted target; raise EngageError with the reason where these posts cannot give it."""
        TARGETS.check(name)
        if name not in self.meta["targets"]:
            reason = self.meta["targets_unavailable"].get(name, "it was prepared by another version of engage")
            raise EngageError(f"{self.folder} has no target '{name}': {reason}; it has: {', '.join(self.meta['targets'])}")
        return Target.from_json(self.meta["targets"][name])

    def rows(self, part: str, target: Target) -> np.ndarray:
        """Return the row numbers of a part that have the target's score; raise EngageError where there are none."""
        usable = (self.posts["split"] == part).to_numpy() & np.isfinite(target.score(self.posts))
        rows = np.flatnonzero(usable)
        if rows.size == 0:
            raise EngageError(f"no {part} row of {self.folder} has the counters of target '{target.name}'")
        return rows


def load_dataset(folder: Path) -> Dataset:
    """Open a finished data folder."""
    if not (folder / MARKER).is_file():
        state = "is not finished" if folder.is_dir() else "does not exist"
        raise EngageError(f"the data folder {folder} {state}; make it with `engage prepare`, or name one with --data")
    return Dataset(folder, read_json(folder / MARKER))


def save_dataset(folder: Path, posts: pd.DataFrame, meta: dict[str, Any]) -> Dataset:
    """Write the posts, then the marker."""
    (folder / MARKER).unlink(missing_ok=True)
    with replacing(folder / POSTS_FILE) as beside:
        posts.to_parquet(beside, index=False, compression="zstd")
    content = {"posts": file_fingerprint(folder / POSTS_FILE), "targets": meta["targets"]}
    write_json(folder / MARKER, {**meta, "fingerprint": fingerprint(content)})
    return load_dataset(folder)
