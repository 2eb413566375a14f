"""How counters grow: the curve is found, holds beyond the ages seen, and words are scored on what known numbers leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.training import CatBoostConfig
from engage_cli.data.ages.growth import Growth, fit_growth
from engage_cli.data.folds import make_folds
from engage_cli.data.schema import LOG_AGE
from engage_cli.features._known_numbers import beyond_numbers, known_numbers
from engage_cli.features.groups import PartOptions
from engage_cli.features.groups.age import GROWTH
from engage_cli.features.table import FeatureTable, load_table
from engage_cli.models.boosting.fit import Rows, boost, predict_table
from engage_cli.models.boosting.shap import contributions_of
from engage_cli.progress.reporters import SilentReporter
from tests.test_feature_groups import given, make_posts

NUM = 600


def growing(*, days: float = 30.0, slope: float = 0.9, youngest: float = 2.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Posts whose score is what their followers and their age make of it."""
    random = np.random.default_rng(3)
    ages = np.exp(random.uniform(np.log(youngest), np.log(500), NUM))
    followers = random.normal(8, 2, NUM)
    posts = make_posts(NUM).drop(columns=[LOG_AGE])
    posts = posts.assign(**{LOG_AGE: np.log(ages), "own.followers": np.expm1(np.maximum(followers, 0))})
    grown = slope * np.log(-np.expm1(-ages / days))
    return posts, 9 + 0.5 * followers + grown + random.normal(0, 0.3, NUM)


@pytest.mark.parametrize("days", [10.0, 30.0, 100.0])
def test_the_curve_is_found_with_its_days_and_slope(days: float) -> None:
    posts, truth = growing(days=days)
    found = fit_growth(posts, truth)
    assert found.days == days
    assert found.slope == pytest.approx(0.9, abs=0.1)
    # An hour after publication the curve still is a straight line in the logarithm, an hour that no training post has.
    hours = np.log(np.array([1.0, 2.0]) / 24)
    assert np.diff(found.offset(hours))[0] == pytest.approx(found.slope * np.log(2), rel=0.01)
    assert found.offset(posts[LOG_AGE].to_numpy()).mean() == pytest.approx(0, abs=1e-9)


def test_no_growth_is_found_where_there_is_none() -> None:
    posts, truth = growing()
    noise = np.random.default_rng(0).permutation(truth)
    assert abs(fit_growth(posts, noise).slope) < 0.1
    assert fit_growth(posts.drop(columns=[LOG_AGE]), truth).slope == 0
    assert fit_growth(posts.assign(**{LOG_AGE: 2.0}), truth).slope == 0
    assert fit_growth(posts.iloc[:10], truth[:10]).slope == 0
    assert Growth(slope=1.0).offset(np.array([np.nan])).tolist() == [0.0]


@pytest.mark.parametrize("objective", ["rmse", "quantile"])
def test_trees_answer_for_ages_that_no_training_post_has(objective: str, tmp_path: Path) -> None:
    posts, truth = growing()
    table = FeatureTable(["age", "own_columns"], PartOptions(columns={"own.followers": "number"}))
    features = table.fit(given(posts), truth, make_folds(posts, 5, seed=0))
    rows = Rows(table=features, truth=truth)
    config = CatBoostConfig(kind="value", objective=objective, iterations=120, learning_rate=0.1, rsm=1.0)
    with SilentReporter().stage("", 120) as stage:
        model = boost(config, rows, rows, (), work=tmp_path / "work", stage=stage)
    table.save(tmp_path)
    again = load_table(tmp_path.joinpath)

    def said(days: float) -> float:
        asked = again.transform(given(posts.assign(**{LOG_AGE: np.log(days)})))
        return float(predict_table(model, asked, "value").main.mean())

    # From two days, the youngest that it knows, back to two hours: a factor of about 24 to the power of 0.9.
    assert said(2) - said(2 / 24) == pytest.approx(0.9 * np.log(24), abs=0.35)
    asked = again.transform(given(posts.iloc[:5]))
    contributions, start = contributions_of(model, asked, ())
    np.testing.assert_allclose(contributions.sum(axis=1) + start, predict_table(model, asked, "value").main, rtol=1e-5)
    assert (asked[GROWTH] != 0).all()


def test_words_are_scored_on_what_known_numbers_leave() -> None:
    posts, truth = growing()
    posts = posts.assign(title=np.where(np.arange(NUM) % 2, "storm", "garden"), tags="", description="")
    truth = truth + 0.4 * (np.arange(NUM) % 2)
    folds = make_folds(posts, 5, seed=0)
    left = beyond_numbers(posts, truth, folds)
    assert left.std() < 0.6 * truth.std()
    table = FeatureTable(["words_score"], PartOptions())
    scores = table.fit(given(posts), truth, folds)["words_score"].to_numpy()
    is_storm = posts["title"] == "storm"
    assert scores[is_storm].mean() - scores[~is_storm].mean() == pytest.approx(0.4, abs=0.15)


def test_numbers_that_tell_nothing_leave_the_truth_as_it_is() -> None:
    posts, truth = growing()
    noise = np.random.default_rng(1).normal(size=NUM)
    folds = make_folds(posts, 5, seed=0)
    assert beyond_numbers(posts, noise, folds) is noise
    bare = posts[["id", "group", "title"]]
    assert beyond_numbers(bare, truth, make_folds(bare, 5, seed=0)) is truth
    few, some = posts.iloc[:20], truth[:20]
    assert beyond_numbers(few, some, make_folds(few, 2, seed=0)) is some


def test_what_is_known_of_posts_holds_no_counter() -> None:
    posts, truth = growing()
    table = known_numbers(posts)
    others = posts.assign(views=truth[::-1], likes=0.0, observed_at=pd.Timestamp("2022-01-01", tz="UTC"))
    pd.testing.assert_frame_equal(known_numbers(others), table)
