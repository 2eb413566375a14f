"""Parts are disjoint, complete, ordered, and blind to the order of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_cli.data.duplicates import find_groups
from engage_cli.data.split_names import SPLITS
from engage_cli.data.splits import SplitRequest, parse_fractions
from engage_cli.errors import EngageError, WrongCallError

RESERVED = ["train", "train", "train", "valid", "test", ""]


def posts_of(num: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    posts = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(num)],
            "title": [f"title {rng.integers(0, 4 * num)}" for _ in range(num)],
            "image_hash": [f"h{rng.integers(0, 3 * num)}" for _ in range(num)],
            "author": [f"a{rng.integers(0, num // 4)}" if rng.random() < 0.9 else "" for _ in range(num)],
            "posted_at": pd.Timestamp("2021-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 60, num), unit="D"),
            "given": rng.choice(RESERVED, num),
        }
    )
    return posts.assign(group=find_groups(posts))


def split(name: str, posts: pd.DataFrame, seed: int = 0) -> np.ndarray:
    return SPLITS.load(name)(posts, SplitRequest(seed=seed, given=posts["given"].to_numpy() if "given" in posts else None))


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=15, deadline=None)
@given(st.integers(200, 300), st.integers(0, 5))
def test_every_split(name: str, num: int, seed: int) -> None:
    """One part a post, no group in two, every part there, and the same under a permutation of the rows."""
    posts = posts_of(num, seed)
    parts = split(name, posts, seed)
    assert len(parts) == num
    used = posts.assign(part=parts)[parts != ""]
    assert set(used["part"]) == {"train", "validation", "test"}
    assert used.groupby("group")["part"].nunique().max() == 1
    if name == "random":
        assert len(used) == num
    shuffled = posts.sample(frac=1, random_state=seed)
    again = pd.Series(split(name, shuffled, seed), index=shuffled.index)
    assert (again.sort_index().to_numpy() == parts).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(200, 300), st.integers(0, 5))
def test_author_splits_share_no_author(num: int, seed: int) -> None:
    posts = posts_of(num, seed)
    posts = posts.assign(part=split("author", posts, seed))
    used = posts[posts["part"] != ""]
    assert used[used["author"] != ""].groupby("author")["part"].nunique().max() == 1
    alone = posts.groupby("group")["id"].transform("size") == 1
    assert set(posts["part"][alone]) == {"train", "validation", "test"}  # what has no copy is used
    assert (posts["part"][alone] == "train").mean() == pytest.approx(0.8, abs=0.12)


@settings(max_examples=15, deadline=None)
@given(st.integers(150, 300), st.integers(0, 5))
def test_time_splits_are_ordered(num: int, seed: int) -> None:
    posts = posts_of(num, seed)
    posts = posts.assign(part=split("time", posts))
    ranges = posts.groupby("part")["posted_at"].agg(["min", "max"])
    assert ranges.loc["train", "max"] < ranges.loc["validation", "min"]
    assert ranges.loc["validation", "max"] < ranges.loc["test", "min"]
    # What is in no part is a copy of a post in an earlier one.
    first = posts[posts["part"] != ""].groupby("group")["posted_at"].min()
    unused = posts[posts["part"] == ""]
    assert (first.loc[unused["group"]].to_numpy() <= unused["posted_at"].to_numpy()).all()


def test_random_depends_on_the_seed_and_keeps_the_shares() -> None:
    posts = posts_of(2000).assign(group=[f"g{i}" for i in range(2000)])
    parts = split("random", posts)
    assert (parts != split("random", posts, seed=1)).mean() > 0.2
    assert [(parts == part).sum() for part in ("train", "validation", "test")] == [1600, 200, 200]


def test_given_parts_are_taken_and_copies_leave_the_training_rows() -> None:
    posts = pd.DataFrame({"id": list("abcdef"), "group": list("aaccef")})
    request = SplitRequest(given=np.array(["Train", "test", "dev", "train", "train", ""], dtype=object))
    assert SPLITS.load("file")(posts, request).tolist() == ["", "test", "validation", "", "train", ""]
    with pytest.raises(EngageError, match=r"'holdout' \(post 'a'\) is not a part; give one of: train, training"):
        SPLITS.load("file")(posts, SplitRequest(given=np.array(["holdout", *"......"[1:]], dtype=object)))


@pytest.mark.parametrize(
    ("name", "drop", "sentence"),
    [("time", "posted_at", "needs dates"), ("author", "author", "needs authors"), ("file", "given", "--split-from")],
)
def test_a_split_says_what_it_needs(name: str, drop: str, sentence: str) -> None:
    with pytest.raises(EngageError, match=sentence):
        split(name, posts_of(10).drop(columns=drop))


def test_one_author_only() -> None:
    with pytest.raises(EngageError, match="needs 3 authors or more; the data has 1"):
        split("author", posts_of(30).assign(author="me"))


@pytest.mark.parametrize("text", ["80/10", "80/10/20", "a/b/c", "100/0/0", "nan/10/10", ""])
def test_bad_fractions(text: str) -> None:
    with pytest.raises(WrongCallError, match="sum to 100"):
        parse_fractions(text)


def test_too_few_posts() -> None:
    with pytest.raises(EngageError, match="leaves no post for"):
        split("random", posts_of(10).head(2))
