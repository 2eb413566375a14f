"""Coverage, width, and the calibration of pairs are what one counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engage_cli.evaluation.uncertainty_metrics import (
    chances_of_pairs,
    expected_calibration_error,
    interval_metrics,
    pair_metrics,
)
from engage_cli.models.predictions import Predictions
from engage_cli.uncertainty.conformal import Calibration, fit_calibration
from engage_cli.uncertainty.error_correlation import Correlation
from engage_cli.uncertainty.forecast import UncertaintyModel


def doubt_of(calibration: Calibration) -> UncertaintyModel:
    return UncertaintyModel(target=None, calibration=calibration, correlation=Correlation(), neighbours=None)


def test_coverage_and_width_by_hand() -> None:
    low, high = np.array([0.0, 0.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0, 6.0])
    true = np.array([1.0, 3.0, -0.1, 5.0])  # an end belongs to the interval
    found = interval_metrics({"80": (low, high), "95": (low - 1, high + 1)}, true, num_resamples=200)
    assert {name: one["value"] for name, one in found.items()} == {
        "coverage_80": 0.5,
        "width_80": 3.0,
        "coverage_95": 1.0,
        "width_95": 5.0,
    }
    assert found["coverage_80"]["low"] < 0.5 < found["coverage_80"]["high"]
    assert found["coverage_95"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert 1.0 <= found["width_80"]["low"] < 3.0 < found["width_80"]["high"] <= 6.0
    point = interval_metrics({"80": (low, high)}, true, num_resamples=0)["coverage_80"]
    assert point == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert interval_metrics({}, true, num_resamples=5) == {}


def test_the_error_of_chances_by_hand() -> None:
    chances, wins = np.array([0.62, 0.68, 0.25, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    assert expected_calibration_error(chances, wins) == pytest.approx((0.3 + 0.25 + 0.0) / 4)
    assert expected_calibration_error(np.array([0.05, 0.95]), np.array([1.0, 0.0])) == pytest.approx(0.95)


@pytest.mark.parametrize("kind", ["value", "classes"])
@pytest.mark.parametrize("too_sure", [1.0, 4.0])
def test_pairs_of_a_run_that_is_as_sure_as_it_may_be_and_of_one_that_is_too_sure(kind: str, too_sure: float) -> None:
    random = np.random.default_rng(0)
    if kind == "value":
        value = random.normal(size=8000)
        true = value + random.standard_t(4, size=8000)
        said = Predictions(value=value)
        fitted = fit_calibration(said.take(np.arange(4000)), true[:4000])
        residuals = tuple((np.asarray(fitted.residuals) / too_sure).tolist())
        calibration = Calibration(**{**vars(fitted), "residuals": residuals})
    else:
        honest = random.dirichlet(np.full(5, 0.7), 8000)
        true = (random.random((8000, 1)) > honest.cumsum(axis=1)[:, :-1]).sum(axis=1)
        said = Predictions(probabilities=honest)
        calibration = Calibration(kind="classes", rows=4000, temperature=1 / too_sure)
    asked = np.arange(4000, 8000)
    found = pair_metrics(doubt_of(calibration), said.take(asked), true[asked], num_resamples=20)["pair_ece"]
    assert found["value"] <= 0.03 if too_sure == 1.0 else found["value"] > 0.08
    assert found["low"] < found["high"]


def test_a_tie_is_half_a_win_and_one_post_is_no_pair() -> None:
    calibration = fit_calibration(Predictions(value=np.zeros(50)), np.arange(50.0))
    for num in (0, 1):
        said = Predictions(value=np.zeros(num))
        assert pair_metrics(doubt_of(calibration), said, np.zeros(num), num_resamples=3) == {}
    equal = pair_metrics(doubt_of(calibration), Predictions(value=np.zeros(30)), np.full(30, 0.3), num_resamples=3)
    assert equal["pair_ece"]["value"] < 0.02
    true = np.array([1.0, 1.0, 2.0])
    chances, wins, _ = chances_of_pairs(doubt_of(calibration), Predictions(value=np.array([0.0, 0.0, 90.0])), true)
    assert set(zip(chances.round(1).tolist(), wins.tolist(), strict=True)) == {(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)}
