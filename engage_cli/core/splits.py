"""Splits into train, validation and test. Near-duplicates form a group, and no group stands in two parts.

The result depends on ids and contents, not on the order of the rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from engage_cli.core.config import PARTS
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.registry import Registry

SPLITS = Registry(
    "split",
    {"random": "engage_cli.core.splits:split_random", "time": "engage_cli.core.splits:split_time"},
)
UNUSED = ""  # the part of a post that is in none


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Parse "80/10/10" into shares that sum to 1; raise WrongCallError for anything else."""
    try:
        percents = [float(part) for part in text.split("/")]
    except ValueError:
        percents = []
    if len(percents) != 3 or min(percents) <= 0 or abs(sum(percents) - 100) > 1e-6:
        raise WrongCallError(f"--fractions {text}: write three percentages above 0 that sum to 100, as in 80/10/10")
    return percents[0] / 100, percents[1] / 100, percents[2] / 100


def find_groups(posts: pd.DataFrame) -> np.ndarray:
    """Return (n,) strings, equal for posts that share the image's bytes or the normalised title, chains included.

    A group is called after its smallest id.
    """
    ids = posts["id"].astype(str).to_numpy()
    parent = np.arange(len(posts))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    for keys in ([normalise_title(title) for title in posts["title"]], posts["image_hash"].fillna("").tolist()):
        first: dict[str, int] = {}
        for row, key in enumerate(keys):
            if key:
                other = first.setdefault(key, row)
                parent[root(row)] = root(other)
    roots = [root(row) for row in range(len(posts))]
    smallest: dict[int, str] = {}
    for row, top in enumerate(roots):
        smallest[top] = min(smallest.get(top, ids[row]), ids[row])
    return np.array([smallest[top] for top in roots], dtype=object)


def normalise_title(title: str) -> str:
    """Lower case, letters and digits only: "Wow!!" and "wow" are one title; emoji alone are no title."""
    return " ".join(re.findall(r"\w+", title.casefold()))


def split_random(posts: pd.DataFrame, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Return each row's part: groups in the order of a seeded hash of their name, cut by number of rows."""
    groups, sizes = np.unique(posts["group"].to_numpy().astype(str), return_counts=True)
    order = np.argsort([_hash(f"{seed}:{group}") for group in groups], kind="stable")
    # A group belongs to the part in which its middle row falls.
    middles = (np.cumsum(sizes[order]) - sizes[order] / 2) / sizes.sum()
    part_of = dict(zip(groups[order], _parts_at(middles, fractions), strict=True))
    return _checked(np.array([part_of[group] for group in posts["group"].astype(str)], dtype=object))


def split_time(posts: pd.DataFrame, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Return each row's part: the oldest posts train, the youngest test; equal times share a part.

    A later copy of an earlier post (same group) is in no part: it would be recognised, not predicted. A post
    without a time is in no part either. `seed` plays no role.
    """
    if "posted_at" not in posts or posts["posted_at"].notna().sum() == 0:
        raise EngageError("--split time needs dates: the data has no posted_at (map it with --map posted_at=COLUMN)")
    times = posts["posted_at"].to_numpy("datetime64[ns]")
    known = ~np.isnat(times)
    values, counts = np.unique(times[known], return_counts=True)
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    part_of = dict(zip(values, _parts_at(middles, fractions), strict=True))
    parts = np.array([part_of[time] if ok else UNUSED for time, ok in zip(times, known, strict=True)], dtype=object)
    rank = {part: number for number, part in enumerate(PARTS)}
    groups = posts["group"].to_numpy()
    earliest: dict[str, int] = {}
    for group, part in zip(groups, parts, strict=True):
        if part != UNUSED:
            earliest[group] = min(earliest.get(group, len(PARTS)), rank[part])
    for row, (group, part) in enumerate(zip(groups, parts, strict=True)):
        if part != UNUSED and rank[part] > earliest[group]:
            parts[row] = UNUSED
    return _checked(parts)


def _parts_at(positions: np.ndarray, fractions: Sequence[float]) -> list[str]:
    bounds = np.cumsum(fractions)[:-1]
    return [PARTS[index] for index in np.searchsorted(bounds, positions, side="right")]


def _checked(parts: np.ndarray) -> np.ndarray:
    for part in PARTS:
        if not (parts == part).any():
            raise EngageError(
                f"the split leaves no post for {part} ({len(parts):,} posts); give more posts or other --fractions"
            )
    return parts


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
