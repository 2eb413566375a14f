"""The data folder: posts.parquet, quality.html, problems.csv, and dataset.json written last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data._posts_table import read_posts
from engage_cli.data.dataset_meta import MARKER, POSTS_FILE, DatasetMeta, read_meta, write_meta
from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.files import atomic_write
from engage_cli.io.own_folders import own_data
from engage_cli.io.records import hash_files
from engage_cli.near_names import did_you_mean_path

PROBLEMS_FILE, REPORT_FILE = "problems.csv", "quality.html"
IMAGES_FILE = "images.parquet"  # what was found out about each image, so that no file is opened twice
COVERS = "covers"  # images that were unpacked
FEATURES = "features"
LOCK = ".lock"


@dataclass(frozen=True)
class Dataset:
    """A prepared data folder."""

    folder: Path
    meta: DatasetMeta

    @cached_property
    def posts(self) -> pd.DataFrame:
        """The table of posts, verified; raise EngageError where it is not the one that dataset.json records."""
        return read_posts(self.folder, self.meta)

    def images_of(self, source: str) -> Path | None:
        """Return the folder that the images of a source's posts are relative to; None where it was left out."""
        path = self.meta.sources[source].images
        return Path(path) if path else None

    @property
    def source_names(self) -> dict[str, str]:
        """Our column -> what a source calls it."""
        return {ours: theirs for source in self.meta.sources.values() for ours, theirs in source.columns.items()}

    @property
    def fingerprint(self) -> str:
        """Equal for equal posts, split and targets, wherever the folder lies."""
        return self.meta.fingerprint

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes figures on this data incomparable with honest ones; every run and result carries it."""
        return self.meta.marks

    @property
    def features_dir(self) -> Path:
        return self.folder / FEATURES

    def target(self, name: str) -> Target:
        """Return the fitted target; raise EngageError with the reason where these posts cannot give it."""
        TARGETS.check(name)
        if name not in self.meta.targets:
            reason = self.meta.targets_unavailable.get(name, "it was prepared by another version of engage")
            raise EngageError(f"{self.folder} has no target '{name}': {reason}; it has: {', '.join(self.meta.targets)}")
        return self.meta.targets[name]

    def rows(self, part: str, target: Target) -> np.ndarray:
        """Return the row numbers of a part that have the target's score; raise EngageError where there are none."""
        usable = (self.posts["split"] == part).to_numpy() & np.isfinite(target.score(self.posts))
        rows = np.flatnonzero(usable)
        if rows.size == 0:
            raise EngageError(
                f"no {part} row of {self.folder} has the counters of target '{target.name}'; "
                "give another --target, or prepare with another --split"
            )
        return rows


def load_dataset(folder: Path) -> Dataset:
    """Open a finished data folder."""
    if not (folder / MARKER).exists():
        state = "is not finished" if folder.is_dir() else "does not exist"
        near = "" if folder.is_dir() else did_you_mean_path(folder, folder=True)
        do = "create it with `engage prepare`, or name another with --data"
        raise EngageError(f"the data folder {folder} {state}; {do}{near}")
    return Dataset(folder, read_meta(folder))


def save_posts(folder: Path, posts: pd.DataFrame) -> dict[str, str]:
    """Write the posts; return the hashes that the marker is to hold. The marker of an older dataset goes first."""
    own_data(folder).remove_file(folder / MARKER)
    with atomic_write(folder / POSTS_FILE) as beside:
        posts.to_parquet(beside, index=False, compression="zstd")
    return hash_files(folder, [POSTS_FILE])


def finish_dataset(folder: Path, meta: DatasetMeta) -> Dataset:
    """Write the marker, last."""
    write_meta(folder, meta)
    return load_dataset(folder)
