"""Every way to cut posts into groups puts each post into one, and says where it cannot be done."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from engage_cli.errors import WrongCallError
from engage_cli.evaluation.slice_names import SLICES
from engage_cli.evaluation.slices import LEAST_POSTS, MOST_GROUPS, NONE, REST, cut

POSTS = pd.DataFrame(
    {
        "title": ["", "one", "w " * 4, "w " * 5, "w " * 17, None],
        "tags": ["food|pizza", " food ", "", None, "#cat #dog", "; ,cat"],
        "author": ["ann", "ben", "ben", "", None, "ann"],
        "source": ["a", "a", "a", "b", "b", "b"],
        "image_hash": ["1", "", "2", "3", "", "4"],
        "posted_at": pd.to_datetime(
            ["2024-02-26", "2024-01-02", "2024-01-01", None, "2024-01-08", "2024-02-27"], utc=True, format="%Y-%m-%d"
        ),
        "own.length": [1.5, 2.0, np.nan, 2.0, 2.0, 2.0],
        "own.style": ["loud", "", None, "calm", "loud", "loud"],
    },
    index=[7, 3, 9, 1, 0, 4],  # places are meant, whatever the rows are called
)
PREDICTED = np.array([0.5, 0.1, 0.9, 0.2, 0.2, 0.7])
EXPECTED = {
    "tag": {"food": [0, 1], NONE: [2, 3], "cat": [4, 5]},
    "author": {"ann": [0, 5], "ben": [1, 2], NONE: [3, 4]},
    "month": {NONE: [3], "2024-01": [1, 2, 4], "2024-02": [0, 5]},
    "weekday": {NONE: [3], "Monday": [0, 2, 4], "Tuesday": [1, 5]},
    "source": {"a": [0, 1, 2], "b": [3, 4, 5]},
    "image": {"with a cover": [0, 2, 3, 5], "without": [1, 4]},
    "title": {"01 to 04 words": [1, 2], "05 to 08": [3], "17 or more": [4], "no title": [0, 5]},
    "prediction": {
        "1st fifth, the lowest": [1, 3],
        "2nd fifth": [4],
        "3rd fifth": [0],
        "4th fifth": [5],
        "5th fifth, the highest": [2],
    },
    "length": {"2.0": [1, 3, 4, 5], "1.5": [0], NONE: [2]},
    "style": {"loud": [0, 4, 5], NONE: [1, 2], "calm": [3]},
}


def test_every_entry_of_the_table_is_tried_here() -> None:
    assert set(SLICES) == set(EXPECTED) - {"length", "style"}


@pytest.mark.parametrize("by", EXPECTED)
def test_groups_by_hand(by: str) -> None:
    found = cut(by, POSTS, PREDICTED)
    assert {name: places.tolist() for name, places in found.items()} == EXPECTED[by]
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(6))
    if by in ("month", "weekday", "title", "prediction"):
        assert list(found) == list(EXPECTED[by])
    else:
        sizes = [len(places) for places in found.values()]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("by", EXPECTED)
@pytest.mark.parametrize("num", [1, 3])
def test_few_posts_are_cut_too(by: str, num: int) -> None:
    found = cut(by, POSTS.iloc[:num], PREDICTED[:num])
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(num))


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(WrongCallError, match=f"unknown --by 'colour'; give one of: {', '.join(SLICES)}, length, style$"):
        cut("colour", POSTS, PREDICTED)
    with pytest.raises(WrongCallError, match="unknown --by 'views'"):  # a counter is not a column of the user's own
        cut("views", POSTS.assign(views=1), PREDICTED)


@pytest.mark.parametrize(("by", "column"), [("month", "posted_at"), ("weekday", "posted_at"), ("author", "author")])
def test_what_posts_lack_they_cannot_be_cut_by(by: str, column: str) -> None:
    with pytest.raises(
        WrongCallError, match=f"--by {by}: the posts have no {'dates; map them' if by != 'author' else 'author'}"
    ):
        cut(by, POSTS.drop(columns=column), PREDICTED)


@pytest.mark.parametrize("by", ["author", "month", "tag", "style"])
def test_of_many_groups_the_small_ones_are_put_together(by: str) -> None:
    """Group k of 30 has k + 1 posts, in no order."""
    of = np.random.default_rng(0).permutation(np.repeat(np.arange(30), np.arange(1, 31)))
    names = np.array([f"g{number:02}" for number in range(30)])[of]
    months = (pd.Timestamp("2020-01-15", tz="UTC") + pd.to_timedelta(31 * np.arange(30), unit="D"))[of]
    posts = pd.DataFrame({"author": names, "tags": names, "own.style": names, "posted_at": months})
    found = cut(by, posts, np.zeros(len(posts)))
    alone = MOST_GROUPS if by == "month" else 30 - (LEAST_POSTS - 1)  # months stand alone however small they are
    assert len(found) == alone + 1
    assert list(found)[-1] == REST
    assert set(of[found[REST]]) == set(range(30 - alone))
    assert len(found[REST]) == sum(range(1, 31 - alone))
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(posts)))
    first = next(iter(found.values()))
    assert of[first[0]] == (30 - MOST_GROUPS if by == "month" else 29)  # months in their order, others by size


@pytest.mark.parametrize("predicted", [np.zeros(103), np.random.default_rng(1).permutation(103)])
def test_fifths_are_of_equal_size_even_where_predictions_are_equal(predicted: np.ndarray) -> None:
    found = cut("prediction", pd.DataFrame({"title": ["a"] * 103}), predicted)
    sizes = [len(places) for places in found.values()]
    assert max(sizes) - min(sizes) <= 1
    bounds = [(predicted[places].min(), predicted[places].max()) for places in found.values()]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(bounds))
