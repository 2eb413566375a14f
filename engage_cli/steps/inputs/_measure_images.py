"""Every cover measured once (features.handcrafted), on all cores; what is known is kept by the hash of the file's bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.features.handcrafted import IMAGE_FEATURES, IMAGE_VERSION, measure_files
from engage_cli.io.sealed_table import Check, read_sealed
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.covers.image_files import HASH, KnownImages, are_hashes

FILE = "image_statistics.parquet"
KIND = f"engage image statistics {IMAGE_VERSION}"


class MeasuredImages(KnownImages[np.ndarray]):
    """The measured covers of a data folder."""

    FILE, KIND = FILE, KIND
    TITLE, WHAT = "measuring colours, sharpness and lettering of covers", "covers were measured"
    BATCH, FEW = 64, 300

    def measure(self, posts: pd.DataFrame, reporter: Reporter) -> None:
        """Measure the covers of these posts that are not known yet."""
        self._add(posts, measure_files, reporter)

    def of(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n, IMAGE_FEATURES) float32; NaN for a post without a usable cover."""
        nothing = np.full(len(IMAGE_FEATURES), np.nan, np.float32)
        rows = [self._known.get(digest, nothing) for digest in posts[HASH]]
        return np.stack(rows) if rows else np.zeros((0, len(IMAGE_FEATURES)), np.float32)

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        columns: dict[str, Check] = {HASH: are_hashes, **dict.fromkeys(IMAGE_FEATURES, _are_measures)}
        table = read_sealed(path, kind=KIND, columns=columns)
        if table is None:
            return {}
        return dict(zip(table[HASH], table[list(IMAGE_FEATURES)].to_numpy(np.float32), strict=True))

    def _table(self) -> pd.DataFrame:
        table = pd.DataFrame(np.stack(list(self._known.values())), columns=list(IMAGE_FEATURES))
        table.insert(0, HASH, list(self._known))
        return table


def _are_measures(column: pd.Series) -> np.ndarray:
    return ~np.isinf(column.to_numpy(np.float32)) if column.dtype == np.float32 else np.zeros(1, bool)
