"""Folds keep near-duplicates and authors together, and do not depend on the order of the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_cli.data.folds import make_folds
from engage_cli.errors import EngageError


def posts(num: int, authors: int, groups: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"p{n}" for n in range(num)],
            "author": [f"a{n}" if n else "" for n in random.integers(0, authors + 1, num)],
            "group": [f"g{n}" for n in random.integers(0, groups, num)],
        }
    )


@given(seed=st.integers(0, 100), authors=st.integers(0, 40), num_folds=st.integers(2, 6))
def test_nothing_that_belongs_together_is_on_both_sides(seed: int, authors: int, num_folds: int) -> None:
    table = posts(200, authors, 120, seed)
    folds = make_folds(table, num_folds, seed=seed)
    seen = np.zeros(len(table), int)
    for number in range(num_folds):
        fitted, out = table.iloc[folds.fitted(number)], table.iloc[folds.held_out(number)]
        seen[folds.held_out(number)] += 1
        assert len(fitted)
        assert not set(fitted["group"]) & set(out["group"])
        if folds.by_author:
            assert not (set(fitted["author"]) & set(out["author"])) - {""}
    assert (seen == 1).all()  # every post is held out exactly once


def test_the_order_of_the_rows_plays_no_role() -> None:
    table = posts(300, 40, 200, 0)
    order = np.random.default_rng(1).permutation(len(table))
    straight, mixed = make_folds(table, 5, seed=3), make_folds(table.iloc[order], 5, seed=3)
    np.testing.assert_array_equal(straight.fold[order], mixed.fold)
    assert (make_folds(table, 5, seed=4).fold != straight.fold).any()


def test_folds_are_of_about_equal_size() -> None:
    sizes = np.bincount(make_folds(posts(1000, 0, 900, 0), 5, seed=0).fold)
    assert sizes.min() > 180
    assert sizes.max() < 220


def test_the_posts_of_one_channel_are_dealt_by_groups() -> None:
    table = posts(60, 0, 50, 0).assign(author="me")
    folds = make_folds(table, 5, seed=0)
    assert not folds.by_author
    for number in range(5):
        assert len(folds.fitted(number)) > 30
        assert not set(table["group"].iloc[folds.fitted(number)]) & set(table["group"].iloc[folds.held_out(number)])


def test_too_few_groups_are_told() -> None:
    with pytest.raises(EngageError, match="5 folds cannot be made of 30 posts: near-duplicates stay together, in 4 groups"):
        make_folds(posts(30, 0, 4, 0), 5, seed=0)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_one_large_author_or_group_fills_a_fold_and_spoils_none(share: float) -> None:
    table = posts(1000, 300, 900, 0)
    rows = np.arange(1000) < 1000 * share
    by_author = make_folds(table.assign(author=np.where(rows, "everywhere", table["author"])), 8, seed=0)
    assert by_author.by_author
    assert len(np.unique(by_author.fold[rows])) == 1
    by_group = make_folds(table.assign(author="", group=np.where(rows, "untitled", table["group"])), 8, seed=0)
    assert len(np.unique(by_group.fold[rows])) == 1
    for folds in (by_author, by_group):
        assert np.bincount(folds.fold).min() >= int(0.9 * (1000 - rows.sum()) / 8)
