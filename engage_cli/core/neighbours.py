"""The training posts nearest to a post, among the vectors that a run reads; kept in the run folder.

neighbours.safetensors: the vectors of training posts, each block scaled to length 1, turned to their principal axes and cut
to the first few; what those posts earned; and the distances of the validation posts, which say what is far.
neighbours.parquet: who they are. It is read only where they are to be named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from engage_cli.core.atomic import replacing
from engage_cli.core.errors import EngageError

VECTORS_FILE, NAMES_FILE = "neighbours.safetensors", "neighbours.parquet"
NAMES = ("id", "image", "title")
NUM_AXES = 64
NUM_NEAREST = 5
FAR = 0.99  # of the validation posts lie nearer: beyond it a post is like none that was learned from
MOST_FITTED = 20_000  # posts whose vectors decide about the axes
MOST_POSTS = 100_000  # that are kept, the same ones for the same data
MOST_AT_ONCE = 1 << 25  # distances held in memory


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Training posts as points."""

    mean: np.ndarray  # (V,)
    axes: np.ndarray  # (V, A)
    points: np.ndarray  # (n, A) float16
    scores: np.ndarray  # (n,) float32: what they earned, in the target's unit
    usual: np.ndarray  # (101,) percentiles of the distances of validation posts

    def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (m, k) places of the nearest training posts, the nearest first, and (m, k) their distances."""
        return _nearest(self.points, self.place(vectors), min(NUM_NEAREST, len(self.points)))

    def distance(self, vectors: np.ndarray) -> np.ndarray:
        """Return (m,) the mean distance to the five nearest training posts."""
        return np.asarray(self.nearest(vectors)[1].mean(axis=1), np.float64)

    def is_far(self, distances: np.ndarray) -> np.ndarray:
        return distances > self.usual[round(FAR * 100)]

    def place(self, vectors: np.ndarray) -> np.ndarray:
        """(m, V) to (m, A) float32."""
        return np.asarray((vectors - self.mean) @ self.axes, np.float32)

    def save(self, folder: Path, posts: pd.DataFrame) -> None:
        with replacing(folder / NAMES_FILE) as beside:
            posts[[name for name in NAMES if name in posts]].to_parquet(beside, index=False, compression="zstd")
        with replacing(folder / VECTORS_FILE) as beside:
            save_file({name: np.ascontiguousarray(array) for name, array in vars(self).items()}, beside)


def fit_neighbours(
    vectors: np.ndarray, scores: np.ndarray, validation: np.ndarray, *, seed: int = 0
) -> tuple[Neighbours, np.ndarray]:
    """Fit on the vectors (n, V) of training posts; return it with the places of those that are kept.

    `validation` (m, V) tells which distances are usual. Posts of equal content are neighbours like any others.
    """
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(vectors))[:MOST_POSTS])
    some = vectors[kept[rng.permutation(len(kept))[:MOST_FITTED]]].astype(np.float64)
    mean = some.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((some - mean).T).reshape(some.shape[1], -1) if len(some) > 1 else np.eye(len(mean)))
    blank = Neighbours(
        mean=mean.astype(np.float32),
        axes=axes[:, ::-1][:, :NUM_AXES].astype(np.float32),
        points=np.zeros((0, NUM_AXES), np.float16),
        scores=scores[kept].astype(np.float32),
        usual=np.zeros(101, np.float32),
    )
    points = blank.place(vectors[kept]).astype(np.float16)
    whole = Neighbours(**{**vars(blank), "points": points})
    usual = np.percentile(whole.distance(validation), np.arange(101)).astype(np.float32)
    return Neighbours(**{**vars(whole), "usual": usual}), kept


def joined_vectors(blocks: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n, V) float32: the blocks' vectors (n, P) beside each other, each of length 1 (or 0, where a text is empty)."""
    lengths = {name: np.linalg.norm(block.astype(np.float32), axis=1, keepdims=True) for name, block in blocks.items()}
    parts = [block.astype(np.float32) / np.maximum(lengths[name], 1e-12) for name, block in blocks.items()]
    return np.concatenate(parts, axis=1)


def load_neighbours(folder: Path) -> Neighbours | None:
    """Return what a run keeps; None for one that reads no vectors."""
    path = folder / VECTORS_FILE
    if not path.is_file():
        return None
    try:
        return Neighbours(**load_file(path))
    except (SafetensorError, TypeError) as error:
        raise EngageError(f"{path} is damaged ({error}); train again") from None


def load_names(folder: Path) -> pd.DataFrame:
    """Return id, image and title of the training posts that are kept, in their order."""
    try:
        return pd.read_parquet(folder / NAMES_FILE)
    except (OSError, ValueError) as error:
        raise EngageError(f"{folder / NAMES_FILE} is damaged ({error}); train again") from None


def _nearest(points: np.ndarray, wanted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    known = points.astype(np.float32)
    squares = (known**2).sum(axis=1)
    step = max(1, MOST_AT_ONCE // max(1, len(known)))
    places, distances = [np.zeros((0, k), np.int64)], [np.zeros((0, k), np.float32)]
    for start in range(0, len(wanted), step):
        part = wanted[start : start + step]
        away = squares[None] - 2 * part @ known.T  # without the square of the post itself
        near = np.argpartition(away, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(near, np.take_along_axis(away, near, axis=1).argsort(axis=1, kind="stable"), axis=1)
        found = np.take_along_axis(away, order, axis=1) + (part**2).sum(axis=1, keepdims=True)
        places.append(order)
        distances.append(np.sqrt(np.maximum(found, 0.0)))
    return np.concatenate(places), np.concatenate(distances)
