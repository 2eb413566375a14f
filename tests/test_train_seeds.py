"""`--recipe seeds3` and `--seeds`: models that differ by their seed alone, and their mean."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import resolve
from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train import seeds as step
from tests.calls import answer, engage

COMMANDS = {"value": "train-regressor", "classes": "train-classifier"}


@pytest.fixture(scope="module", params=COMMANDS)
def trained(
    request: pytest.FixtureRequest, world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("seeds") / "run"
    names = ["--vision", encoders.vision, "--text", encoders.text]
    data = ["--data", world / "data", "--target", "views"]
    found = answer(COMMANDS[request.param], "--recipe", "seeds3", *data, *names, "--seed", 4, "--epochs", 2, "--run", run)
    assert (found["kind"], found["weights"]) == (request.param, dict.fromkeys(("seed-4", "seed-5", "seed-6"), 1 / 3))
    return run


def test_the_mean_of_models_of_different_seeds_is_predicted(trained: Path, world: Path) -> None:
    run, data = load_run(trained), load_dataset(world / "data")
    posts = data.posts.iloc[data.rows("test", run.target)]
    said = [load_predictor(one).predict(posts, source_of(one, data, SilentReporter())).main for one in members_of(run)]
    found = load_predictor(run).predict(posts, source_of(run, data, SilentReporter())).main
    if run.kind == "value":
        expected = np.mean(said, axis=0)
    else:
        scores = [ndtri(np.clip(one.cumsum(axis=1)[:, :4], 1e-4, 1 - 1e-4)) for one in said]
        expected = np.diff(ndtr(np.mean(scores, axis=0)), axis=1, prepend=0.0, append=1.0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(said[0], said[1])
    assert [one.meta.config["seed"] for one in members_of(run)] == [4, 5, 6]
    assert {one.meta.config["seeds"] for one in members_of(run)} == {1}
    assert all(not {"seed", "seeds"} & set(one.meta.given) for one in members_of(run))
    assert (run.meta.recipe, run.meta.given["epochs"]) == ("seeds3", 2)


def test_a_member_is_what_one_seed_alone_gives(trained: Path, world: Path, tmp_path: Path) -> None:
    run = load_run(trained)
    names = ["--vision", run.meta.config["vision"], "--text", run.meta.config["text"], "--recipe", "frozen"]
    data = ["--data", world / "data", "--target", "views"]
    alone = answer(COMMANDS[run.kind], *data, *names, "--seed", 5, "--epochs", 2, "--run", tmp_path / "one")
    assert load_run(trained / "members" / "seed-5").done.metrics == pytest.approx(alone["metrics"], abs=1e-5)


def test_other_commands_take_it(trained: Path, world: Path, pixelrec: Path) -> None:
    (score,) = answer("evaluate", trained, "--data", world / "data", "--resamples", 5, "--no-report")["runs"]
    assert score["run"] == str(trained)
    (post,) = answer("predict", pixelrec / "cover" / "i5.jpg", "--title", "a cat", "--run", trained)["posts"]
    assert 0 <= post["percentile"] <= 100


def test_a_killed_training_goes_on_with_the_seed_where_it_was(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"target": "views", "vision": encoders.vision, "text": encoders.text, "epochs": 1, "seeds": 2}
    resolved = resolve("value", "frozen", names, has_gpu=False)
    how = {"dataset": load_dataset(world / "data"), "encoders": encoders}
    run, train = tmp_path / "run", step.train_neural

    def killed(resolved: object, **more: object) -> object:
        if resolved.config.seed == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return train(resolved, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(step, "train_neural", killed)
        with pytest.raises(KeyboardInterrupt):
            step.train_seeds(resolved, run=run, **how)
    first = (run / "members" / "seed-0" / MARKER).stat().st_mtime_ns
    with pytest.raises(EngageError, match=r"did not finish; give its `engage train-regressor` command again"):
        load_run(run)
    summary = step.train_seeds(resolved, run=run, **how)
    assert summary.went_on
    assert (run / "members" / "seed-0" / MARKER).stat().st_mtime_ns == first
    assert json.loads((run / "ensemble.json").read_text())["weights"] == {"seed-0": 0.5, "seed-1": 0.5}


def test_it_is_for_one_process(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "get_world_size", lambda: 2)
    how = {"dataset": load_dataset(world / "data"), "encoders": encoders}
    with pytest.raises(WrongCallError, match="3 seeds are trained in one process; under torchrun give --seeds 1"):
        step.train_seeds(resolve("value", "seeds3", {}, has_gpu=False), run=tmp_path / "run", **how)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--text", "nowhere/at-all"], "nowhere/at-all"),
        (["--flip"], "--flip is for encoders that are trained; give --finetune too"),
        (["--seeds", "0"], "--seeds"),
        (["--seed", str(2**32 - 1)], "--seed 4294967295 and the 2 after it: a seed is at most 4294967295"),
        (["--finetune", "none", "--lr", "1e38", "--clip-norm", "0"], "with a smaller --learning-rate than 1e+38"),
    ],
)
def test_what_is_refused_leaves_nothing(
    options: list[str], sentence: str, world: Path, encoders: EncoderConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    data = ["--data", world / "data", "--target", "views", "--vision", encoders.vision, "--text", encoders.text]
    shown = engage("train-regressor", "--recipe", "seeds3", *data, *options, "--run", run)
    assert shown.exit_code in (1, 2)
    assert sentence in shown.stderr
    assert not run.exists()


def test_the_best_recipe_is_the_stored_one_but_for_what_it_names() -> None:
    for kind in COMMANDS:
        best, stored = (resolve(kind, recipe, {}, has_gpu=True).config for recipe in ("seeds3", "frozen"))
        assert dataclasses.replace(best, seeds=1) == stored
        assert best.seeds == 3
