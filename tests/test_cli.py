"""The seven commands as a user gives them: what they write, print, and refuse."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset
from engage_cli.evaluation.baselines import BASELINES
from engage_cli.features.table import load_table
from engage_cli.metrics.metrics import CLASS_METRICS, VALUE_METRICS
from tests import forked
from tests.calls import answer, engage

SURENESS_FILES = {"calibration.json", "neighbours.parquet", "neighbours.safetensors"}
NEURAL_FILES = {
    "run.json", "target.json", "history.jsonl", "model.safetensors", "metrics.json", "plots/loss.png", *SURENESS_FILES,
}  # fmt: skip
REGRESSOR_FILES = {*NEURAL_FILES, "plots/r2.png"}
CLASSIFIER_FILES = {*NEURAL_FILES, "plots/kappa.png", "plots/accuracy.png"}
NUMBERS_FILES = {"features.json", "features.npz"}  # the score of words, which is among the numbers that a network reads
CATBOOST_FILES = {
    "run.json",
    "target.json",
    "features.json",
    "features.npz",
    "model.cbm",
    "history.jsonl",
    "importance.csv",
    "plots/importance.png",
    "plots/shap.png",
    "metrics.json",
    *SURENESS_FILES,
}


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("run", "files"),
    [
        ("regressor", REGRESSOR_FILES | NUMBERS_FILES),
        ("classifier", CLASSIFIER_FILES | NUMBERS_FILES),
        ("catboost", CATBOOST_FILES),
        ("catboost-value", CATBOOST_FILES),
        (
            "gp",
            {
                "run.json",
                "target.json",
                "process.json",
                "process.safetensors",
                "posterior.safetensors",
                "metrics.json",
                *SURENESS_FILES,
            },
        ),
    ],
)
def test_run_folders_hold_exactly_these_files(world: Path, run: str, files: set[str]) -> None:
    assert files_in(world / "runs" / run) == files
    metrics = json.loads((world / "runs" / run / "metrics.json").read_text())
    assert metrics["split"] == "validation"
    assert ("optimistic" in metrics["note"]) == (run != "gp")
    assert metrics["leaky"] is False


def test_evaluate_json(world: Path) -> None:
    runs = sorted((world / "runs").glob("[!.]*"))
    found = answer("evaluate", *runs, "--data", world / "data", "--resamples", 20, "--no-report")
    assert found["written"] == []
    assert found["split"] == "test"
    assert [score["run"] for score in found["runs"]] == [str(run) for run in runs]
    assert {score["run"] for score in found["baselines"]} == {name for table in BASELINES.values() for name in table}
    assert found["note"] is None
    sureness = {"coverage_80", "width_80", "coverage_95", "width_95"}
    for score in (*found["runs"], *found["baselines"]):
        is_value, is_run = score["kind"] == "value", score in found["runs"]
        more = {*(["pair_ece"] if is_run else []), *(sureness if is_value else ())}
        assert set(score["metrics"]) == {*(VALUE_METRICS if is_value else CLASS_METRICS), *more}
        known = {name for name in sureness & set(score["metrics"]) if score["metrics"][name]["value"] is not None}
        # 15 validation posts do not support 95; a baseline has no intervals
        assert known == ({"coverage_80", "width_80"} if is_run and is_value else set())
        assert {one["by"] for one in score["slices"]} == ({"prediction"} if is_run else set())
        for metric in score["metrics"].values():
            assert set(metric) == {"value", "low", "high"}
        assert score["rows"] > 0


def test_evaluate_table_names_runs_and_baselines(world: Path) -> None:
    call = ["evaluate", world / "runs" / "catboost-value", "--data", world / "data", "--resamples", 20, "--no-report"]
    result = engage(*call, "--by", "tag")
    assert result.exit_code == 0
    for word in (
        "views as value",
        "constant",
        "tf-idf",
        "r2",
        "How sure it is",
        "by tag",
        "Baselines were fitted on the same training posts",
    ):
        assert word in result.stdout
    assert "evaluating" in result.stderr


@pytest.mark.parametrize("run", ["regressor", "classifier", "catboost", "catboost-value", "gp"])
def test_predict_json(world: Path, pixelrec: Path, run: str) -> None:
    image = pixelrec / "cover" / "i5.jpg"
    found = answer("predict", image, "--title", "the best pizza", "--run", world / "runs" / run)
    (post,) = found["posts"]
    assert post["image"] == str(image)
    assert 0 <= post["percentile"] <= 100
    assert post["class"] in ("Very Low", "Low", "Medium", "High", "Very High")
    assert post["leaky"] is False
    if found["kind"] == "classes":
        assert sum(post["probabilities"].values()) == pytest.approx(1.0)
    else:
        assert post["count"] == pytest.approx(max(0.0, np.expm1(post["value"])))


@pytest.mark.parametrize("run", ["regressor", "classifier", "catboost", "gp"])
def test_predict_equals_evaluate_on_the_same_post(world: Path, run: str) -> None:
    """One post through the live encoders gives what the store gave."""
    from engage_cli.config.general import EncoderConfig
    from engage_cli.data.dataset import load_dataset
    from engage_cli.models.predictor import load_predictor
    from engage_cli.progress.reporters import SilentReporter
    from engage_cli.runs.run_folder import load_run
    from engage_cli.steps.inputs.sources import encoder_config, source_of
    from engage_cli.steps.predict import Details, predict
    from engage_cli.uncertainty.forecast import load_uncertainty

    data, opened = load_dataset(world / "data"), load_run(world / "runs" / run)
    assert isinstance(encoder_config(opened), EncoderConfig)
    row = data.posts[(data.posts["image_problem"] == "") & (data.posts["title"] != "")].iloc[[4]]
    stored = load_predictor(opened).predict(row, source_of(opened, data, SilentReporter()))
    post = row.iloc[0]
    live = predict(
        [data.images_of("pixelrec") / post["image"]],
        titles=[post["title"]],
        details=Details(tags=post["tags"], description=post["description"]),
        run=opened.folder,
    )
    if opened.kind == "value":
        assert live.forecast.value[0] == pytest.approx(stored.value[0], abs=1e-4)
    else:
        said = load_uncertainty(opened).forecast(stored).probabilities
        assert live.forecast.probabilities[0].tolist() == pytest.approx(said[0].tolist(), abs=1e-4)


def test_no_counter_can_change_a_prediction(world: Path) -> None:
    """The promise: what is known only after publication reaches no model."""
    from engage_cli.data.dataset import load_dataset
    from engage_cli.data.schema import COUNTERS, EXTRA_COUNTERS
    from engage_cli.models.predictor import load_predictor
    from engage_cli.progress.reporters import SilentReporter
    from engage_cli.runs.run_folder import load_run
    from engage_cli.steps.inputs.sources import source_of

    data = load_dataset(world / "data")
    counters = [column for column in (*COUNTERS, *EXTRA_COUNTERS) if column in data.posts]
    shuffled = data.posts.assign(**{c: data.posts[c].sample(frac=1, random_state=1).to_numpy() for c in counters})
    for run in ("regressor", "classifier", "catboost", "gp"):
        opened = load_run(world / "runs" / run)
        source = source_of(opened, data, SilentReporter())
        before, after = (load_predictor(opened).predict(posts, source) for posts in (data.posts, shuffled))
        for field in ("value", "probabilities"):
            np.testing.assert_array_equal(getattr(before, field), getattr(after, field))


def test_predict_words(world: Path, pixelrec: Path) -> None:
    result = engage("predict", pixelrec / "cover" / "i5.jpg", "--title", "a cat", "--runs", world / "runs")
    assert result.exit_code == 0
    assert "run: " in result.stderr
    assert re.search(r"better than \d+ % of the \d+ posts the model was trained on", result.stdout)
    assert "level:" in result.stdout


def test_missing_features_are_made_on_the_way_and_said(world: Path, checkpoints: dict[str, str], tmp_path: Path) -> None:
    arguments = ["--data", world / "data", "--vision", checkpoints["clip"], "--text", checkpoints["clip"]]
    result = engage("train-catboost", *arguments, "--iterations", 3, "--run", tmp_path / "clip")
    assert result.exit_code == 0, result.stderr
    assert "embedding them first" in result.stderr
    names = load_table((tmp_path / "clip").joinpath).names
    assert "image_text_cosine" in names  # the two sides share a space
    assert not {"views", "likes", "comments", "shares", "favorites"} & set(names)


def test_table_source_with_map(tmp_path: Path, pixelrec: Path, encoders: EncoderConfig) -> None:
    rows = [f"i{n},{1000 + 37 * n},title number {n},2021-01-{n % 28 + 1:02d}" for n in range(60)]
    (tmp_path / "posts.csv").write_text("key,plays,title,day\n" + "\n".join(rows) + "\n")
    source = [
        "--table",
        tmp_path / "posts.csv",
        "--images-dir",
        pixelrec / "cover",
        "--map",
        "id=key,views=plays,posted_at=day",
    ]
    found = answer("prepare", *source, "--data", tmp_path / "data")
    assert found["split"]["method"] == "time"
    assert found["sources"]["posts.csv"]["columns"] == {"id": "key", "title": "title", "posted_at": "day", "views": "plays"}
    assert list(found["targets"]) == ["composite", "views"]
    common = [
        "--data",
        tmp_path / "data",
        "--vision",
        encoders.vision,
        "--text",
        encoders.text,
        "--runs",
        tmp_path / "runs",
    ]
    answer("train-regressor", *common, "--target", "views", "--epochs", 2)
    result = engage("train-regressor", *common, "--target", "engagement")
    assert result.exit_code == 1
    assert "has no target 'engagement': engagement needs likes" in result.stderr


def test_targets_fitted_on_all_rows_are_marked(tmp_path: Path, pixelrec: Path) -> None:
    ours = answer("prepare", "--pixelrec-dir", pixelrec, "--data", tmp_path / "ours")
    study = answer("prepare", "--pixelrec-dir", pixelrec, "--data", tmp_path / "study", "--fit-target-on", "all")
    assert ours["targets"]["views"]["num_rows"] == ours["split"]["rows"]["train"]
    assert study["targets"]["views"]["num_rows"] == ours["rows"]["kept"]
    assert not ours["marks"]
    assert any("fitted on all rows" in mark for mark in study["marks"])


def test_a_run_on_other_data_is_refused(world: Path, pixelrec: Path, tmp_path: Path) -> None:
    answer("prepare", "--pixelrec-dir", pixelrec, "--data", tmp_path / "other", "--seed", 9)
    result = engage("evaluate", world / "runs" / "regressor", "--data", tmp_path / "other")
    assert result.exit_code == 1
    assert "was trained on other data" in result.stderr


def test_prepare_counts_what_it_leaves_out(tmp_path: Path) -> None:
    rows = "".join(f"p{n},{n + 1},t{n}\n" for n in range(40))
    table = tmp_path / "posts.csv"
    table.write_text(f"id,views,title\n{rows}p3,4,t3\nlost,n/a,t\nmute,5,\n")
    found = answer("prepare", "--table", table, "--no-images", "--data", tmp_path / "data")
    assert found["rows"] == {
        "read": 43,
        "kept": 40,
        "left_out": {"the same row again": 1, "every counter missing": 1, "no image and no text": 1},
    }
    table.write_text(f"id,views,title\n{rows}p3,999,t3\n")
    result = engage("prepare", "--table", table, "--no-images", "--data", tmp_path / "data2")
    assert "'p3' (rows 4 and 41)" in result.stderr
    assert not (tmp_path / "data2").exists()


def killed_in_training(*arguments: str) -> None:
    """Of a checkpoint after every step three are saved; it dies over the fourth."""
    from engage_cli.models.neural.training import loop
    from engage_cli.models.neural.training.checkpoints import Checkpoints
    from engage_cli.steps.train import _cross_fit

    loop.SECONDS_BETWEEN_CHECKPOINTS, loop.CHECKPOINT_SHARE = 0, 1e9
    _cross_fit.ENOUGH_VALIDATION = 0  # as in this process: the posts are few, and each fold would be trained beside
    original, saves = Checkpoints.save, iter(range(1, 100))

    def save(self: Checkpoints, *given: object) -> None:
        if next(saves) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, *given)

    Checkpoints.save = save  # type: ignore[method-assign]
    forked.command(*arguments)


def test_kill_minus_9_in_training_and_the_same_command_again(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path
) -> None:
    common = ["--data", dataset.folder, "--vision", encoders.vision, "--text", encoders.text, "--patience", "0"]
    arguments = [str(a) for a in ("train-regressor", *common, "--epochs", 6, "--width", 64, "--json")]
    whole = answer(*arguments[:-1], "--run", tmp_path / "whole")
    assert forked.run(killed_in_training, *arguments, "--runs", tmp_path / "runs").returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("runs/*/resume.safetensors"))) == 1
    (killed,) = tmp_path.glob("runs/*/run.json")
    assert not (killed.parent / "metrics.json").exists()
    done = engage(*arguments, "--runs", tmp_path / "runs")
    assert done.exit_code == 0, done.stderr
    assert "continuing after epoch" in done.stderr
    again = json.loads(done.stdout)
    assert again["run"] == str(killed.parent)
    assert again["metrics"] == whole["metrics"]
    assert files_in(killed.parent) == REGRESSOR_FILES | NUMBERS_FILES
    for name in ("model.safetensors", "history.jsonl"):
        assert (killed.parent / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
