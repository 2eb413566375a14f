"""Every cover measured once (core.handmade), on all cores; what is known is kept by the hash of the file's bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from joblib import Parallel, delayed

from engage_cli.core.atomic import replacing
from engage_cli.core.dataset import FEATURES, Dataset
from engage_cli.core.errors import EngageError
from engage_cli.core.handmade import IMAGE_FEATURES, IMAGE_VERSION, measure_files
from engage_cli.core.own_folders import own_data
from engage_cli.core.progress import Reporter

FILE = "image_statistics.parquet"
BATCH = 64
FEW = 300  # below this many covers, starting processes takes longer than the work
SECONDS_BETWEEN_SAVES = 20.0
HASH = "image_hash"
Named = tuple[Path, str, str]  # folder, name, hash


class PictureStatistics:
    """The measured covers of a data folder."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._path = dataset.features_dir / FILE
        self._known = _read(self._path)

    def measure(self, posts: pd.DataFrame, reporter: Reporter) -> None:
        """Measure the covers of these posts that are not known yet."""
        todo = [file for file in self._files(posts) if file[2] not in self._known]
        if not todo:
            return
        batches = [todo[start : start + BATCH] for start in range(0, len(todo), BATCH)]
        last_save = time.monotonic()
        with reporter.stage("measuring covers", len(todo)) as stage:
            for batch, results in zip(batches, _run(batches), strict=True):
                for (root, name, digest), measured in zip(batch, results, strict=True):
                    if measured is None:
                        raise EngageError(
                            f"{root / name} is gone or changed since `engage prepare`; bring it back, or run prepare "
                            "--overwrite again"
                        )
                    self._known[digest] = measured
                stage.advance(len(batch))
                if time.monotonic() - last_save > SECONDS_BETWEEN_SAVES:
                    self._save()
                    last_save = time.monotonic()
        self._save()

    def of(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n, IMAGE_FEATURES) float32; NaN for a post without a usable cover."""
        nothing = np.full(len(IMAGE_FEATURES), np.nan, np.float32)
        rows = [self._known.get(digest, nothing) for digest in posts[HASH]]
        return np.stack(rows) if rows else np.zeros((0, len(IMAGE_FEATURES)), np.float32)

    def _files(self, posts: pd.DataFrame) -> list[Named]:
        """Return each different cover once."""
        roots = {source: self.dataset.images_of(source) for source in posts["source"].unique()}
        first = posts[posts[HASH] != ""].drop_duplicates(HASH)
        return [
            (root, str(post.image), str(post.image_hash))
            for post in first[["source", "image", HASH]].itertuples(index=False)
            if (root := roots[post.source]) is not None
        ]

    def _save(self) -> None:
        own_data(self.dataset.folder).place(FEATURES, FILE)
        table = pd.DataFrame(np.stack(list(self._known.values())), columns=list(IMAGE_FEATURES))
        table.insert(0, HASH, list(self._known))
        table["version"] = IMAGE_VERSION
        with replacing(self._path) as beside:
            table.to_parquet(beside, index=False, compression="zstd")


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return what earlier calls measured; nothing where that is damaged or of another version: it is measured again."""
    try:
        table = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
        if list(table.columns) != [HASH, *IMAGE_FEATURES, "version"] or (table["version"] != IMAGE_VERSION).any():
            return {}
        return dict(zip(table[HASH], table[list(IMAGE_FEATURES)].to_numpy(np.float32), strict=True))
    except (pa.ArrowException, OSError, ValueError):
        return {}


def _run(batches: Sequence[list[Named]]) -> Iterator[list[np.ndarray | None]]:
    if sum(map(len, batches)) <= FEW or (os.cpu_count() or 1) == 1:
        return map(measure_files, batches)
    results: Iterator[list[np.ndarray | None]] = Parallel(n_jobs=-1, return_as="generator")(
        delayed(measure_files)(batch) for batch in batches
    )
    return results
