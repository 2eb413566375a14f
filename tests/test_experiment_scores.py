"""What an evaluation says of variants, by value: pairs, gain, calibration, and intervals by story."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.experiments import centred, experiment_codes
from engage_cli.evaluation.evidence import variant_warnings
from engage_cli.evaluation.experiments import Variants, find_variants, score_variants
from engage_cli.evaluation.results import Evaluation
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.evaluate import evaluate
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.sample import EXPERIMENTS_TABLE, write_sample
from engage_cli.uncertainty.conformal import Calibration
from tests.calls import answer, engage


def posts_of(rows: list[tuple[str, str, int, int]], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["experiment", "title", "outcome", "exposure"])
    frame = frame.assign(tags="", description="", image_hash="", group=frame["experiment"])
    return frame.assign(id=[f"p{row}" for row in range(len(frame))], **columns)


A = [
    ("a", "one", 100, 1000),
    ("a", "two", 50, 1000),
    ("a", "three", 52, 1000),
    ("b", "one", 30, 1000),
    ("b", "six", 90, 1000),
]


def test_variants_are_those_that_can_be_compared() -> None:
    rows = [*A, ("c", "alone", 9, 900), ("d", "rare", 5, 100), ("d", "often", 50, 5000), ("", "a post", 5, 700)]
    rows += [("a", "one", 100, 3000), ("e", "same", 8, 800), ("e", "same", 9, 800)]
    found = find_variants(posts_of(rows))
    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    assert found.outcome.tolist() == [200, 50, 52, 30, 90]  # of two packages that look alike
    assert found.exposure.tolist() == [4000, 1000, 1000, 1000, 1000]
    assert found.experiment.tolist() == [0, 0, 0, 1, 1]
    assert np.stack(found.pairs).T.tolist() == [[0, 1], [0, 2], [1, 2], [3, 4]]
    assert not len(find_variants(posts_of(rows).drop(columns="experiment")))
    assert not len(find_variants(posts_of(rows).drop(columns="exposure")))


def test_z_is_the_two_proportion_test() -> None:
    found = find_variants(posts_of(A))
    pooled = 150 / 2000
    assert found.z[0] == pytest.approx(0.05 / np.sqrt(pooled * (1 - pooled) * 2 / 1000))
    assert (np.abs(found.z) > 1.96).tolist() == [True, True, False, True]
    assert found.difference[0] == pytest.approx(np.log(100.5 / 50.5))
    assert found.noise[0] == pytest.approx(1 / 100.5 + 1 / 50.5 - 2 / 1001)


def test_pairs_and_gain_by_value() -> None:
    found = find_variants(posts_of(A))
    score, metrics = score_variants(found, np.array([3.0, 2.0, 1.0, 5.0, 4.0]))
    values = {name: metric["value"] for name, metric in metrics.items()}
    assert values["variant_pairs"] == 2 / 4  # two and three are in the wrong order, and so is b
    assert values["variant_pairs_significant"] == pytest.approx(2 / 3)
    gains = [0.1 / np.mean([0.1, 0.05, 0.052]) - 1, 0.03 / 0.06 - 1]
    assert values["variant_gain"] == pytest.approx(100 * np.mean(gains))
    assert score.best_gain == pytest.approx(100 * np.mean([gains[0], 0.09 / 0.06 - 1]))
    assert values["variant_gain_share"] == pytest.approx(100 * values["variant_gain"] / score.best_gain)
    assert (score.experiments, score.variants, score.pairs, score.significant, score.stories) == (2, 5, 4, 3, 2)
    assert "variant_ece" not in metrics


def test_the_truth_has_all_pairs_and_a_constant_half_and_no_gain() -> None:
    found = find_variants(posts_of(A))
    score, perfect = score_variants(found, found.rate)
    assert perfect["variant_pairs"]["value"] == perfect["variant_pairs_significant"]["value"] == 1
    assert perfect["variant_gain"]["value"] == pytest.approx(score.best_gain)
    _, constant = score_variants(found, np.zeros(5))
    assert constant["variant_pairs"]["value"] == 0.5
    assert constant["variant_gain"]["value"] == pytest.approx(0)


def drawn(num: int, *, seed: int = 0) -> tuple[Variants, np.ndarray]:
    """Return variants of so many experiments of two, and their true log rates."""
    rng = np.random.default_rng(seed)
    truth = np.log(0.02) + 0.3 * rng.standard_normal(2 * num)
    shown = np.full(2 * num, 2000.0)
    codes = np.repeat(np.arange(num), 2)
    clicks = rng.binomial(2000, np.exp(truth)).astype(np.float64)
    rows = np.arange(2 * num)
    return Variants(rows=rows, experiment=codes, story=codes // 3, outcome=clicks, exposure=shown), truth


def test_true_chances_are_calibrated_and_overconfident_ones_are_not() -> None:
    from scipy.special import ndtr

    variants, truth = drawn(4000)
    first, second = variants.pairs
    honest = ndtr((truth[first] - truth[second]) / np.sqrt(variants.noise))
    score, metrics = score_variants(variants, truth, honest, num_resamples=100)
    assert metrics["variant_ece"]["value"] < 0.015
    assert metrics["variant_ece"]["low"] <= metrics["variant_ece"]["value"]
    _, sure = score_variants(variants, truth, (honest > 0.5).astype(float))
    assert sure["variant_ece"]["value"] > 0.1
    assert score.wins is not None
    assert score.wins.mean() == pytest.approx(0.5, abs=0.03)


def test_intervals_hold_whole_stories_together() -> None:
    variants, truth = drawn(300)
    copies = Variants(  # each experiment ten times over, in one story: no more is known, and the interval is as wide
        rows=np.arange(6000),
        experiment=np.repeat(np.arange(3000), 2),
        story=np.repeat(np.arange(3000) // 10, 2),
        outcome=np.repeat(variants.outcome.reshape(300, 2), 10, axis=0).ravel(),
        exposure=np.repeat(variants.exposure.reshape(300, 2), 10, axis=0).ravel(),
    )
    single = Variants(**{**vars(variants), "story": variants.experiment})
    guess = truth + np.random.default_rng(1).normal(0, 0.5, 600)
    widths = []
    for some, said in ((single, guess), (copies, np.repeat(guess.reshape(300, 2), 10, axis=0).ravel())):
        found = score_variants(some, said, num_resamples=500)[1]["variant_pairs"]
        widths.append(found["high"] - found["low"])
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[0] == pytest.approx(2 * 1.96 * np.sqrt(0.72 * 0.28 / 300), rel=0.15)


def test_shuffled_experiments_give_chance() -> None:
    """Who predicts the level of each post and nothing of its variants is right about half of the pairs of a shuffled id."""
    rng = np.random.default_rng(0)
    num = 1500
    level = np.repeat(rng.normal(0, 0.7, num), 2)
    rate = np.exp(np.log(0.02) + level + 0.2 * rng.standard_normal(2 * num))
    codes = np.repeat(np.arange(num), 2)
    shown = np.full(2 * num, 3000.0)
    clicks = rng.binomial(3000, rate).astype(np.float64)
    known = Variants(rows=np.arange(2 * num), experiment=codes, story=codes, outcome=clicks, exposure=shown)
    counted = np.log((clicks + 0.5) / 3001)
    honest = score_variants(known, counted - np.repeat(counted.reshape(num, 2).mean(axis=1), 2))[1]
    assert honest["variant_pairs"]["value"] == 1
    # The same centred predictions, dealt to experiments at random: nothing of them is of these variants.
    order = rng.permutation(2 * num)
    shuffled = score_variants(known, (counted - np.repeat(counted.reshape(num, 2).mean(axis=1), 2))[order])[1]
    assert shuffled["variant_pairs"]["value"] == pytest.approx(0.5, abs=0.04)
    assert shuffled["variant_gain"]["value"] == pytest.approx(0.0, abs=2.0)


def test_the_chance_that_counts_show_it_adds_their_noise() -> None:
    from engage_cli.models.predictions import Predictions
    from engage_cli.uncertainty.conformal import fit_calibration
    from engage_cli.uncertainty.error_correlation import beats_in_pairs

    rng = np.random.default_rng(0)
    said = Predictions(value=rng.standard_normal(2000))
    assert said.value is not None
    calibration: Calibration = fit_calibration(said, said.value + 0.3 * rng.standard_normal(2000))
    pair = (Predictions(value=np.array([0.4])), Predictions(value=np.array([0.0])))
    from scipy.special import ndtr

    plain = beats_in_pairs(calibration, *pair, np.zeros(1))[0]
    noisy = beats_in_pairs(calibration, *pair, np.zeros(1), noise=np.array([0.5]))[0]
    assert plain == pytest.approx(ndtr(0.4 / np.sqrt(2 * 0.09)), abs=0.02)
    assert noisy == pytest.approx(ndtr(0.4 / np.sqrt(2 * 0.09 + 0.5)), abs=0.02)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, encoders: EncoderConfig) -> Path:
    """Synthetic experiments without covers, prepared, and a Gaussian process of their click rate."""
    root = tmp_path_factory.mktemp("variants")
    write_sample(root / "sample", rows=160, experiments=True, with_images=False)
    answer(
        "prepare", root / "sample" / EXPERIMENTS_TABLE, "--no-images", "--data", root / "data", "--fractions", "50/20/30"
    )
    common = ["--data", root / "data", "--vision", encoders.vision, "--text", encoders.text]
    answer("train-gp", *common, "--target", "click_rate", "--run", root / "run")
    return root


@pytest.mark.usefixtures("pixels")
def test_evaluate_tells_of_variants_beside_the_ladder(trained: Path) -> None:
    found = answer(
        "evaluate", trained / "run", "--data", trained / "data", "--resamples", 50, "--report", trained / "r.html"
    )
    run = found["runs"][0]
    assert set(run["metrics"]) >= {
        *("variant_pairs", "variant_pairs_significant", "variant_gain", "variant_gain_share", "variant_ece"),
    }
    test = load_dataset(trained / "data").posts.query("split == 'test'")
    assert run["experiments"]["experiments"] <= test["experiment"].nunique()
    assert run["experiments"]["pairs"] > 20
    assert [rung["run"] for rung in found["ladder"]][:2] == ["text length", "tf-idf + ridge"]
    assert all(rung["experiments"] | {"x": 0} == run["experiments"] | {"x": 0} for rung in found["ladder"])
    assert (trained / "run" / "plots" / "evaluation-variants.png").stat().st_size > 5000
    assert "pairs that clearly differ" in (trained / "r.html").read_text()
    shown = engage("evaluate", trained / "run", "--data", trained / "data", "--resamples", 0, "--no-report").stdout
    assert "Which variant wins" in shown
    assert f"{run['metrics']['variant_ece']['value']:.3f}" in shown
    assert f"{run['experiments']['pairs']:,} pairs" in shown


def test_of_validation_posts_no_chances_are_scored(trained: Path) -> None:
    found: Evaluation = evaluate(
        [trained / "run"], dataset=load_dataset(trained / "data"), split="validation", num_resamples=0
    )
    assert found.runs[0].experiments is not None
    assert found.runs[0].experiments.chances is None
    assert "variant_ece" not in found.runs[0].metrics


def test_the_evidence_of_such_a_run_is_how_it_tells_variants_apart(trained: Path) -> None:
    evidence = load_run(trained / "run").done.evidence
    assert evidence is not None
    assert evidence.metric == "r2_within_experiments"
    dataset = load_dataset(trained / "data")
    posts = dataset.posts.query("split == 'validation'")
    truth = dataset.target("click_rate").score(posts)
    codes = experiment_codes(posts)
    assert evidence.held_out == int((np.bincount(codes)[codes] > 1).sum())
    run = load_run(trained / "run")
    source = source_of(run, dataset, SilentReporter())
    predicted = load_predictor(run).predict(posts, source).main
    kept = np.bincount(codes)[codes] > 1
    true, said = (centred(values, codes)[kept] for values in (truth, predicted))
    assert evidence.value == pytest.approx(1 - ((true - said) ** 2).sum() / (true**2).sum(), abs=1e-6)


def test_pairs_no_better_than_chance_are_told() -> None:
    found = {"value": 0.55, "low": 0.48, "high": 0.61}
    (said,) = variant_warnings(found, 300, "test")
    assert said.startswith("300 test pairs of variants: it is not shown to be better than a guess")
    assert variant_warnings({**found, "low": 0.51}, 300, "test") == []
