"""`engage train`: the default pipeline, killed and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import CatBoostConfig, EnsembleConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train import pipeline as step
from engage_cli.steps.train.catboost import train_catboost
from engage_cli.steps.train.training import TrainSummary
from tests.calls import answer, engage


def few_trees(config: EnsembleConfig, **how: Any) -> TrainSummary:
    few = CatBoostConfig(
        target=config.target, kind=config.kind, vision=config.vision, text=config.text, seed=config.seed, iterations=20
    )
    return train_catboost(few, **how)


@pytest.fixture(scope="module", params=["value", "classes"])
def trained(
    request: pytest.FixtureRequest, world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("ensemble") / "run"
    names = ["--vision", encoders.vision, "--text", encoders.text]
    more = ["--members", "gp,neural" if request.param == "value" else "gp,catboost"]  # two keep the test short
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(step.TRAINERS, "catboost", few_trees)
        patch.setattr("engage_cli.models.gaussian_process.process.NUM_STEPS", 10)
        found = answer(
            "train", "--data", world / "data", "--target", "views", "--as", request.param, *names, *more, "--run", run
        )
    assert found["run"] == str(run)
    assert found["split"] == "validation"
    assert sum(found["weights"].values()) > 0
    assert set(found["members"]) == set(found["weights"])
    assert all(set(scores) == set(found["metrics"]) for scores in found["members"].values())
    return run


def test_the_run_predicts_what_its_weighed_members_do(trained: Path, world: Path) -> None:
    run, data = load_run(trained), load_dataset(world / "data")
    posts = data.posts.iloc[data.rows("test", run.target)]
    found = load_predictor(run).predict(posts, source_of(run, data, SilentReporter())).main
    saved = json.loads((trained / "ensemble.json").read_text())
    said = [load_predictor(one).predict(posts, source_of(one, data, SilentReporter())).main for one in members_of(run)]
    weights = [saved["weights"][name] for name in run.meta.members]
    if run.kind == "value":
        expected = sum(weight * one for weight, one in zip(weights, said, strict=True)) + saved["offset"]
    else:
        edges = [ndtri(np.clip(one.cumsum(axis=1)[:, :4], 1e-4, 1 - 1e-4)) for one in said]
        below = ndtr(sum(weight * one for weight, one in zip(weights, edges, strict=True)))
        expected = np.diff(below, axis=1, prepend=0.0, append=1.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_other_commands_take_it(trained: Path, world: Path, pixelrec: Path) -> None:
    (score,) = answer("evaluate", trained, "--data", world / "data", "--resamples", 5, "--no-report")["runs"]
    assert score["run"] == str(trained)
    (post,) = answer("predict", pixelrec / "cover" / "i5.jpg", "--title", "a cat", "--run", trained)["posts"]
    assert 0 <= post["percentile"] <= 100
    again = engage("train", "--data", world / "data", "--target", "views", "--run", trained)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "is a finished run; name a new folder" in again.stderr


@pytest.mark.usefixtures("few_steps")
def test_a_killed_training_goes_on_with_the_member_where_it_was(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EnsembleConfig(target="views", members="gp,neural", vision=encoders.vision, text=encoders.text)
    data, run = load_dataset(world / "data"), tmp_path / "run"

    def killed(config: EnsembleConfig, **how: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(step.TRAINERS, "neural", killed)  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            step.train_ensemble(config, dataset=data, encoders=encoders, run=run)
    first = (run / "members" / "gp" / MARKER).stat().st_mtime_ns
    with pytest.raises(EngageError, match=r"did not finish; give its `engage train` command again"):
        load_run(run)
    summary = step.train_ensemble(config, dataset=data, encoders=encoders, run=run)
    assert summary.went_on
    assert (run / "members" / "gp" / MARKER).stat().st_mtime_ns == first
    assert set(summary.run.done.weights) == {"gp", "neural"}


def test_it_is_for_one_process(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage_cli.steps.train.training.get_world_size", lambda: 2)
    with pytest.raises(WrongCallError, match="under torchrun use train-regressor or train-classifier"):
        step.train_ensemble(EnsembleConfig(), dataset=load_dataset(world / "data"), encoders=encoders, run=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--members", "gp,magic"], "unknown --members 'magic'; give one of: gp, catboost, neural"),
        (["--members", "gp"], "--members names two or more different models"),
        (["--members", "gp,gp"], "--members names two or more different models"),
        (["--as", "both"], "unknown --as 'both'; give one of: value, classes"),
        (["--resize", "round"], "unknown --resize 'round'; give one of: native, squash"),
    ],
)
def test_wrong_calls(options: list[str], sentence: str, world: Path, tmp_path: Path) -> None:
    shown = engage("train", "--data", world / "data", "--target", "views", *options, "--run", tmp_path / "run")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert sentence in shown.stderr
    assert not (tmp_path / "run").exists()
