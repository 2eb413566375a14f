"""Calls that are wrong: one sentence, the right exit code, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from tests.calls import answer, engage

WRONG = [
    (["prepare"], 2, "name a source"),
    (["prepare", "--pixelrec-dir", "nowhere"], 1, "no such folder: nowhere"),
    (["prepare", "--table", "nowhere.csv"], 1, "no such table: nowhere.csv"),
    (
        ["prepare", "--table", "nowhere.csv", "--map", "views"],
        2,
        "'views': expected NAME=VALUE, for example --map views=view_count",
    ),
    (
        ["prepare", "--pixelrec-dir", "x", "--split", "fair"],
        2,
        "unknown split 'fair'; give one of: random, time, author, file",
    ),
    (["prepare", "--pixelrec-dir", "x", "--fractions", "1/2"], 2, "sum to 100"),
    (["embed"], 1, "create it with `engage prepare`, or name another with --data"),
    (["train-regressor"], 1, "create it with `engage prepare`, or name another with --data"),
    (["train-regressor", "--fusion", "soup"], 2, "unknown fusion 'soup'; give one of: concat, attention, gated, study"),
    (["train-classifier", "--objective", "hybrid"], 2, "unknown objective 'hybrid'; give one of: cross-entropy, ordinal"),
    (["evaluate", "nowhere"], 1, "create it with `engage prepare`, or name another with --data"),
    (["predict", "nowhere.jpg"], 1, "nowhere.jpg: no such file"),
    (["predict", "text.jpg"], 1, "text.jpg: not an image"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_calls(
    arguments: list[str], code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("no image")
    result = engage(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"text.jpg"}


def test_names_that_do_not_exist(world: Path, encoders: EncoderConfig) -> None:
    data = ["--data", world / "data"]
    for arguments, sentence in (
        (["train-regressor", *data, "--target", "fame"], "unknown target 'fame'; give one of: popularity"),
        (["embed", *data, "--vision", "eye"], "unknown vision encoder 'eye'; give one of: dinov2-small"),
        (["embed", *data, "--vision", "google/vit-base-patch16-224"], "the hub cannot be reached"),
        (["train-regressor", *data, "--blocks", "image,sound"], "each once: image, title, context, text"),
        (["train-regressor", *data, "--precision", "fp8"], "unknown --precision 'fp8'; give one of: fp32, bf16, fp16"),
        (
            ["train-regressor", *data, "--finetune", "half"],
            "unknown --finetune 'half'; give one of: none, top:N, lora, full",
        ),
        (
            ["train-regressor", *data, "--finetune", "top:0"],
            "unknown --finetune 'top:0'; give one of: none, top:N, lora, full",
        ),
        (
            ["train-regressor", *data, "--recipe", "mine"],
            "unknown --recipe 'mine'; give one of: frozen, seeds3, finetune, study",
        ),
        (["train-regressor", *data, "--flip"], "--flip is for encoders that are trained; give --finetune too"),
        (["train-regressor", *data, "--schedule", "step"], "unknown --schedule 'step'; give one of: cosine, constant"),
        (
            [
                "train-regressor",
                *data,
                "--fusion",
                "stack",
                "--width",
                30,
                "--vision",
                encoders.vision,
                "--text",
                encoders.text,
            ],
            "--heads 4 does not divide --width 30",
        ),
        (["train-classifier", *data, "--class-weights", "x"], "unknown --class-weights 'x'; give one of: none, balanced"),
        (["prepare", *data, "--pixelrec-dir", "x"], "is a finished data folder; give --overwrite"),
        (["evaluate", *data, world / "runs"], "is not a run folder"),
    ):
        result = engage(*arguments)
        assert result.exit_code in (1, 2), result.stdout
        assert sentence in result.stderr


def test_labels_that_never_differ_are_refused(tmp_path: Path, encoders: EncoderConfig) -> None:
    pd.DataFrame({"id": range(30), "views": 7, "title": [f"cat {n}" for n in range(30)]}).to_csv(tmp_path / "p.csv")
    answer("prepare", "--table", tmp_path / "p.csv", "--no-images", "--data", tmp_path / "data")
    common = ["--data", tmp_path / "data", "--vision", encoders.vision, "--text", encoders.text]
    for command in ("train-catboost", "train-regressor", "train-classifier"):
        result = engage(command, *common, "--target", "views", "--runs", tmp_path / "runs")
        assert result.exit_code == 1
        assert "there is nothing to learn" in result.stderr
    assert not list((tmp_path / "runs").glob("*/metrics.json"))


def test_blocks_that_no_post_has(tmp_path: Path, encoders: EncoderConfig) -> None:
    rows = "".join(f"p{n},{n},title {n}\n" for n in range(40))
    (tmp_path / "posts.csv").write_text(f"id,views,title\n{rows}")
    answer("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data")
    common = ["--data", tmp_path / "data", "--vision", encoders.vision, "--text", encoders.text, "--target", "views"]
    result = engage("train-regressor", *common, "--blocks", "image,context", "--runs", tmp_path / "runs")
    assert result.exit_code == 1
    assert "no training post has image or context" in result.stderr
    assert not (tmp_path / "runs").exists()
    result = engage("train-regressor", *common, "--epochs", 2, "--runs", tmp_path / "runs")
    assert result.exit_code == 0
    assert "no training post has image or context: the model learns without" in result.stderr
