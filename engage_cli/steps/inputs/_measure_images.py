"""Every cover measured once (features.handcrafted), on all cores; what is known is kept by the hash of the file's bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.dataset import FEATURES, Dataset
from engage_cli.features.handcrafted import IMAGE_FEATURES, IMAGE_VERSION, measure_files
from engage_cli.images.examine import examine
from engage_cli.io.files import sweep_dead
from engage_cli.io.own_folders import own_data
from engage_cli.io.sealed_table import Check, read_sealed, write_sealed
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.covers.image_files import HASH, NamedImage, are_hashes, different_images, raise_gone

FILE = "image_statistics.parquet"
KIND = f"engage image statistics {IMAGE_VERSION}"
BATCH = 64
FEW = 300  # up to this many covers, starting processes takes longer than the work


class MeasuredImages:
    """The measured covers of a data folder."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._path = dataset.features_dir / FILE
        self._known = _read(self._path)

    def measure(self, posts: pd.DataFrame, reporter: Reporter) -> None:
        """Measure the covers of these posts that are not known yet."""
        todo = [file for file in different_images(self.dataset, posts) if file[2] not in self._known]
        if todo:
            sweep_dead(self._path.parent, FILE)
        examine(
            todo,
            measure_files,
            keep=self._keep,
            save=self._save,
            title="measuring colours, sharpness and lettering of covers",
            what="covers were measured",
            batch=BATCH,
            few=FEW,
            reporter=reporter,
        )

    def _keep(self, file: NamedImage, measured: np.ndarray | None) -> None:
        if measured is None:
            raise_gone(file)
        self._known[file[2]] = measured

    def of(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n, IMAGE_FEATURES) float32; NaN for a post without a usable cover."""
        nothing = np.full(len(IMAGE_FEATURES), np.nan, np.float32)
        rows = [self._known.get(digest, nothing) for digest in posts[HASH]]
        return np.stack(rows) if rows else np.zeros((0, len(IMAGE_FEATURES)), np.float32)

    def _save(self) -> None:
        own_data(self.dataset.folder).place(FEATURES, FILE)
        table = pd.DataFrame(np.stack(list(self._known.values())), columns=list(IMAGE_FEATURES))
        table.insert(0, HASH, list(self._known))
        write_sealed(self._path, table, kind=KIND)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return what earlier calls measured; nothing where that is damaged or of another version: it is measured again."""
    columns: dict[str, Check] = {HASH: are_hashes, **dict.fromkeys(IMAGE_FEATURES, _are_measures)}
    table = read_sealed(path, kind=KIND, columns=columns)
    if table is None:
        return {}
    return dict(zip(table[HASH], table[list(IMAGE_FEATURES)].to_numpy(np.float32), strict=True))


def _are_measures(column: pd.Series) -> np.ndarray:
    return ~np.isinf(column.to_numpy(np.float32)) if column.dtype == np.float32 else np.zeros(1, bool)
