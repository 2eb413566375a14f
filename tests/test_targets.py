"""Formulas, cuts and percentiles by value."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.target import Target, dropped_terms, fit_cuts, fit_target
from engage_cli.errors import EngageError

POSTS = pd.DataFrame(
    {
        "views": [10.0, 20.0, 30.0, 40.0, 50.0, 0.0],
        "likes": [1.0, 2.0, 3.0, 4.0, 5.0, 2.0],
        "comments": [5.0, 3.0, 8.0, 1.0, 2.0, 0.0],
        "shares": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "favorites": [2.0, 1.0, 4.0, 3.0, 9.0, 1.0],
        "author_median_views": [np.nan, 1.0, 2.0, 3.0, 4.0, 5.0],
        "score": [-1.0, 2.5, 3.0, 4.0, 5.0, 6.0],
        "outcome": [0.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "exposure": [100.0, 200.0, 250.0, 150.0, 300.0, 350.0],
    }
)


def test_popularity_is_equation_1() -> None:
    target = fit_target("popularity", POSTS, fit_on="train")
    views = POSTS["views"]
    expected = sum((1 - np.corrcoef(views, POSTS[c])[0, 1]) * POSTS[c] for c in ("likes", "comments", "favorites"))
    np.testing.assert_allclose(target.score(POSTS), np.log1p(expected), rtol=1e-12)
    assert target.formula.weights["shares"] == 1.0  # constant: no correlation is known


def test_engagement_and_views() -> None:
    engagement = fit_target("engagement", POSTS, fit_on="train").score(POSTS)
    assert engagement[0] == (1 + 2 * 5 + 3 * 0 + 3 * 2) / 10
    assert engagement[5] == 2 + 3  # no views: divided by 1
    np.testing.assert_allclose(fit_target("views", POSTS, fit_on="train").score(POSTS), np.log1p(POSTS["views"]))


def test_composite_is_the_sum_of_normalised_counters() -> None:
    target = fit_target("composite", POSTS, fit_on="train")
    counters = ["views", "likes", "comments", "favorites"]  # shares never differ and add 0
    expected = sum((POSTS[c] - POSTS[c].min()) / (POSTS[c].max() - POSTS[c].min()) for c in counters)
    np.testing.assert_allclose(target.score(POSTS), expected, rtol=1e-12)
    assert target.score(POSTS.assign(views=100.0))[0] > 1  # a post beyond the fitted range goes beyond 1


def test_composite_scores_that_are_equal_by_the_formula_share_a_class() -> None:
    n = np.arange(30.0)
    posts = pd.DataFrame({"views": 7 * n + 3, "likes": 13 * (29 - n) + 5})  # every score is 1
    target = fit_target("composite", posts, fit_on="train")
    assert set(target.score(posts)) == {1.0}
    assert any("every post has the same score" in warning for warning in target.warnings)


@pytest.mark.parametrize("counter", ["views", "likes"])
def test_a_counter_by_itself_is_its_logarithm(counter: str) -> None:
    target = fit_target(counter, POSTS, fit_on="train")
    np.testing.assert_allclose(target.score(POSTS), np.log1p(POSTS[counter]), rtol=1e-12)
    np.testing.assert_allclose(target.counts(target.score(POSTS)), POSTS[counter], rtol=1e-9)


def test_rate_is_the_log_of_engagement_with_a_floor() -> None:
    engagement = fit_target("engagement", POSTS, fit_on="train").score(POSTS)
    rate = fit_target("rate", POSTS, fit_on="train")
    floor = np.quantile(engagement, 0.01)
    np.testing.assert_allclose(rate.score(POSTS), np.log(np.maximum(engagement, floor)), rtol=1e-12)
    silent = POSTS.assign(likes=0.0, comments=0.0, shares=0.0, favorites=0.0)
    np.testing.assert_allclose(rate.score(silent), np.log(floor))
    with pytest.raises(EngageError, match="above 0; there is none"):
        fit_target("rate", silent, fit_on="train")


def test_relative_and_given() -> None:
    relative = fit_target("relative", POSTS, fit_on="train")
    np.testing.assert_allclose(relative.score(POSTS)[1:], (np.log1p(POSTS["views"]) - POSTS["author_median_views"])[1:])
    assert np.isnan(relative.score(POSTS)[0])  # the author's first post
    assert relative.counts(np.array([1.0])) is None
    np.testing.assert_array_equal(fit_target("given", POSTS, fit_on="train").score(POSTS), POSTS["score"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("views", "log1p(views)"),
        ("engagement", "(likes + 2·comments + 3·shares + 3·favorites) / max(views, 1)"),
        ("relative", "log1p(views) - author_median_views"),
        ("given", "score"),
    ],
)
def test_formulas_in_words(name: str, text: str) -> None:
    assert str(fit_target(name, POSTS, fit_on="train").formula) == text


def test_equal_counters_are_named() -> None:
    warnings = fit_target("views", pd.DataFrame({"views": [7.0] * 30}), fit_on="train").warnings
    assert warnings == ("target views: every post has the same score, so there is nothing to learn; give another --target",)


def test_a_missing_column_drops_its_term_and_says_so() -> None:
    target = fit_target("engagement", POSTS.drop(columns=["shares", "favorites"]), fit_on="train")
    assert target.formula.weights == {"likes": 1.0, "comments": 2.0}
    assert dropped_terms(TARGETS, POSTS.drop(columns=["shares", "favorites"])) == {
        "shares, favorites": ["popularity", "engagement", "composite", "rate"]
    }
    with pytest.raises(EngageError, match="no column 'views'"):
        fit_target("views", POSTS[["likes"]], fit_on="train")


def test_a_row_without_a_counter_has_no_score() -> None:
    holed = POSTS.assign(likes=[np.nan, *POSTS["likes"][1:]])
    target = fit_target("popularity", holed, fit_on="train")
    assert np.isnan(target.score(holed)).tolist() == [True] + [False] * 5
    assert target.num_rows == 5


@pytest.mark.parametrize("name", TARGETS)
def test_saved_as_json_and_back(name: str) -> None:
    target = fit_target(name, POSTS, fit_on="train")
    again = Target.from_json(json.loads(json.dumps(target.to_json())))
    assert again == target
    np.testing.assert_array_equal(again.score(POSTS), target.score(POSTS))


def test_cuts_are_quintiles_without_ties() -> None:
    scores = np.arange(100.0)
    assert fit_cuts(scores) == (19.0, 39.0, 59.0, 79.0)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_equal_scores_share_a_class(values: list[int]) -> None:
    posts = pd.DataFrame({"views": np.array(values, dtype=float)})
    target = fit_target("views", posts, fit_on="train")
    scores = target.score(posts)
    classes = target.classes(scores)
    assert all(len(set(classes[scores == score])) == 1 for score in set(scores))
    assert (np.diff(classes[np.argsort(scores)]) >= 0).all()
    assert sum(target.class_shares) == pytest.approx(1.0)


def test_uneven_classes_are_named() -> None:
    posts = pd.DataFrame({"views": [0.0] * 50 + list(range(1, 51))})
    warnings = fit_target("views", posts, fit_on="train").warnings
    assert any("class Very Low holds 50% of the rows" in warning for warning in warnings)


def test_percentile() -> None:
    target = fit_target("views", pd.DataFrame({"views": np.expm1(np.linspace(0, 10, 1001))}), fit_on="train")
    np.testing.assert_allclose(target.percentile(np.array([-1.0, 5.0, 11.0])), [0.0, 50.0, 100.0], atol=0.06)
    np.testing.assert_allclose(target.counts(np.array([np.log1p(41.0)])), [41.0])
