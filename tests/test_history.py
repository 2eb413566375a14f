"""Time and author features know only what was known when a post was published."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_cli.data.authors import _record as _author_record
from engage_cli.data.authors.history import add_history

DAY = pd.Timestamp("2021-01-04", tz="UTC")  # a Monday


def posts_of(authors: list[str], days: list[float], views: list[float], split: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "author": authors,
            "posted_at": [DAY + pd.Timedelta(days=day) for day in days],
            "views": views,
            "split": split or ["train"] * len(authors),
        }
    )


def test_hour_and_weekday() -> None:
    posts = add_history(posts_of(["", ""], [0.25, 6.5], [1, 2]))
    assert posts["hour"].tolist() == [6, 12]
    assert posts["weekday"].tolist() == [0, 6]
    assert "author_posts" not in posts
    assert "hour" not in add_history(posts_of(["", ""], [0, 6], [1, 2]))  # dates without a time of day
    undated = posts[["author", "views", "split"]]
    assert add_history(undated) is undated


def test_trailing_median_by_value() -> None:
    # Two posts of one moment do not see each other; other authors, and posts without one, are not seen.
    posts = add_history(posts_of(["a", "b", "a", "a", "a", "a", ""], [0, 0.5, 1, 2, 2, 3, 9], [10, 99, 30, 20, 40, 50, 5]))
    np.testing.assert_array_equal(posts["author_posts"], [0, 0, 1, 2, 2, 4, np.nan])
    log = np.log1p
    expected = [np.nan, np.nan, log(10), (log(10) + log(30)) / 2, (log(10) + log(30)) / 2, (log(20) + log(30)) / 2, np.nan]
    np.testing.assert_allclose(posts["author_median_views"], expected)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 8),
            st.integers(0, 100),
            st.sampled_from(["train", "validation", "test", ""]),
        ),
        min_size=4,
        max_size=40,
    ),
    st.integers(0, 10_000),
)
def test_only_earlier_posts_of_parts_not_later_are_seen(rows: list[tuple[str, int, int, str]], seed: int) -> None:
    """Compared with the definition, row by row; and a permutation of the rows changes nothing."""
    authors, days, views, split = (list(column) for column in zip(*rows, strict=True))
    posts = posts_of(authors, days, views, split)
    found = add_history(posts)
    rank = {"train": 0, "validation": 1, "test": 2, "": 3}
    for row, (author, day, _, part) in enumerate(rows):
        earlier = [
            np.log1p(other[2])
            for other in rows
            if other[0] == author and other[1] < day and (part in ("test", "") or rank[other[3]] <= rank[part])
        ]
        assert found["author_posts"].iloc[row] == len(earlier)
        if earlier:
            np.testing.assert_allclose(found["author_median_views"].iloc[row], np.median(earlier))
        else:
            assert np.isnan(found["author_median_views"].iloc[row])
    shuffled = add_history(posts.sample(frac=1, random_state=seed)).sort_index()
    pd.testing.assert_frame_equal(shuffled, found)


RECORD_COLUMNS = ("author_posts", "author_median_views", *_author_record.RECORD_COLUMNS)


@pytest.mark.parametrize("column", RECORD_COLUMNS)
@settings(max_examples=8, deadline=None)  # of each column
@given(rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 99)), min_size=2, max_size=30))
def test_what_comes_later_changes_nothing_of_earlier_posts(column: str, rows: list[tuple[str, int, int]]) -> None:
    """Shuffle, change and drop the posts of a day and later: the features of posts up to that day stay as they are."""
    authors, days, views = map(list, zip(*rows, strict=True))
    cut = sorted(days)[len(days) // 2]
    posts = posts_of(authors, [float(day) for day in days], [float(count) for count in views])
    early = (posts["posted_at"] <= DAY + pd.Timedelta(days=cut)).to_numpy()
    past = (posts["posted_at"] < DAY + pd.Timedelta(days=cut)).to_numpy()
    wanted = add_history(posts).loc[early, column].to_numpy()
    others = posts.copy()
    others.loc[~past, "views"] = others.loc[~past, "views"].to_numpy()[::-1] * 7 + 3
    others.loc[~early, "author"] = others.loc[~early, "author"].to_numpy()[::-1]
    np.testing.assert_allclose(add_history(others).loc[early, column].to_numpy(), wanted, atol=1e-9)
    np.testing.assert_allclose(add_history(posts[early])[column].to_numpy(), wanted, atol=1e-9)


def test_few_posts_draw_to_the_others_and_recent_ones_count_more() -> None:
    many = ["a"] * 40 + ["b"] * 40
    days = [float(day) for day in [*range(40), *range(40)]]
    views = [100.0] * 40 + [10_000.0] * 40
    posts = add_history(posts_of([*many, "c", "c", "a", "d"], [*days, 40, 41, 42, 42], [*views, 10_000.0, 1.0, 5.0, 5.0]))
    new, second, old, stranger = posts.iloc[80:].to_dict("records")
    others = (np.log1p(100) + np.log1p(10_000)) / 2
    assert (new["author_is_new"], second["author_is_new"], old["author_is_new"]) == (1.0, 0.0, 0.0)
    assert new["author_success"] == pytest.approx(others)
    assert others < second["author_success"] < np.log1p(10_000)
    assert old["author_success"] == pytest.approx(np.log1p(100), abs=0.2)
    assert stranger["author_success"] == pytest.approx(np.log1p([*views, 10_000.0, 1.0]).mean())
    assert np.isnan(new["author_days_since_last"])
    assert second["author_days_since_last"] == pytest.approx(np.log1p(1))
    assert old["author_days_since_last"] == pytest.approx(np.log1p(3))
    assert new["author_posts_per_week"] == 0
    assert 3 < old["author_posts_per_week"] < 7  # it published daily, for less than two half-lives
    rising = add_history(posts_of(["a"] * 61, [float(day) for day in range(61)], [float(n) ** 2 for n in range(61)]))
    assert rising["author_trend"].iloc[60] > 0
    falling = add_history(posts_of(["a"] * 61, [float(day) for day in range(61)], [float(60 - n) for n in range(61)]))
    assert falling["author_trend"].iloc[60] < 0
