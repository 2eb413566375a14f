"""How wrong a run may be about a difference: what is learned of it, and what follows for variants."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from engage_cli.models.predictions import Differences
from engage_cli.uncertainty.difference_error import (
    DifferenceError,
    ResidualKernel,
    chances_to_win,
    draw_variants,
    fit_to_experiments,
    fit_to_residuals,
    pairs_within,
)
from engage_cli.uncertainty.error_correlation import chances_of_best, chances_to_beat


def test_slope_scale_and_own_are_found() -> None:
    """Predictions that promise half too much, with a variance half of what it should be, and a part that none has."""
    rng = np.random.default_rng(0)
    num = 40_000
    mean, variance, noise = rng.normal(0, 0.5, num), rng.uniform(0.01, 0.3, num), rng.uniform(0.01, 0.4, num)
    true = 0.6 * mean + np.sqrt(2 * variance + 0.05) * rng.standard_normal(num)
    seen = true + np.sqrt(noise) * rng.standard_normal(num)
    found = fit_to_experiments(Differences(mean=mean, variance=variance), seen, noise)
    assert (found.slope, found.scale, found.own) == pytest.approx((0.6, 2.0, 0.05), rel=0.15)
    chances = chances_to_win(found.of(Differences(mean=mean, variance=variance)))
    for low in np.arange(0, 1, 0.1):
        some = (chances >= low) & (chances < low + 0.1)
        assert (true[some] > 0).mean() == pytest.approx(chances[some].mean(), abs=0.03)
    without = fit_to_experiments(Differences(mean=mean, variance=None), seen, noise)
    assert without.own == pytest.approx(2 * variance.mean() + 0.05, rel=0.1)


def test_what_the_counts_show_is_less_sure_than_what_is_true() -> None:
    true = Differences(mean=np.array([0.3, 0.3, 0.0]), variance=np.array([0.04, 0.0, 0.0]))
    np.testing.assert_allclose(chances_to_win(true), [ndtr(1.5), 1.0, 0.5])
    np.testing.assert_allclose(chances_to_win(true, 0.05), ndtr([1.0, 0.3 / 0.05**0.5, 0.0]))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_residuals_tell_how_much_of_them_is_luck(share: float) -> None:
    """A smooth part of the errors does not cancel between far variants, and does between near ones; luck always does."""
    rng = np.random.default_rng(1)
    points = rng.standard_normal((800, 2))
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    smooth = np.linalg.cholesky(np.exp(-0.5 * squares) + 1e-8 * np.eye(800)) @ rng.standard_normal(800)
    residuals = np.sqrt(share) * smooth + np.sqrt(1 - share) * rng.standard_normal(800)
    found = fit_to_residuals(points, residuals)
    assert found.learned_from == "residuals"
    said = Differences(mean=np.zeros(3), variance=None)
    variance = found.of(said, np.array([0.0, 0.2, 5.0])).variance
    assert variance is not None
    assert variance[0] == 0.0
    assert variance[1] < variance[2]
    assert variance[2] == pytest.approx(2 * share, abs=0.35 if share else 0.15)


def test_without_places_nothing_cancels() -> None:
    found = fit_to_residuals(None, np.array([1.0, -1.0, 1.0, -1.0]))
    np.testing.assert_allclose(found.of(Differences(mean=np.zeros(1), variance=None)).variance, [2.0])


def test_kernels_are_averaged() -> None:
    kernels = (
        ResidualKernel(probability=0.25, variance=0.4, reach=1.0),
        ResidualKernel(probability=0.75, variance=0.2, reach=2.0),
    )
    error = DifferenceError(learned_from="residuals", kernels=kernels)
    found = error.of(Differences(mean=np.zeros(1), variance=None), np.array([1.0])).variance
    np.testing.assert_allclose(found, [0.2 * (1 - np.exp(-0.5)) + 0.3 * (1 - np.exp(-0.125))])


def test_variants_are_drawn_with_the_variances_of_their_differences() -> None:
    """Two that are nearly alike stay together, and the third is far from both."""
    covariance = np.array([[1.0, 0.98, 0.2], [0.98, 1.0, 0.2], [0.2, 0.2, 1.0]])
    values = np.array([0.1, 0.0, -0.3])
    first, second = np.triu_indices(3, k=1)
    diagonal = covariance.diagonal()
    true = Differences(
        mean=values[first] - values[second],
        variance=diagonal[first] + diagonal[second] - 2 * covariance[first, second],
    )
    draws = draw_variants(true, 3)
    away = draws[:, first] - draws[:, second]
    np.testing.assert_allclose(away.mean(axis=0), true.mean, atol=0.03)
    np.testing.assert_allclose(away.var(axis=0), true.variance, rtol=0.04)
    np.testing.assert_allclose(chances_to_beat(draws)[first, second], chances_to_win(true), atol=0.01)
    assert chances_of_best(draws).sum() == pytest.approx(1.0)


def test_pairs_are_of_one_experiment_and_count_as_its_differences() -> None:
    first, second, weights = pairs_within(np.array([4, -1, 4, 2, 4, -1, 2, 9]))
    pairs = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert pairs == {frozenset(pair) for pair in [(0, 2), (0, 4), (2, 4), (3, 6)]}
    assert weights.sum() == pytest.approx(3.0)  # two differences, and one
    assert not any(len(some) for some in pairs_within(np.full(4, -1)))
