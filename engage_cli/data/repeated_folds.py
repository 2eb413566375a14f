"""How few posts are divided again and again, so that each is predicted by a model that was fitted without it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from engage_cli.data.folds import count_groups, make_folds

NUM_FOLDS = 5
VERY_FEW = 100  # posts: of fewer, models of five folds know clearly less than one of all posts, so there are ten
FOLDS_OF_VERY_FEW = 10
STOPPING_SHARE = 9  # one of so many posts of a fold stops its training: an 80/10/10 split has as many
LEAST_FITTED = 4  # posts, of which one stops the training
LATER = 0.9  # of the posts came after as many of the others, as in a split by date


@dataclass(frozen=True, kw_only=True)
class Resplit:
    """Places of posts, rising: those that a model is fitted on, those that stop its training, those it then predicts."""

    fitted: np.ndarray
    stopping: np.ndarray
    held_out: np.ndarray


def resplit(posts: pd.DataFrame, *, in_order: bool, seed: int = 0) -> list[Resplit]:
    """Divide posts into up to five folds, fewer than 100 into ten; near-duplicates and authors stay together.

    Authors do not where there are fewer than folds.

    `in_order`: no post is predicted by what was fitted on later ones (rolling origin; Tashman 2000). About the first half
    of the posts is then never held out. What leaves too few posts to fit on is left out.
    """
    divisions = _in_order(posts) if in_order else _at_random(posts, seed)
    return [one for one in divisions if len(one.fitted) and len(one.stopping) and len(one.held_out)]


def are_later(posts: pd.DataFrame, others: pd.DataFrame) -> bool:
    """Whether nine in ten posts came after nine in ten of the others, as in a split by date."""
    if "posted_at" not in posts or posts["posted_at"].isna().all() or others["posted_at"].isna().all():
        return False
    return bool(posts["posted_at"].quantile(1 - LATER) >= others["posted_at"].quantile(LATER))


def _at_random(posts: pd.DataFrame, seed: int) -> list[Resplit]:
    num = min(FOLDS_OF_VERY_FEW if len(posts) < VERY_FEW else NUM_FOLDS, count_groups(posts))
    if num < 2:
        return []
    folds = make_folds(posts, num, seed=seed)
    found = []
    for number in range(num):
        training = folds.fitted(number)
        parts = min(STOPPING_SHARE, count_groups(posts.iloc[training])) if len(training) >= LEAST_FITTED else 0
        if parts > 1:
            inner = make_folds(posts.iloc[training], parts, seed=seed + 1)
            found.append(
                Resplit(
                    fitted=training[inner.fitted(0)],
                    stopping=training[inner.held_out(0)],
                    held_out=folds.held_out(number),
                )
            )
    return found


def _in_order(posts: pd.DataFrame) -> list[Resplit]:
    """Posts without a date are never held out, and fitted on always."""
    times = posts["posted_at"].to_numpy("datetime64[us]")
    dated = np.flatnonzero(~np.isnat(times))
    dated = dated[np.argsort(times[dated], kind="stable")]
    group = posts["group"].to_numpy()
    edges = np.unique(np.linspace(len(dated) // 2, len(dated), NUM_FOLDS).round().astype(np.int64))
    found = []
    for start, end in pairwise(edges):
        held_out = dated[start:end]
        earlier = dated[(times[dated] < times[held_out[0]]) & ~np.isin(group[dated], group[held_out])]
        if len(earlier) >= LEAST_FITTED:
            undated = np.flatnonzero(np.isnat(times) & ~np.isin(group, group[held_out]))
            last = len(earlier) - max(1, len(earlier) // STOPPING_SHARE)
            fitted = np.sort(np.concatenate([earlier[:last], undated]))
            found.append(Resplit(fitted=fitted, stopping=np.sort(earlier[last:]), held_out=np.sort(held_out)))
    return found
