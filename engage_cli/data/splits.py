"""Splits into train, validation and test. Near-duplicates form a group, and no group is in two parts.

A split is one function and one line. The result depends on ids and contents, not on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS
from engage_cli.errors import EngageError, WrongCallError

UNUSED = ""  # the part of a post that is in none
PART_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, kw_only=True)
class SplitRequest:
    """What a split may look at besides the posts' own columns."""

    fractions: Sequence[float] = (0.8, 0.1, 0.1)
    seed: int = 0
    given: np.ndarray | None = None  # (n,) part names as a column or a file has them, "" where it has none


Split = Callable[[pd.DataFrame, SplitRequest], np.ndarray]


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Parse "80/10/10" into shares that sum to 1; raise WrongCallError for anything else."""
    try:
        percents = [float(part) for part in text.split("/")]
    except ValueError:
        percents = []
    if len(percents) != 3 or not min(percents) > 0 or not abs(sum(percents) - 100) <= 1e-6:
        raise WrongCallError(f"--fractions {text}: write three percentages above 0 that sum to 100, as in 80/10/10")
    return percents[0] / 100, percents[1] / 100, percents[2] / 100


def split_random(posts: pd.DataFrame, request: SplitRequest) -> np.ndarray:
    """Return each row's part: groups in the order of a seeded hash of their name, cut by number of rows."""
    return _checked(_split_units(posts["group"], request), posts, "random")


def split_time(posts: pd.DataFrame, request: SplitRequest) -> np.ndarray:
    """Return each row's part: the oldest posts train, the youngest test; equal times share a part.

    A later copy of an earlier post (same group) is in no part: it would be recognised, not predicted. A post
    without a time is in no part either. The seed plays no role.
    """
    if "posted_at" not in posts or posts["posted_at"].notna().sum() == 0:
        raise EngageError("--split time needs dates: the data has no posted_at (map it with --map posted_at=COLUMN)")
    times = posts["posted_at"].to_numpy("datetime64[us]")
    known = ~np.isnat(times)
    _, inverse, counts = np.unique(times[known], return_inverse=True, return_counts=True)
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    parts = np.full(len(posts), UNUSED, dtype=object)
    parts[known] = np.array(_parts_at(middles, request.fractions), dtype=object)[inverse]
    return _checked(_keep_one_part(posts, parts, PARTS), posts, "time")


def split_author(posts: pd.DataFrame, request: SplitRequest) -> np.ndarray:
    """Return each row's part: no author in two parts. A post without an author goes with its group.

    Where near-duplicates by several authors straddle parts, those in training (then in validation) are in no part.
    Keeping such authors together instead would chain most of them into one part.
    """
    if "author" not in posts or (posts["author"] == "").all():
        raise EngageError("--split author needs authors: the data has none (map them with --map author=COLUMN)")
    num_authors = posts.loc[posts["author"] != "", "author"].nunique()
    if num_authors < len(PARTS):
        raise EngageError(f"--split author needs {len(PARTS)} authors or more; the data has {num_authors}")
    units = ("author:" + posts["author"]).where(posts["author"] != "", "group:" + posts["group"])
    return _checked(_keep_one_part(posts, _split_units(units, request), PARTS[::-1]), posts, "author")


def split_file(posts: pd.DataFrame, request: SplitRequest) -> np.ndarray:
    """Return the parts as they are given. Where near-duplicates straddle parts, the test's stay, then the validation's.

    The others of the group are in no part: a published test split stays as it is, and nothing of it is trained on.
    """
    if request.given is None:
        raise WrongCallError("--split file needs --split-from FILE or COLUMN, with the part of each post")
    names = pd.Series(request.given, dtype=object).astype(str).str.strip().str.lower()
    unknown = ~names.isin([*PART_NAMES, UNUSED]).to_numpy()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise EngageError(
            f"--split-from: '{names.iloc[row]}' (post '{posts['id'].iloc[row]}') is not a part; give one of: "
            f"{', '.join(PART_NAMES)}, or an empty cell for a post in none"
        )
    parts = names.map({**PART_NAMES, UNUSED: UNUSED}).to_numpy(object)
    return _checked(_keep_one_part(posts, parts, PARTS[::-1]), posts, "file")


def _split_units(units: pd.Series, request: SplitRequest) -> np.ndarray:
    """Return each row's part so that rows of one unit share it: the part in which the unit's middle row falls."""
    return np.array(_parts_at(_place_units(units, request.seed), request.fractions), dtype=object)


def _place_units(units: pd.Series, seed: int) -> np.ndarray:
    """Return (n,) in 0..1: where the middle row of each row's unit falls, units in the order of a seeded hash."""
    inverse, names = pd.factorize(units)
    sizes = np.bincount(inverse)
    hashes = pd.util.hash_array(names.to_numpy(object), hash_key=f"{seed:016d}"[-16:], categorize=False)
    order = np.argsort(hashes, kind="stable")
    middles = np.empty(len(names))
    middles[order] = (np.cumsum(sizes[order]) - sizes[order] / 2) / sizes.sum()
    return np.asarray(middles[inverse])


def _keep_one_part(posts: pd.DataFrame, parts: np.ndarray, order: Sequence[str]) -> np.ndarray:
    """Leave each group in the first part of `order` that it has a post in; take its other posts out of use."""
    rank = pd.Series(parts).map({part: number for number, part in enumerate(order)}).to_numpy(np.float64)
    first = pd.Series(rank).groupby(posts["group"].to_numpy()).transform("min").to_numpy()
    return np.where(rank > first, UNUSED, parts).astype(object)


def _parts_at(positions: np.ndarray, fractions: Sequence[float]) -> list[str]:
    bounds = np.cumsum(fractions)[:-1]
    return [PARTS[index] for index in np.searchsorted(bounds, positions, side="right")]


def _checked(parts: np.ndarray, posts: pd.DataFrame, method: str) -> np.ndarray:
    """Return the parts; raise EngageError, with the likely reason, where one is empty."""
    for part in PARTS:
        if not (parts == part).any():
            largest = int(posts["group"].value_counts().max())
            reason = ""
            if largest > max(1, len(parts) / 3):
                reason = f", of which {largest:,} share nearly the same image or title"
            elif method == "author":
                reason = f" by {posts['author'][posts['author'] != ''].nunique():,} authors"
            elif method == "time" and posts["posted_at"].nunique() < len(PARTS):
                reason = f" with {posts['posted_at'].nunique()} different dates"
            raise EngageError(
                f"--split {method} leaves no post for {part}: there are {len(parts):,} posts{reason}; "
                "give more posts, other --fractions or another --split"
            )
    return parts
