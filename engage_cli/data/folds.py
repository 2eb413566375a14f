"""Folds for cross-validation: no near-duplicate and no author of a held-out post is trained on."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.errors import EngageError


@dataclass(frozen=True, kw_only=True)
class Folds:
    """A fold of each post, and what binds posts together."""

    fold: np.ndarray  # (n,) 0 to num - 1
    num: int
    group: np.ndarray  # (n,) int: near-duplicates
    author: np.ndarray  # (n,) int: -1 where unknown, or not respected
    by_author: bool  # whether authors stay together too

    def held_out(self, number: int) -> np.ndarray:
        """Return the places of the fold's posts."""
        return np.flatnonzero(self.fold == number)

    def fitted(self, number: int) -> np.ndarray:
        """Return the places that are trained on: all others, but for near-duplicates and authors of the fold's posts."""
        out = self.fold == number
        same = np.isin(self.group, self.group[out]) | ((self.author >= 0) & np.isin(self.author, self.author[out]))
        return np.flatnonzero(~out & ~same)


def make_folds(posts: pd.DataFrame, num: int, *, seed: int) -> Folds:
    """Deal posts into `num` folds, an author's posts together, else a group's; the largest first, to the smallest fold.

    Near-duplicates by several authors may lie in several folds; then `fitted` leaves them out. Dealing all that chains
    to one of them together would put most authors into one fold. Posts of fewer authors than folds, as of one channel, are
    dealt by groups (`by_author` is False). The result does not depend on the rows' order.
    """
    author = posts["author"].fillna("").astype(str) if "author" in posts else pd.Series("", index=posts.index)
    by_group = "group:" + posts["group"].astype(str)
    by_author = ("author:" + author).where(author != "", by_group)
    units = by_author if by_author.nunique() >= num else by_group
    if (most := units.nunique()) < num:
        raise EngageError(
            f"{num} folds cannot be made of {len(posts):,} posts: near-duplicates stay together, in {most} groups"
        )
    is_known = (author != "").to_numpy() & (units is by_author)
    return Folds(
        fold=_deal(units, num, seed),
        num=num,
        group=pd.factorize(posts["group"])[0],
        author=np.where(is_known, pd.factorize(author)[0], -1),
        by_author=units is by_author,
    )


def count_groups(posts: pd.DataFrame) -> int:
    """Return into how many folds the posts can be dealt at most."""
    return int(posts["group"].nunique())


def _deal(units: pd.Series, num: int, seed: int) -> np.ndarray:
    inverse, names = pd.factorize(units)
    sizes = np.bincount(inverse)
    hashes = pd.util.hash_array(names.to_numpy(object), hash_key=f"{seed:016d}"[-16:], categorize=False)
    folds = [(0, number) for number in range(num)]
    fold_of = np.empty(len(names), np.int64)
    for unit in np.lexsort((hashes, -sizes)):
        size, number = heapq.heappop(folds)
        fold_of[unit] = number
        heapq.heappush(folds, (size + int(sizes[unit]), number))
    return np.asarray(fold_of[inverse])
