"""Trainers on experiments, as a user calls them: they learn from differences, and know how wrong they may be about one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.experiments import ExperimentArrays
from engage_cli.data.within_experiments import between_variance, within_truth
from engage_cli.models.ensemble.fit import fit_weights, held_out_predictions
from engage_cli.models.gaussian_process import process as gaussian_process
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import difference_of, load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import Run, load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.predict import Gain
from engage_cli.uncertainty.difference_error import pairs_within
from engage_cli.uncertainty.forecast import load_uncertainty
from tests.calls import answer, engage

WORDS = ["river", "stone", "cloud", "lamp", "garden", "mirror", "engine", "paper", "winter", "bridge"]
TRAININGS = {
    "gp": ["train-gp"],
    "catboost": ["train-catboost", "--as", "value", "--features", "words,title_statistics", "--iterations", 60],
    "regressor": ["train-regressor", "--objective", "within-experiments", "--epochs", 4],
}


def table(num: int = 60, seed: int = 0) -> pd.DataFrame:
    """Experiments of four titles: "secret" doubles the rate, whose level differs tenfold between experiments."""
    rng = np.random.default_rng(seed)
    rows = []
    for test in range(num):
        level = 0.01 * 10 ** rng.uniform(0, 1)
        for variant in range(4):
            title = " ".join(rng.choice(WORDS, 4)) + f" {test}" + (" secret" if variant % 2 else "")
            shown = int(rng.integers(1_000, 5_000))
            clicks = int(rng.binomial(shown, min(1.0, level * (2 if variant % 2 else 1))))
            rows.append((f"p{test}-{variant}", f"t{test}", title, shown, clicks))
    return pd.DataFrame(rows, columns=["id", "experiment", "title", "exposure", "outcome"])


@pytest.fixture(scope="module")
def runs(encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("experiments")
    table().to_csv(root / "posts.csv", index=False)
    answer("prepare", "--table", root / "posts.csv", "--no-images", "--data", root / "data", "--fractions", "60/30/10")
    names = ["--data", root / "data", "--target", "click_rate", "--vision", encoders.vision, "--text", encoders.text]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_process, "NUM_STEPS", 10)
        for name, (command, *more) in TRAININGS.items():
            answer(command, *names, *more, "--run", root / name)
    return {name: load_run(root / name) for name in TRAININGS}


@pytest.mark.parametrize("name", TRAININGS)
def test_each_trainer_learns_which_variant_wins(runs: dict[str, Run], name: str) -> None:
    run = runs[name]
    dataset = load_dataset(run.folder.parent / "data")
    posts = dataset.posts.iloc[dataset.rows("validation", run.target)]
    first, second, _ = pairs_within(pd.factorize(posts["experiment"])[0])
    said = difference_of(load_predictor(run), posts, source_of(run, dataset, SilentReporter()), first, second)
    assert said is not None
    assert (said.variance is not None) == (name == "gp")
    has = posts["title"].str.contains("secret").to_numpy()
    differ = has[first] != has[second]
    right = (said.mean[differ] > 0) == has[first][differ]
    assert right.mean() > (0.6 if name == "regressor" else 0.95)
    error = load_uncertainty(run).differences
    assert error is not None
    assert error.learned_from == "experiments"
    if name == "gp":  # the doubled rate is log 2 away, and seen to be
        size = error.slope * np.abs(said.mean[differ]).mean()
        assert size == pytest.approx(np.log(2), abs=0.12)


def test_two_titles_are_told_apart_where_two_posts_are_not(runs: dict[str, Run]) -> None:
    said = answer(
        "predict", "--run", runs["gp"].folder, "--title", "river stone lamp secret", "--title", "river stone lamp"
    )
    assert said["too_close_to_call"] is False
    assert said["beats"][0][1] > 0.9
    assert said["ranking"][0]["title"] == "river stone lamp secret"
    gain = said["gain"]
    assert 0 < gain["low"] < gain["percent"] < gain["high"]
    low, high = said["posts"][0]["interval_80"]
    assert low < said["posts"][1]["value"] < high  # as two posts they might well be the other way round


def test_the_gain_is_over_one_taken_at_random() -> None:
    """The first brings twice what the second does: 2 / 1.5."""
    gain = Gain.of(np.array([[np.log(2), 0.0]] * 10) + np.arange(10)[:, None], 0)
    assert (gain.low, gain.percent, gain.high) == pytest.approx((100 / 3, 100 / 3, 100 / 3))


def test_the_loss_of_experiments_needs_experiments(world: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    names = ["--data", world / "data", "--vision", encoders.vision, "--text", encoders.text, "--run", tmp_path / "run"]
    result = engage("train-regressor", *names, "--objective", "within-experiments")
    assert result.exit_code == 2
    assert "needs train posts that are variants of experiments" in result.stderr


def test_weights_of_an_ensemble_follow_differences_and_not_levels() -> None:
    """One member knows the level of an experiment and nothing of its variants, the other the variants alone."""
    rng = np.random.default_rng(4)
    experiment = np.repeat(np.arange(200), 4)
    level, effect = 3 * rng.standard_normal(200)[experiment], rng.standard_normal(800)
    noise = np.full(800, 0.2)
    true = level + effect + np.sqrt(noise) * rng.standard_normal(800)
    members = [Predictions(value=level + 0.1 * rng.standard_normal(800)), Predictions(value=effect)]
    known = ExperimentArrays(experiment=experiment, noise=noise, exposure=np.ones(800))
    assert fit_weights(members, true).members[0] > 0.9
    found = fit_weights(members, true, known)
    assert found.members[0] < 0.1
    assert found.members[1] == pytest.approx(1.0, abs=0.1)
    said = held_out_predictions(members, true, known).main
    assert said.mean() == pytest.approx(true.mean(), abs=0.05)
    away = said - said[::4].repeat(4)
    assert np.corrcoef(away, effect - effect[::4].repeat(4))[0, 1] > 0.98


def test_truths_are_centred_and_weighed_by_their_noise() -> None:
    known = ExperimentArrays(
        experiment=np.array([0, 0, 1, 1, 1, -1]),
        noise=np.array([0.1, 0.3, 0.1, 0.1, 0.1, 0.1]),
        exposure=np.full(6, 1000.0),
    )
    scores = np.array([1.0, 2.0, 5.0, 6.0, 8.0, 3.0])
    between = between_variance(scores, known)
    within = within_truth(scores, known)
    weights = 1 / (known.noise + between)
    np.testing.assert_allclose(within.weights, weights / weights.mean())
    for some in ([0, 1], [2, 3, 4], [5]):
        level = (weights[some] * within.truth[some]).sum() / weights[some].sum()
        assert level == pytest.approx(scores.mean())


def test_the_only_variant_of_an_experiment_counts_nothing() -> None:
    experiment = np.array([0, 0, 1, -1, 2, 2])
    known = ExperimentArrays(experiment=experiment, noise=np.full(6, 0.1), exposure=np.full(6, 1000.0))
    within = within_truth(np.array([1.0, 2.0, 30.0, 4.0, 5.0, 7.0]), known)
    assert within.weights[2] == 0.0
    assert within.weights.mean() == pytest.approx(1.0)
    assert (within.weights[experiment != 1] > 0).all()


def test_the_variance_between_variants_is_what_noise_leaves() -> None:
    rng = np.random.default_rng(2)
    experiment = np.repeat(np.arange(4_000), 3)
    noise = rng.uniform(0.05, 0.4, len(experiment))
    scores = 9 * rng.standard_normal(4_000)[experiment] + np.sqrt(noise + 0.2) * rng.standard_normal(len(experiment))
    known = ExperimentArrays(experiment=experiment, noise=noise, exposure=np.ones(len(experiment)))
    assert between_variance(scores, known) == pytest.approx(0.2, rel=0.06)
