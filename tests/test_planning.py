"""Planning a test of variants, by value: what counts say beside a prediction, when to stop, and what is worth testing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.planning.allocation import share_after, share_by_plain_thompson, share_by_thompson
from engage_cli.planning.design import plan_test, worth_testing
from engage_cli.planning.posterior import Rates, rates_from_differences, stand, update
from engage_cli.steps.sample import EXPERIMENTS_TABLE, write_sample
from engage_cli.steps.test_plan._counts import read_counts
from tests.calls import answer, engage


def rates(logs: list[float], deviation: float = 0.3, *, level: float = 1.0) -> Rates:
    num = len(logs)
    return Rates(mean=np.array(logs), covariance=deviation**2 * np.eye(num) + level**2)


def test_rates_from_differences_keep_each_variance_of_a_difference() -> None:
    root = np.random.default_rng(0).normal(0, 0.3, (4, 4))
    covariance = root @ root.T
    diagonal = np.diag(covariance)
    variance = diagonal[:, None] + diagonal[None] - 2 * covariance
    found = rates_from_differences(np.array([0.1, 0.2, 0.3, 0.6]), variance, level=np.log(0.02), level_deviation=0.5)
    own = np.diag(found.covariance)
    np.testing.assert_allclose(own[:, None] + own[None] - 2 * found.covariance, variance, atol=1e-9)
    np.testing.assert_allclose(np.diff(found.mean), [0.1, 0.1, 0.3])
    assert found.mean.mean() == pytest.approx(np.log(0.02))


def test_no_counts_leave_what_was_known() -> None:
    prior = rates([-4.0, -3.8])
    after = update(prior, np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(after.mean, prior.mean, atol=1e-6)
    np.testing.assert_allclose(after.covariance, prior.covariance, atol=1e-4)


def test_many_counts_outweigh_what_was_known() -> None:
    clicks, shown = np.array([4000.0, 5000.0]), np.array([200_000.0, 200_000.0])
    after = update(rates([-2.0, -6.0], 1.0), clicks, shown)
    np.testing.assert_allclose(after.mean, np.log(clicks / shown), atol=0.01)
    np.testing.assert_allclose(np.diag(after.covariance), 1 / clicks - 1 / shown, rtol=0.02)


@pytest.mark.parametrize("clicks", [(0, 3), (1, 0), (12, 30), (180, 190)])
def test_the_posterior_is_that_of_a_grid(clicks: tuple[int, int]) -> None:
    """Beside exact integration over both log rates; the normal approximation is a little off for few clicks."""
    prior, shown = rates([-4.5, -4.2], 0.3, level=0.4), np.array([1000.0, 1000.0])
    after = update(prior, np.array(clicks, float), shown)
    axis = np.linspace(-9, -0.5, 600)
    one, two = np.meshgrid(axis, axis, indexing="ij")
    away = np.stack([one - prior.mean[0], two - prior.mean[1]])
    precision = np.linalg.inv(prior.covariance)
    log = -0.5 * np.einsum("iab,ij,jab->ab", away, precision, away)
    for counted, place in zip(clicks, (one, two), strict=True):
        log += counted * place + (1000 - counted) * np.log1p(-np.exp(place))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    chance = float(weight[one < two].sum())
    means = np.array([(weight * one).sum(), (weight * two).sum()])
    deviation = float(np.sqrt((weight * (one - means[0]) ** 2).sum()))
    np.testing.assert_allclose(after.mean, means, atol=0.05)
    assert np.sqrt(after.covariance[0, 0]) == pytest.approx(deviation, rel=0.06)
    assert stand(after).best[1] == pytest.approx(chance, abs=0.02)


def test_who_is_ahead_and_what_stopping_costs() -> None:
    found = stand(rates([np.log(0.02), np.log(0.025), np.log(0.015)], 0.02))
    assert found.leader == 1
    assert found.chance > 0.99
    assert found.loss < 0.05
    np.testing.assert_allclose(found.rate, [0.02 * np.e**0.5, 0.025 * np.e**0.5, 0.015 * np.e**0.5], rtol=0.05)
    even = stand(rates([-4.0, -4.0], 0.3))
    np.testing.assert_allclose(even.best, [0.5, 0.5], atol=0.02)
    # E[max] of two normals of deviation 0.3, in the logarithm, lies 0.3 / sqrt(pi) above their mean.
    assert even.loss == pytest.approx(100 * 0.3 / np.sqrt(np.pi), rel=0.15)


def test_variants_alike_to_a_run_are_no_obstacle() -> None:
    prior = Rates(mean=np.full(3, -4.0), covariance=np.full((3, 3), 0.25))
    after = update(prior, np.array([20.0, 22.0, 18.0]), np.full(3, 1000.0))
    assert np.isfinite(after.mean).all()
    assert np.ptp(after.mean) < 0.01
    assert stand(after).loss < 0.5


def test_a_plan_is_what_a_two_sample_test_needs() -> None:
    """Of two variants the chance to choose right after n impressions follows from the signal and the noise."""
    deviation = 0.2
    plan = plan_test(rates([-4.0, -4.0], deviation, level=0.01), certainty=0.9, tolerance=0.001)
    by_number = {one.impressions: one for one in plan.stages}
    for number in (1000, 10_000):
        own = 1 / (number * np.exp(-4.0))
        expected = 0.5 + np.arctan(deviation / np.sqrt(own)) / np.pi  # P(sign of signal + noise is that of the signal)
        assert by_number[number].chance == pytest.approx(expected, abs=0.03)
    assert by_number[0].chance == pytest.approx(0.5, abs=0.03)
    losses = [one.loss for one in plan.stages]
    assert losses == sorted(losses, reverse=True)
    assert plan.until_sure == next(one.impressions for one in plan.stages if one.chance >= 0.9)
    assert plan.until_decided == min(one for one in (plan.until_sure, plan.until_cheap) if one is not None)


def test_what_surely_loses_is_not_worth_testing() -> None:
    found = worth_testing(rates([np.log(0.02), np.log(0.021), np.log(0.004)], 0.1))
    assert found.tolist() == [True, True, False]
    assert worth_testing(rates([-4.0, -9.0], 0.1)).tolist() == [True, False]
    alike = Rates(mean=np.array([-4.0, -4.0]), covariance=np.full((2, 2), 0.25))
    assert worth_testing(alike).sum() == 1  # a copy adds nothing


def test_what_a_run_knew_need_not_be_found_out() -> None:
    generator = np.random.default_rng(0)
    prior, nothing = rates([np.log(0.03), np.log(0.01)], 0.2), np.zeros(2)
    informed = share_after(prior, nothing, nothing, 2000, generator)
    plain = share_by_plain_thompson(nothing, nothing, 2000, generator)
    assert informed.sum() == plain.sum() == 2000
    assert informed[0] > 1950
    assert abs(plain[0] - 1000) < 100


def test_narrower_draws_show_the_likely_best_more_often() -> None:
    from scipy.special import ndtr

    prior = rates([-4.0, -4.2], 0.2)
    for width in (1.0, 0.5):
        shown = share_by_thompson(prior, 20_000, np.random.default_rng(0), width=width)
        assert shown[0] / 20_000 == pytest.approx(ndtr(0.2 / (width * 0.2 * np.sqrt(2))), abs=0.01)


POSTS = pd.DataFrame({"id": ["x", "y"], "title": ["One title", "Another"], "image": ["in/a.jpg", "in/b.jpg"]})


@pytest.mark.parametrize(
    "names", [("1", "2"), ("One title", "Another"), ("a.jpg", "b.jpg"), ("in/a.jpg", "in/b.jpg"), ("x", "y")]
)
def test_counts_name_a_variant_by_number_title_or_image(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = [(names[1], 500, 9), (names[0], 400, 3), (names[1], 600, 8)]
    pd.DataFrame(rows, columns=["Variant", "Impressions", "Clicks"]).to_csv(tmp_path / "counts.csv", index=False)
    found = read_counts(tmp_path / "counts.csv", POSTS)
    assert found.impressions.tolist() == [400, 1100]
    assert found.clicks.tolist() == [3, 17]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("3", 10, 1), "row 1: no variant of these 2 is '3'"),
        (("1", 10, 11), "row 1: 11 clicks are more than 10 impressions"),
        (("1", "many", 1), "column 'impressions', row 1: 'many' is not a whole number"),
        (("", 10, 1), "row 1: no variant of these 2"),
    ],
)
def test_wrong_counts_are_named(tmp_path: Path, row: tuple[object, ...], said: str) -> None:
    pd.DataFrame([row], columns=["variant", "impressions", "clicks"]).to_csv(tmp_path / "counts.csv", index=False)
    with pytest.raises(Exception, match=said.replace("(", r"\(")):
        read_counts(tmp_path / "counts.csv", POSTS)


@pytest.fixture(scope="module")
def titled(tmp_path_factory: pytest.TempPathFactory, encoders: EncoderConfig) -> Path:
    """A run of click_rate that has seen titles alone."""
    root = tmp_path_factory.mktemp("titled")
    write_sample(root / "sample", rows=100, experiments=True, with_images=False)
    answer("prepare", root / "sample" / EXPERIMENTS_TABLE, "--no-images", "--data", root / "data")
    common = ["--data", root / "data", "--vision", encoders.vision, "--text", encoders.text]
    answer("train-gp", *common, "--target", "click_rate", "--run", root / "run")
    return root


TITLES = ("UNBELIEVABLE cat in Lyon you MUST see!!! #4", "Notes on a cat, Lyon, part 4", "cat log 4: Lyon")


def test_a_plan_from_titles_and_counts(titled: Path, tmp_path: Path) -> None:
    call = ["test-plan", *(part for title in TITLES for part in ("--title", title)), "--run", titled / "run"]
    before = answer(*call)
    assert {one["variant"] for one in before["variants"]} == {1, 2, 3}
    assert sum(one["p_best"] for one in before["variants"]) == pytest.approx(1)
    assert 0.005 < before["rate"] < 0.08
    assert before["variants"][0]["impressions"] is None
    # Counts that leave no doubt, against whatever the run says.
    pd.DataFrame({"variant": [1, 2, 3], "impressions": 50_000, "clicks": [500, 1500, 900]}).to_csv(tmp_path / "c.csv")
    after = answer(*call, "--counts", tmp_path / "c.csv")
    assert after["leader"] == 2
    assert after["verdict"] == "stop: one is ahead"
    assert after["variants"][0]["rate"] == pytest.approx(0.03, rel=0.03)
    shown = engage(*call, "--counts", tmp_path / "c.csv").stdout
    assert "Ahead: 2 “Notes on a cat, Lyon, part 4”" in shown
    assert "Stop: it is the best" in shown
    few = answer(*call, "--certainty", 0.999, "--tolerance", 0.01)
    assert few["verdict"] == "go on"
    assert "Go on" in engage(*call, "--certainty", 0.999, "--tolerance", 0.01).stdout
    json.dumps(few)


def test_a_plan_from_a_table(titled: Path, tmp_path: Path) -> None:
    pd.DataFrame({"headline": TITLES}).to_csv(tmp_path / "variants.csv", index=False)
    found = answer("test-plan", "--table", tmp_path / "variants.csv", "--run", titled / "run", "--rate", 0.1)
    assert found["rate"] == pytest.approx(0.1)
    assert {one["title"] for one in found["variants"]} == set(TITLES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--title", "only one"], "a test needs two variants or more"),
        (["--title", "a", "--table", "b.csv"], "two ways to give variants"),
        (["--title", "a", "--title", "b", "--images-dir", "."], "--images-dir and --map go with --table"),
        ([], "no image and no title is given"),
    ],
)
def test_wrong_calls_of_a_plan(arguments: list[str], said: str) -> None:
    result = engage("test-plan", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
