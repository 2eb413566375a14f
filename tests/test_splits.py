"""Parts are disjoint, complete, ordered, and blind to the order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.splits import find_groups, parse_fractions, split_random, split_time

FRACTIONS = (0.8, 0.1, 0.1)


def posts_of(num: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    posts = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(num)],
            "title": [f"title {rng.integers(0, 4 * num)}" for _ in range(num)],
            "image_hash": [f"h{rng.integers(0, 3 * num)}" for _ in range(num)],
            "posted_at": pd.Timestamp("2021-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 60, num), unit="D"),
        }
    )
    return posts.assign(group=find_groups(posts))


@settings(max_examples=25, deadline=None)
@given(st.integers(150, 300), st.integers(0, 5))
def test_random(num: int, seed: int) -> None:
    posts = posts_of(num, seed)
    parts = split_random(posts, FRACTIONS, seed)
    assert set(parts) == {"train", "validation", "test"}
    assert posts.assign(part=parts).groupby("group")["part"].nunique().max() == 1
    shuffled = posts.sample(frac=1, random_state=seed)
    again = pd.Series(split_random(shuffled, FRACTIONS, seed), index=shuffled.index)
    assert (again.sort_index().to_numpy() == parts).all()


def test_random_depends_on_the_seed_and_keeps_the_shares() -> None:
    posts = posts_of(2000).assign(group=[f"g{i}" for i in range(2000)])
    parts = split_random(posts, FRACTIONS, 0)
    assert (parts != split_random(posts, FRACTIONS, 1)).mean() > 0.2
    assert [(parts == part).sum() for part in ("train", "validation", "test")] == [1600, 200, 200]


@settings(max_examples=25, deadline=None)
@given(st.integers(150, 300), st.integers(0, 5))
def test_time_is_ordered_and_later_copies_are_unused(num: int, seed: int) -> None:
    posts = posts_of(num, seed).sample(frac=1, random_state=seed)
    posts = posts.assign(part=split_time(posts, FRACTIONS, 0))
    ranges = posts.groupby("part")["posted_at"].agg(["min", "max"])
    assert ranges.loc["train", "max"] < ranges.loc["validation", "min"]
    assert ranges.loc["validation", "max"] < ranges.loc["test", "min"]
    assert posts[posts["part"] != ""].groupby("group")["part"].nunique().max() == 1


def test_time_needs_dates() -> None:
    with pytest.raises(EngageError, match="needs dates"):
        split_time(posts_of(10).drop(columns="posted_at"), FRACTIONS, 0)


def test_groups_chain_through_image_and_title() -> None:
    posts = pd.DataFrame(
        {
            "id": ["b", "a", "c", "d", "e", "f"],
            "title": ["Wow!!", "wow", "other", "third", "", ""],
            "image_hash": ["1", "2", "2", "3", "", ""],
        }
    )
    assert find_groups(posts).tolist() == ["a", "a", "a", "d", "e", "f"]


@pytest.mark.parametrize("text", ["80/10", "80/10/20", "a/b/c", "100/0/0", ""])
def test_bad_fractions(text: str) -> None:
    with pytest.raises(WrongCallError, match="sum to 100"):
        parse_fractions(text)


def test_too_few_posts() -> None:
    with pytest.raises(EngageError, match="leaves no post for"):
        split_random(posts_of(2), FRACTIONS, 0)
