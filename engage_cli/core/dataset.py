"""The data folder: posts.parquet, quality.html, problems.csv, and dataset.json written last."""

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

POSTS_FILE, PROBLEMS_FILE, REPORT_FILE, MARKER = "posts.parquet", "problems.csv", "quality.html", "dataset.json"
IMAGES_FILE = "images.parquet"  # what was found out about each image, so that no file is opened twice
COVERS = "covers"  # images that were unpacked
FEATURES = "features"
LOCK = ".lock"


@dataclass(frozen=True)
class Dataset:
    """A prepared data folder."""

    folder: Path
    meta: dict[str, Any]

    @cached_property
    def posts(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / POSTS_FILE)

    def images_of(self, source: str) -> Path | None:
        """Return the folder that the images of a source's posts are relative to; None where it was left out."""
        path = self.meta["sources"][source]["images"]
        return Path(path) if path else None

    @property
    def source_names(self) -> dict[str, str]:
        """Our column -> what a source calls it."""
        return {ours: theirs for source in self.meta["sources"].values() for ours, theirs in source["columns"].items()}

    @property
    def fingerprint(self) -> str:
        """Equal for equal posts, split and targets, wherever the folder lies."""
        return str(self.meta["fingerprint"])

    @property
    def record(self) -> dict[str, Any]:
        """What a run keeps of the data it was trained on: which it was, and how its table is read."""
        kept = self.meta["rows"]["kept"]
        return {
            "fingerprint": self.fingerprint,
            "split": self.meta["split"]["method"],
            "table": self.meta.get("table", {}),
            "texts": [column for column, missing in self.meta["missing"].items() if missing < kept],
        }

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes figures on this data incomparable with honest ones; every run and result carries it."""
        return tuple(self.meta["marks"])

    @property
    def features_dir(self) -> Path:
        return self.folder / FEATURES

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
    dataset = Dataset(folder, read_json(folder / MARKER))
    if "sources" not in dataset.meta:
        raise EngageError(f"{folder} was prepared by an older engage; make it again with `engage prepare --overwrite`")
    return dataset


def save_posts(folder: Path, posts: pd.DataFrame) -> None:
    """Write the posts. The marker of an older dataset goes first."""
    (folder / MARKER).unlink(missing_ok=True)
    with replacing(folder / POSTS_FILE) as beside:
        posts.to_parquet(beside, index=False, compression="zstd")


def finish_dataset(folder: Path, meta: dict[str, Any]) -> Dataset:
    """Write the marker, last."""
    content = {"posts": file_fingerprint(folder / POSTS_FILE), "targets": meta["targets"]}
    write_json(folder / MARKER, {**meta, "fingerprint": fingerprint(content)})
    return load_dataset(folder)
