"""The training posts nearest to a post, among the vectors that a run reads; kept in the run folder.

neighbours.safetensors: of each block the vectors of training posts, scaled to length 1, and how far the validation posts
are from them, which says what is far; and what the training posts earned.
neighbours.parquet: who they are. It is read only where they are to be named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.schema import BLOCKS
from engage_cli.errors import EngageError
from engage_cli.io.array_reading import Spec, load_arrays
from engage_cli.io.array_writing import save_arrays
from engage_cli.io.files import atomic_write
from engage_cli.runs.records import AGAIN

VECTORS_FILE, NAMES_FILE = "neighbours.safetensors", "neighbours.parquet"
NAMES = ("id", "image", "title")
NUM_NEAREST = 5
FAR = 0.99  # of the validation posts are nearer in every block: beyond it a post is like none that was learned from
BLUR = 1e-2  # distances below it are between a thing and itself: float16, and encoders whose last digits differ
LEVELS = np.linspace(0, 1, 1001)
LEAST_FOR_FAR = 100  # validation posts: among fewer there is no post that 99 of 100 are nearer than
FARTHEST = 2.0  # two things of length 1 can be apart
MOST_NUMBERS = 1 << 24  # in the vectors of the posts that are kept: 32 MB in float16, 20,000 posts of two small encoders
MOST_AT_ONCE = 1 << 25  # distances held in memory

Vectors = Mapping[str, np.ndarray]  # block -> (n, P)


class _Known:
    """Points as they are compared: half precision takes longer to convert than to multiply."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points.astype(np.float32)
        self.squares = (self.points**2).sum(axis=1)


@dataclass(frozen=True, kw_only=True)
class Space:
    """One block of the training posts."""

    points: np.ndarray  # (n, P) float16, each of length 1, or 0 where a text is empty
    usual: np.ndarray  # (1001,) quantiles of the distances of validation posts

    @cached_property
    def known(self) -> _Known:
        return _Known(self.points)

    def distance(self, vectors: np.ndarray) -> np.ndarray:
        """Return (m,) the mean distance to the five nearest."""
        return np.asarray(_nearest(self.known, unit(vectors))[1].mean(axis=1), np.float64)


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Training posts in the spaces of their blocks."""

    spaces: dict[str, Space]
    scores: np.ndarray  # (n,) float32: what they earned, in the target's unit

    @cached_property
    def known(self) -> _Known:
        """Of all blocks beside each other."""
        return _Known(np.concatenate([space.points for space in self.spaces.values()], axis=1))

    def nearest(self, vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
        """Return (m, k) places of the nearest training posts over all blocks, the nearest first, and (m, k) distances."""
        return _nearest(self.known, self.place(vectors))

    def distance(self, vectors: Vectors) -> np.ndarray:
        """Return (m,) the mean distance to the five nearest training posts over all blocks."""
        return np.asarray(self.nearest(vectors)[1].mean(axis=1), np.float64)

    def far(self, vectors: Vectors) -> dict[str, np.ndarray]:
        """Return for each block (m,) whether the posts are far in it: of usual posts one in a hundred is, in any block.

        An empty text is not far from anything: that it is missing is plain to see.
        """
        self._must_fit(vectors)
        level = round((1 - (1 - FAR) / len(self.spaces)) * (len(LEVELS) - 1))
        return {
            name: (space.distance(vectors[name]) > max(space.usual[level], BLUR)) & vectors[name].any(axis=1)
            for name, space in self.spaces.items()
        }

    def place(self, vectors: Vectors) -> np.ndarray:
        """(m, V) float32: the blocks beside each other, each of length 1."""
        self._must_fit(vectors)
        return np.concatenate([unit(vectors[name]) for name in self.spaces], axis=1)

    def _must_fit(self, vectors: Vectors) -> None:
        for name, space in self.spaces.items():
            if name not in vectors or vectors[name].shape[1] != space.points.shape[1]:
                raise EngageError(
                    f"{VECTORS_FILE} of this run holds other vectors of '{name}' than its model reads; {AGAIN}"
                )

    def save(self, folder: Path, posts: pd.DataFrame) -> None:
        """Write both files; `posts` are the training posts that are kept."""
        with atomic_write(folder / NAMES_FILE) as beside:
            posts[[name for name in NAMES if name in posts]].to_parquet(beside, index=False, compression="zstd")
        arrays = {
            f"{block}/{name}": array
            for block, space in self.spaces.items()
            for name, array in (("points", space.points), ("usual", space.usual))
        }
        save_arrays(folder / VECTORS_FILE, {**arrays, "scores": self.scores})


def choose_posts(num: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Return the places of the posts that are kept: all, or as many as their vectors of this width leave room for."""
    return np.sort(np.random.default_rng(seed).permutation(num)[: max(1, MOST_NUMBERS // width)])


def fit_neighbours(vectors: Vectors, scores: np.ndarray, validation: Vectors) -> Neighbours:
    """Keep training posts by their vectors; those of the validation posts tell which distances are usual.

    Fewer than 100 of them cannot tell that: then no post is called far. Posts of equal content are neighbours like any
    others.
    """
    spaces = {}
    for name, block in vectors.items():
        points = unit(block).astype(np.float16)
        near = Space(points=points, usual=np.zeros(len(LEVELS), np.float32))
        usual = np.full(len(LEVELS), FARTHEST)
        if len(validation[name]) >= LEAST_FOR_FAR:
            usual = np.quantile(near.distance(validation[name]), LEVELS)
        spaces[name] = Space(points=points, usual=usual.astype(np.float32))
    return Neighbours(spaces=spaces, scores=scores.astype(np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    """(n, P) float32, each of length 1, or 0 where a text is empty."""
    values = vectors.astype(np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def load_neighbours(path: Path) -> Neighbours:
    """Read what a run that reads vectors keeps; raise EngageError where that is damaged or gone."""
    specs = {"scores": Spec(dtype="float32", shape=("n",))}
    for block in BLOCKS:
        specs[f"{block}/points"] = Spec(dtype="float16", shape=("n", block), low=-1.01, high=1.01, is_optional=True)
        specs[f"{block}/usual"] = Spec(dtype="float32", shape=(len(LEVELS),), low=0, is_rising=True, is_optional=True)
    arrays = load_arrays(path, specs, again=AGAIN)
    found = [block for block in BLOCKS if f"{block}/points" in arrays]
    if not found or not len(arrays["scores"]) or len(arrays) != 1 + 2 * len(found):
        raise EngageError(f"{path}: the points of posts or their usual distances are missing; {AGAIN}")
    try:
        spaces = {block: Space(points=arrays[f"{block}/points"], usual=arrays[f"{block}/usual"]) for block in found}
    except KeyError as missing:
        raise EngageError(f"{path}: the array {missing} is missing; {AGAIN}") from None
    return Neighbours(spaces=spaces, scores=arrays["scores"])


def load_names(path: Path, num: int) -> pd.DataFrame:
    """Return id, image and title of the `num` training posts that are kept, in their order."""
    try:
        found = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise EngageError(f"{path} is damaged ({error}); {AGAIN}") from None
    if set(found) != set(NAMES) or len(found) != num:
        raise EngageError(f"{path} does not hold the ids, images and titles of the {num:,} posts of this run; {AGAIN}")
    return found


def known_posts(path: Path) -> set[tuple[str, str]]:
    """Return (id, title) of the training posts that a run names."""
    try:
        found = pd.read_parquet(path, columns=["id", "title"])
    except (OSError, ValueError) as error:
        raise EngageError(f"{path} is damaged ({error}); {AGAIN}") from None
    return set(zip(found["id"].astype(str), found["title"].fillna("").astype(str), strict=True))


def nearest_places(points: np.ndarray, wanted: np.ndarray, *, num: int) -> np.ndarray:
    """Return (m, num) places of the points (n, P) nearest to each of (m, P), the nearest first."""
    return _nearest(_Known(points), wanted.astype(np.float32), most=num)[0]


def _nearest(known: _Known, wanted: np.ndarray, *, most: int = NUM_NEAREST) -> tuple[np.ndarray, np.ndarray]:
    """(m, k) places of the nearest points, the nearest first, and (m, k) distances; some of the wanted at a time."""
    num = len(known.points)
    k = min(most, num)
    step = max(1, MOST_AT_ONCE // max(1, num))
    places, distances = [np.zeros((0, k), np.int64)], [np.zeros((0, k), np.float32)]
    for start in range(0, len(wanted), step):
        part = wanted[start : start + step]
        away = known.squares[None] - 2 * part @ known.points.T  # without the square of the post itself
        near = np.argpartition(away, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(near, np.take_along_axis(away, near, axis=1).argsort(axis=1, kind="stable"), axis=1)
        found = np.take_along_axis(away, order, axis=1) + (part**2).sum(axis=1, keepdims=True)
        places.append(order)
        distances.append(np.sqrt(np.maximum(found, 0.0)))
    return np.concatenate(places), np.concatenate(distances)
