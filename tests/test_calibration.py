"""Intervals hold what they promise, whatever the residuals; classes are as sure as they are right."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from engage_cli.config.general import QUANTILE_LEVELS
from engage_cli.io.records import parse
from engage_cli.models.predictions import Predictions
from engage_cli.uncertainty.conformal import LEAST_SPREAD, MOST_RESIDUALS, Calibration, fit_calibration, tempered

NOISES = {
    "normal": lambda random, num: random.normal(size=num),
    "heavy-tailed": lambda random, num: random.standard_t(2, size=num),
    "skewed": lambda random, num: random.lognormal(sigma=1.2, size=num),
}
SHARES = (0.8, 0.95)
WAYS = {0.8: 10, 0.95: 40}  # beyond each end one post in so many may lie
CUTS = (-1.0, -0.2, 0.4, 1.1)
ZERO = Predictions(value=np.zeros(1))


def coverage(bounds: tuple[np.ndarray, np.ndarray], true: np.ndarray) -> np.ndarray:
    return (bounds[0] <= true) & (true <= bounds[1])


def with_quantiles(value: np.ndarray, deviation: np.ndarray) -> Predictions:
    """Normal quantiles, the median of which is the value."""
    from scipy.stats import norm

    return Predictions(value=value, quantiles=value[:, None] + deviation[:, None] * norm.ppf(QUANTILE_LEVELS))


def log_loss(shares: np.ndarray, true: np.ndarray) -> float:
    return float(-np.log(np.maximum(shares[np.arange(len(true)), true], 1e-9)).mean())


def labels_of(shares: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (random.random((len(shares), 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("noise", NOISES)
def test_coverage_over_many_splits_is_what_was_promised(noise: str) -> None:
    """With 199 posts both promises fall on whole ranks."""
    random = np.random.default_rng(1)
    value = random.normal(size=600)
    true = value + NOISES[noise](random, 600)
    seen: dict[float, list[float]] = {share: [] for share in SHARES}
    for _ in range(250):
        places = random.permutation(600)
        fitted, asked = places[:199], places[199:]
        calibration = fit_calibration(Predictions(value=value[fitted]), true[fitted])
        for share in SHARES:
            bounds = calibration.interval(Predictions(value=value[asked]), share)
            seen[share].append(float(coverage(bounds, true[asked]).mean()))
    for share in SHARES:
        assert np.mean(seen[share]) == pytest.approx(share, abs=0.012)


def test_where_high_predictions_are_less_sure_their_intervals_are_wider() -> None:
    random = np.random.default_rng(2)
    value = random.uniform(0, 10, 6000)
    true = value + (0.5 + 0.2 * value) * random.normal(size=6000)
    fitted, asked = slice(0, 2000), slice(2000, 6000)
    with_line = fit_calibration(Predictions(value=value[fitted]), true[fitted])
    residuals = tuple(np.sort(true[fitted] - value[fitted]).tolist())
    without = Calibration(kind="value", rows=2000, residuals=residuals)
    fifth = np.searchsorted(np.quantile(value[asked], [0.2, 0.4, 0.6, 0.8]), value[asked])
    gaps = []
    for calibration in (with_line, without):
        inside = coverage(calibration.interval(Predictions(value=value[asked]), 0.8), true[asked])
        gaps.append(max(abs(inside[fifth == number].mean() - 0.8) for number in range(5)))
    assert with_line.slope > 0
    assert gaps[0] < 0.06
    assert gaps[1] > 0.13


def test_predicted_quantiles_of_the_right_shape_and_wrong_size_are_stretched() -> None:
    random = np.random.default_rng(3)
    deviation = random.choice([0.5, 2.0], 5000)
    value = random.normal(size=5000)
    true = value + deviation * random.normal(size=5000)
    said = with_quantiles(value, deviation / 3)  # three times too sure
    calibration = fit_calibration(said.take(np.arange(2500)), true[:2500])
    asked = said.take(np.arange(2500, 5000))
    for share in SHARES:
        inside = coverage(calibration.interval(asked, share), true[2500:])
        for size in (0.5, 2.0):
            assert inside[deviation[2500:] == size].mean() == pytest.approx(share, abs=0.03)
    assert coverage(asked.interval(0.8), true[2500:]).mean() < 0.4  # as it was predicted
    low, high = calibration.interval(asked, 0.8)
    assert (high - low)[deviation[2500:] == 2.0] == pytest.approx(4 * (high - low)[deviation[2500:] == 0.5][0])


def test_a_predicted_interval_of_no_width_is_not_believed() -> None:
    random = np.random.default_rng(4)
    value = random.normal(size=200)
    said = with_quantiles(value, np.ones(200))
    calibration = fit_calibration(said, value + random.normal(size=200))
    assert calibration.usual_spread == pytest.approx(1.0)
    assert calibration.spread(with_quantiles(np.zeros(1), np.zeros(1))) == pytest.approx([LEAST_SPREAD])
    assert calibration.spread(with_quantiles(np.zeros(1), np.full(1, 2.5))) == pytest.approx([2.5])
    flat = fit_calibration(with_quantiles(value, np.zeros(200)), value + 1)
    assert np.isfinite(flat.interval(with_quantiles(value, np.zeros(200)), 0.8)).all()


@pytest.mark.parametrize("share", SHARES)
def test_ends_lie_between_ranks_and_of_few_posts_are_the_extremes(share: float) -> None:
    for rows in range(1, 450):
        calibration = Calibration(kind="value", rows=rows, residuals=tuple(map(float, range(1, rows + 1))))
        low, high = calibration.interval(Predictions(value=np.zeros(1)), share)
        beyond = max((rows + 1) / WAYS[share], 1.0)  # of rows + 1 places for a new residual, at each end
        assert (low[0], high[0]) == pytest.approx((beyond, max(rows + 1 - beyond, beyond if rows == 1 else 0.0))), rows
        assert calibration.supports(share) == (rows + 1 >= WAYS[share])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rows", [9, 14, 27, 54])
def test_few_residuals_promise_little_more_than_is_kept(rows: int, noise: str) -> None:
    """An interval between ranks rounded outward would hold 0.867 of 14, 0.857 of 27 and 0.818 of 54."""
    random = np.random.default_rng(rows)
    errors = NOISES[noise](random, 4000 * (rows + 20)).reshape(4000, -1)
    fitted, asked = np.sort(errors[:, :rows], axis=1), errors[:, rows:]
    inside = []
    for residuals, new in zip(fitted.tolist(), asked, strict=True):
        low, high = Calibration(kind="value", rows=rows, residuals=tuple(residuals)).interval(ZERO, 0.8)
        inside.append(coverage((low, high), new).mean())
    beyond = (rows + 1) // 10 / (rows + 1)  # each end, where ranks are rounded
    assert 0.795 <= np.mean(inside) <= 0.805 + (0.2 - 2 * beyond) / 2


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_of_a_handful_of_posts_the_interval_is_from_the_least_to_the_largest_residual(rows: int) -> None:
    true = np.array([0.5, -1.0, 4.0, 2.0, 0.0])[:rows]
    calibration = fit_calibration(Predictions(value=np.zeros(rows)), true)
    for share in SHARES:
        low, high = calibration.interval(Predictions(value=np.array([10.0])), share)
        assert (low[0], high[0]) == (10 + true.min(), 10 + true.max())
    shares = calibration.probabilities(Predictions(value=np.array([0.0, 50.0])), CUTS)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert shares[1, 4] == 1.0
    assert np.isfinite(calibration.normal_scores(Predictions(value=np.zeros(rows)), true)).all()


@pytest.mark.parametrize("rows", [2500, 20_000])
def test_of_many_residuals_some_are_kept_and_no_interval_changes_its_coverage(rows: int) -> None:
    random = np.random.default_rng(5)
    value = random.normal(size=rows)
    true = value + random.normal(size=rows)
    some = fit_calibration(Predictions(value=value), true)
    assert len(some.residuals) == MOST_RESIDUALS
    everything = np.sort((true - value) / some.spread(Predictions(value=value)))
    whole = Calibration(**{**vars(some), "residuals": tuple(everything.tolist())})
    for share in SHARES:
        bounds = [np.ravel(one.interval(Predictions(value=np.zeros(1)), share)) for one in (some, whole)]
        shift = np.abs(np.searchsorted(everything, bounds[0]) - np.searchsorted(everything, bounds[1])) / rows
        assert shift.max() < 1e-3  # of coverage
    levels = np.linspace(0.05, 0.95, 19)
    assert some.quantile(levels) == pytest.approx(np.quantile(everything, levels), abs=5e-3)


def test_probabilities_are_the_shares_of_residuals_between_the_cuts() -> None:
    random = np.random.default_rng(6)
    value = random.normal(size=300)
    true = value + random.standard_t(3, size=300)
    calibration = fit_calibration(Predictions(value=value), true)
    asked = Predictions(value=np.array([-3.0, -0.5, 0.0, 2.0, 9.0]))
    shares = calibration.probabilities(asked, CUTS)
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert (shares >= 0).all()
    outcomes = asked.value[:, None] + calibration.spread(asked)[:, None] * np.asarray(calibration.residuals)
    counted = np.apply_along_axis(lambda row: np.bincount(np.searchsorted(CUTS, row), minlength=5) / 300, 1, outcomes)
    assert np.abs(shares - counted).max() <= 1 / 300


@pytest.mark.parametrize("power", [3.0, 1.0, 0.5])
def test_the_temperature_of_sharpened_probabilities_is_found(power: float) -> None:
    random = np.random.default_rng(7)
    honest = random.dirichlet(np.ones(5), 5000)
    said = honest**power / (honest**power).sum(axis=1, keepdims=True)
    true = labels_of(honest, random)
    calibration = fit_calibration(Predictions(probabilities=said), true)
    assert calibration.temperature == pytest.approx(power, rel=0.07)
    back = calibration.probabilities(Predictions(probabilities=said), CUTS)
    assert np.abs(back - honest).max() < 0.06
    assert back.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("temperature", [0.2, 0.7, 1.0, 4.0, 10.0])
def test_a_temperature_changes_no_order_and_keeps_ties(temperature: float) -> None:
    shares = np.random.default_rng(8).dirichlet(np.ones(5), 500)
    changed = tempered(shares, temperature)
    assert (changed.argsort(axis=1) == shares.argsort(axis=1)).all()
    tied = tempered(np.array([[0.4, 0.1, 0.4, 0.1, 0.0], [1.0, 0, 0, 0, 0]]), temperature)
    assert tied[0, 0] == tied[0, 2] > tied[0, 1] == tied[0, 3] > tied[0, 4]
    assert tied[1, 0] == tied[1].max()
    assert tied.sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("said", ["right", "reversed", "sure and wrong", "even"])
def test_no_temperature_makes_the_fitted_posts_worse(said: str) -> None:
    random = np.random.default_rng(9)
    shares = random.dirichlet(np.ones(5), 200)
    true = {"right": shares.argmax(axis=1), "reversed": shares.argmin(axis=1)}.get(said, random.integers(0, 5, 200))
    if said == "sure and wrong":
        shares = np.eye(5)[(true + 1) % 5]
    if said == "even":
        shares = np.full((200, 5), 0.2)
    calibration = fit_calibration(Predictions(probabilities=shares), true)
    after = log_loss(calibration.probabilities(Predictions(probabilities=shares), CUTS), true)
    assert after <= log_loss(shares, true) + 1e-12
    if said == "right":
        assert calibration.temperature < 0.25
    if said in ("reversed", "sure and wrong"):
        assert calibration.temperature > 9


@pytest.mark.parametrize("constant", [0.0, 0.1, -1.7, 1e-7, 12345.678])
def test_a_constant_prediction_has_the_residuals_own_quantiles(constant: float) -> None:
    """The mean of equal numbers may differ from them in a last digit: no line is drawn through that."""
    true = constant + np.random.default_rng(10).normal(size=399)
    said = Predictions(value=np.full(399, constant))
    calibration = fit_calibration(said, true)
    assert (calibration.slope, calibration.spread(said)[0]) == (0.0, 1.0)
    low, high = calibration.interval(said, 0.8)
    assert (low[0], high[0]) == pytest.approx(tuple(np.sort(true)[[39, 359]]))


def test_a_constant_truth_that_is_always_met_leaves_no_doubt() -> None:
    calibration = fit_calibration(Predictions(value=np.full(120, 0.3)), np.full(120, 0.3))
    low, high = calibration.interval(Predictions(value=np.full(1, 0.3)), 0.95)
    assert low == high == pytest.approx(0.3)
    shares = calibration.probabilities(Predictions(value=np.full(1, 0.3)), CUTS)
    assert shares[0] == pytest.approx([0, 0, 1, 0, 0], abs=0.01)
    scores = calibration.normal_scores(Predictions(value=np.full(120, 0.3)), np.full(120, 0.3))
    assert np.isfinite(scores).all()
    varied = fit_calibration(Predictions(value=np.arange(120.0)), np.full(120, 50.0))
    assert np.isfinite(varied.interval(Predictions(value=np.arange(120.0)), 0.95)).all()


def test_normal_scores_are_standard_normal_on_the_fitted_posts() -> None:
    random = np.random.default_rng(11)
    value = random.normal(size=1000)
    true = value + random.lognormal(size=1000)
    calibration = fit_calibration(Predictions(value=value), true)
    scores = calibration.normal_scores(Predictions(value=value), true)
    assert (scores.mean(), scores.std()) == pytest.approx((0.0, 1.0), abs=0.02)
    residuals = (true - value) / calibration.spread(Predictions(value=value))
    assert (scores.argsort() == residuals.argsort()).all()
    shares = np.tile([0.1, 0.2, 0.4, 0.2, 0.1], (3, 1))
    of_classes = Calibration(kind="classes", rows=1000).normal_scores(
        Predictions(probabilities=shares), np.array([0, 2, 4])
    )
    assert of_classes == pytest.approx([-1.6449, 0.0, 1.6449], abs=1e-4)


@pytest.mark.parametrize("kind", ["value", "quantiles", "classes"])
def test_written_and_read_again_it_says_the_same(kind: str) -> None:
    random = np.random.default_rng(12)
    value = 1000 * random.normal(size=500)
    true = value + (200 + 0.1 * value) * random.normal(size=500)
    said = Predictions(value=value) if kind == "value" else with_quantiles(value, np.full(500, 150.0))
    if kind == "classes":
        said, true = Predictions(probabilities=random.dirichlet(np.ones(5), 500)), random.integers(0, 5, 500)
    calibration = fit_calibration(said, true)
    back = parse(json.loads(json.dumps(asdict(calibration.rounded()))), Calibration, where="here", again="again")
    assert back.probabilities(said, CUTS) == pytest.approx(calibration.probabilities(said, CUTS), abs=1e-4)
    if kind != "classes":
        ours, theirs = (np.ravel(one.interval(said, 0.95)) for one in (calibration, back))
        assert theirs == pytest.approx(ours, rel=1e-5, abs=1e-2)
        assert back.normal_scores(said, true) == pytest.approx(calibration.normal_scores(said, true), abs=0.01)


@pytest.mark.parametrize("rows", [3, 9, 20, 54, 599])
@pytest.mark.parametrize("skew", [-1.0, 0.0, 1.0])
def test_the_estimate_lies_inside_its_own_intervals(rows: int, skew: float) -> None:
    """Whatever the residuals: of one sign, asymmetric, or around 0."""
    random = np.random.default_rng(rows)
    for moved in (-2.0, -0.3, 0.0, 0.3, 2.0):
        value = random.normal(size=rows)
        errors = skew * random.lognormal(size=rows) if skew else random.normal(size=rows)
        calibration = fit_calibration(Predictions(value=value), value + errors + moved)
        asked = Predictions(value=random.normal(size=50))
        middle = calibration.middle(asked)
        for share in SHARES:
            if calibration.supports(share):
                low, high = calibration.interval(asked, share)
                assert (low <= middle).all()
                assert (middle <= high).all()
    centred = fit_calibration(Predictions(value=np.zeros(99)), np.linspace(-1, 1, 99))
    assert centred.middle(Predictions(value=np.array([4.0]))).tolist() == [4.0]
    biased = fit_calibration(Predictions(value=np.zeros(99)), np.linspace(1, 3, 99))
    assert biased.middle(Predictions(value=np.array([4.0]))).tolist() == [6.0]


@pytest.mark.parametrize("rows", [1, 6, 27, 54, 599])
def test_probabilities_are_smoothed_by_the_number_of_residuals(rows: int) -> None:
    calibration = fit_calibration(Predictions(value=np.zeros(rows)), np.full(rows, 0.1))
    shares = (0.3, 0.1, 0.2, 0.2, 0.2)
    found = calibration.smoothed(calibration.probabilities(Predictions(value=np.zeros(1)), CUTS), shares)
    weight = rows / (rows + 10)
    assert found[0].sum() == pytest.approx(1.0)
    assert found[0, 0] == pytest.approx((1 - weight) * 0.3)  # no residual fell there
    assert found[0, 1] == pytest.approx((1 - weight) * 0.1)
