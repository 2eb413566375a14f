"""Folds for cross-validation: no near-duplicate and no author of a held-out post is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.core.errors import EngageError
from engage_cli.core.splits import place_units


@dataclass(frozen=True, kw_only=True)
class Folds:
    """A fold of each post, and what binds posts together."""

    fold: np.ndarray  # (n,) 0 to num - 1
    num: int
    group: np.ndarray  # (n,) int: near-duplicates
    author: np.ndarray  # (n,) int: -1 where unknown

    def held_out(self, number: int) -> np.ndarray:
        """Return the places of the fold's posts."""
        return np.flatnonzero(self.fold == number)

    def fitted(self, number: int) -> np.ndarray:
        """Return the places that are trained on: all others, but for near-duplicates and authors of the fold's posts."""
        out = self.fold == number
        same = np.isin(self.group, self.group[out]) | ((self.author >= 0) & np.isin(self.author, self.author[out]))
        return np.flatnonzero(~out & ~same)


def make_folds(posts: pd.DataFrame, num: int, *, seed: int) -> Folds:
    """Deal posts into `num` folds of about equal size, an author's posts together, else a group's.

    Near-duplicates by several authors may lie in several folds; then `fitted` leaves them out. Dealing all that chains
    to one of them together would put most authors into one fold. Posts of too few authors, as of one channel, are dealt
    by groups. The result does not depend on the rows' order.
    """
    author = posts["author"].fillna("").astype(str) if "author" in posts else pd.Series("", index=posts.index)
    by_group = "group:" + posts["group"].astype(str)
    by_author = ("author:" + author).where(author != "", by_group)
    for units in (by_author, by_group):
        fold = np.minimum((place_units(units, seed) * num).astype(np.int64), num - 1)
        if len(np.unique(fold)) == num:
            is_known = (author != "").to_numpy() if units is by_author else np.zeros(len(posts), bool)
            return Folds(
                fold=fold,
                num=num,
                group=pd.factorize(posts["group"])[0],
                author=np.where(is_known, pd.factorize(author)[0], -1),
            )
    largest = int(by_group.value_counts().max())
    raise EngageError(
        f"{num} folds cannot be made of {len(posts):,} posts, of which {largest:,} share nearly one image or one title; "
        "ask for fewer, or give more posts"
    )
