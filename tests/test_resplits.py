"""Few posts are divided so that each is predicted by what was fitted without it, and nothing by what came later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engage_cli.data.repeated_folds import are_later, resplit


def posts_of(num: int, *, groups: int | None = None) -> pd.DataFrame:
    random = np.random.default_rng(num)
    table = pd.DataFrame({"id": [f"p{n}" for n in range(num)], "group": [f"g{n % (groups or num)}" for n in range(num)]})
    return table.assign(posted_at=pd.Timestamp("2020-01-01") + pd.to_timedelta(random.permutation(num), unit="D"))


@pytest.mark.parametrize("num", [9, 20, 54, 180])
def test_each_post_is_held_out_once_and_never_with_what_it_is_predicted_by(num: int) -> None:
    posts = posts_of(num, groups=max(10, num // 2))
    divisions = resplit(posts, in_order=False)
    assert np.sort(np.concatenate([one.held_out for one in divisions])).tolist() == list(range(num))
    for one in divisions:
        sides = [set(posts["group"].iloc[some]) for some in (one.fitted, one.stopping, one.held_out)]
        assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
        assert len(one.fitted) > len(one.stopping) > 0
    assert len(divisions) == min(num, 5 if num >= 100 else 10)


@pytest.mark.parametrize("num", [12, 54, 180])
def test_in_order_all_that_is_fitted_on_came_before(num: int) -> None:
    posts = posts_of(num)
    posts.loc[3, "posted_at"] = pd.NaT
    divisions = resplit(posts, in_order=True)
    time = posts["posted_at"].to_numpy()
    for one in divisions:
        fitted = one.fitted[one.fitted != 3]
        assert time[fitted].max() < time[one.stopping].min() <= time[one.stopping].max() < time[one.held_out].min()
        assert 3 in one.fitted
    held_out = np.concatenate([one.held_out for one in divisions])
    expected = {12: 6, 54: 27, 180: 90}[num]
    assert len(np.unique(held_out)) == len(held_out) == expected
    assert time[held_out].min() >= np.sort(time[~np.isnat(time)])[num - 1 - expected]


def test_near_duplicates_and_posts_of_the_same_day_are_not_fitted_on() -> None:
    posts = posts_of(40, groups=20).assign(
        posted_at=pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(40) // 4, unit="D")
    )
    divisions = resplit(posts, in_order=True)
    assert divisions
    for one in divisions:
        before = np.concatenate([one.fitted, one.stopping])
        assert not set(posts["group"].iloc[before]) & set(posts["group"].iloc[one.held_out])
        assert posts["posted_at"].iloc[before].max() < posts["posted_at"].iloc[one.held_out].min()


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("num", [1, 2, 3])
def test_of_too_few_posts_there_is_no_division(num: int, in_order: bool) -> None:
    assert resplit(posts_of(num), in_order=in_order) == []


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["2020-03-01", "2020-03-02", "2020-03-03"], True),
        (["2020-03-01", None, "2020-03-03"], True),
        (["2020-01-02", "2020-01-04", "2020-01-06"], False),
        ([None, None, None], False),
        (None, False),
    ],
)
def test_later_posts_are_told_by_their_dates(dates: list[str | None] | None, expected: bool) -> None:
    others = pd.DataFrame({"id": range(30), "posted_at": pd.date_range("2020-01-01", periods=30)})
    posts = pd.DataFrame({"id": range(3)})
    if dates is None:
        others = others.drop(columns="posted_at")
    else:
        posts["posted_at"] = pd.to_datetime(pd.Series(dates))
    assert are_later(posts, others) is expected
