"""Errors of posts that are alike are alike, as far as the validation posts show it, and cancel between variants."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy.stats import norm

from engage_cli.io.records import parse
from engage_cli.models.predictions import Predictions
from engage_cli.uncertainty.conformal import Calibration
from engage_cli.uncertainty.error_correlation import (
    Correlation,
    beats_in_pairs,
    chances_of_best,
    chances_to_beat,
    draw_together,
    fit_correlation,
)

# Of values whose errors are standard normal.
NORMAL = Calibration(kind="value", rows=2001, residuals=tuple(norm.ppf((np.arange(2001) + 0.5) / 2001).tolist()))
CLASSES = Calibration(kind="classes", rows=500)


def chances(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return chances_of_best(draws), chances_to_beat(draws)


def values(*some: float) -> Predictions:
    return Predictions(value=np.array(some))


def together(rho: float, num: int = 2) -> np.ndarray:
    return np.full((num, num), rho) + (1 - rho) * np.eye(num)


@pytest.mark.parametrize(("nearby", "reach"), [(0.5, 0.5), (0.8, 0.3)])
def test_a_known_correlation_is_recovered(nearby: float, reach: float) -> None:
    """What is not nearby is the nugget: no two posts share it, however close."""
    found = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        points = random.uniform(0, 4, size=(900, 2))
        away = np.linalg.norm(points[:, None] - points[None], axis=2)
        covariance = nearby * np.exp(-away / reach) + (1 - nearby) * np.eye(900)
        errors = 2 + 3 * np.linalg.cholesky(covariance) @ random.normal(size=900)
        fitted = fit_correlation(points, errors)
        found.append(fitted.at_distance(np.array([0.1, 0.3, 0.6, 2.5])))
    expected = nearby * np.exp(-np.array([0.1, 0.3, 0.6, 2.5]) / reach)
    assert np.mean(found, axis=0) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("crowd", [1, 5])
def test_independent_errors_have_none(crowd: int) -> None:
    """Of posts in no order, and of crowds of five that stand close together."""
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        points = random.normal(size=(300 // crowd, 6)).repeat(crowd, axis=0) + 0.05 * random.normal(size=(300, 6))
        found.append(fit_correlation(points, random.normal(size=300)).nearby)
    assert np.mean(np.array(found) == 0.0) >= 0.9
    assert max(found) < 0.2


@pytest.mark.parametrize("shared", [0.0, 0.4])
def test_what_one_authors_posts_share(shared: float) -> None:
    found = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        own = random.normal(size=80).repeat(5)
        errors = np.sqrt(shared) * own + np.sqrt(1 - shared) * random.normal(size=400)
        authors = np.array([f"a{n}" for n in range(80)], object).repeat(5)
        found.append(fit_correlation(None, errors, authors).same_author)
    if shared:
        assert np.mean(found) == pytest.approx(shared, abs=0.1)
        assert np.mean(found) < shared  # lowered by its own error
    else:
        assert np.mean(np.array(found) == 0.0) >= 0.85


def test_posts_without_an_author_share_none() -> None:
    random = np.random.default_rng(0)
    errors = random.normal(size=20).repeat(5)
    authors = np.array([f"a{n}" for n in range(20)], object).repeat(5)
    assert fit_correlation(None, errors, authors).same_author > 0.7
    half = np.where(np.arange(100) < 50, 3.0, 0.0) + random.normal(size=100)
    assert fit_correlation(None, half, np.where(np.arange(100) < 50, "one", authors)).same_author > 0.2
    assert fit_correlation(None, half, np.where(np.arange(100) < 50, "", np.arange(100).astype(str))) == Correlation()
    assert fit_correlation(None, errors) == Correlation()


@pytest.mark.parametrize("error", [0.0, 0.3, -1.1, 2.326])
@pytest.mark.parametrize("num", [1, 2, 60])
def test_errors_that_are_all_the_same_tell_nothing(error: float, num: int) -> None:
    """Their deviation is 0 but for a last digit, which must not be divided by."""
    points = np.random.default_rng(0).normal(size=(num, 3))
    assert fit_correlation(points, np.full(num, error), np.full(num, "one", object)) == Correlation()


def test_few_pairs_tell_nothing_and_equal_points_do_not_fail() -> None:
    random = np.random.default_rng(1)
    assert fit_correlation(random.normal(size=(9, 2)), random.normal(size=9), np.full(9, "one", object)) == Correlation()
    assert fit_correlation(np.zeros((100, 2)), random.normal(size=100)) == Correlation()


def test_correlations_of_variants() -> None:
    found = Correlation(nearby=0.6, reach=2.0, same_author=0.5)
    points = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])
    expected = found.of_variants(points, 3)
    assert expected.diagonal().tolist() == [1.0, 1.0, 1.0]
    assert expected[0, 1] == pytest.approx(1 - 0.5 * 0.4)
    assert expected[0, 2] == pytest.approx(1 - 0.5 * (1 - 0.6 * np.exp(-2.5)))
    assert found.of_variants(None, 3) == pytest.approx(together(0.5, 3))
    many = np.random.default_rng(2).normal(size=(60, 2)).repeat(2, axis=0)
    highest = Correlation(nearby=0.95, reach=5.0, same_author=0.95).of_variants(many, 120)
    assert np.linalg.eigvalsh(highest).min() > 0
    assert parse(asdict(found), Correlation, where="here", again="again") == found


def test_chances_by_hand() -> None:
    draws = np.array([[3.0, 1.0, 1.0], [2.0, 2.0, 0.0], [1.0, 1.0, 1.0], [0.0, 5.0, 4.0]])
    best, beats = chances(draws)
    assert best == pytest.approx([(1 + 1 / 2 + 1 / 3) / 4, (1 / 2 + 1 / 3 + 1) / 4, (1 / 3) / 4])
    assert beats[0] == pytest.approx([0.5, (1 + 1 / 2 + 1 / 2) / 4, (1 + 1 + 1 / 2) / 4])
    assert beats + beats.T == pytest.approx(1.0)


def test_equal_variants_share_the_chance() -> None:
    best, beats = chances(draw_together(NORMAL, values(1.0, 1.0, 1.0, 1.0), together(0.3, 4)))
    assert best == pytest.approx(0.25, abs=0.015)
    assert best.sum() == pytest.approx(1.0)
    assert beats == pytest.approx(0.5, abs=0.015)
    sure = Predictions(probabilities=np.eye(5)[[2, 2, 0]])
    best, beats = chances(draw_together(CLASSES, sure, np.eye(3)))
    assert best.tolist() == [0.5, 0.5, 0.0]
    assert beats[0].tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("ahead", [0.0, 0.3, -1.0])
def test_of_two_normals_the_chance_has_a_closed_form(ahead: float, rho: float) -> None:
    expected = norm.cdf(ahead / np.sqrt(2 * (1 - rho)))
    best, beats = chances(draw_together(NORMAL, values(5 + ahead, 5.0), together(rho)))
    assert best == pytest.approx([expected, 1 - expected], abs=0.012)
    assert beats[0, 1] == pytest.approx(expected, abs=0.012)
    paired = beats_in_pairs(NORMAL, values(5 + ahead), values(5.0), np.array([rho]))
    assert paired[0] == pytest.approx(expected, abs=0.025)


def test_shared_noise_cancels() -> None:
    apart, close = (chances(draw_together(NORMAL, values(0.4, 0.0), together(rho)))[0][0] for rho in (0.0, 0.9))
    assert apart < 0.65
    assert close > 0.78
    paired = beats_in_pairs(NORMAL, values(0.4, 0.4, 0.4), values(0.0, 0.0, 0.0), np.array([0.0, 0.5, 0.9]))
    assert (np.diff(paired) > 0.04).all()


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_pairs_and_all_together_agree(kind: str) -> None:
    random = np.random.default_rng(3)
    said = Predictions(value=random.normal(size=4))
    if kind == "classes":
        said = Predictions(probabilities=random.dirichlet(np.ones(5), 4))
    calibration = NORMAL if kind == "value" else CLASSES
    first, second = np.triu_indices(4, k=1)
    for rho in (0.0, 0.7):
        _, beats = chances(draw_together(calibration, said, together(rho, 4)))
        paired = beats_in_pairs(calibration, said.take(first), said.take(second), np.full(6, rho))
        assert paired == pytest.approx(beats[first, second], abs=0.03)


def test_of_classes_ties_are_shared_and_the_temperature_counts() -> None:
    shares = np.array([[0.1, 0.2, 0.3, 0.2, 0.2], [0.3, 0.3, 0.2, 0.1, 0.1]])
    wins = np.tril(np.ones((5, 5)), -1) + np.eye(5) / 2  # the row's class beats the column's one
    best, beats = chances(draw_together(CLASSES, Predictions(probabilities=shares), np.eye(2)))
    assert beats[0, 1] == pytest.approx(shares[0] @ wins @ shares[1], abs=0.012)
    assert best == pytest.approx([beats[0, 1], beats[1, 0]])
    hot = Calibration(kind="classes", rows=500, temperature=5.0)
    warmed = shares**0.2 / (shares**0.2).sum(axis=1, keepdims=True)
    _, beats = chances(draw_together(hot, Predictions(probabilities=shares), np.eye(2)))
    assert beats[0, 1] == pytest.approx(warmed[0] @ wins @ warmed[1], abs=0.012)


def test_draws_have_the_predicted_shares_and_one_seed_gives_one_answer() -> None:
    shares = np.array([[0.1, 0.2, 0.3, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0, 1.0]])
    draws = draw_together(CLASSES, Predictions(probabilities=shares), together(0.9))
    counted = [np.bincount(column, minlength=5) / len(draws) for column in draws.T]
    assert np.array(counted) == pytest.approx(shares, abs=0.012)
    again = draw_together(CLASSES, Predictions(probabilities=shares), together(0.9))
    assert (draws == again).all()
    assert (draws != draw_together(CLASSES, Predictions(probabilities=shares), together(0.9), seed=1)).any()
