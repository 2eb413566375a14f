"""Train one tiny run of each model and keep what it predicts, for tests/test_frozen.py to compare with.

From the root, `python -m tests.frozen.make` writes predictions.json again: only after a change that is meant to.
"""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path

import pytest
import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.sample import write_sample
from tests.calls import answer
from tests.conftest import make_world
from tests.tiny import make_checkpoint

FILE = Path(__file__).with_name("predictions.json")
NUM_POSTS = 8
OF_THE_WORLD = ("regressor", "classifier", "catboost", "catboost-value", "gp")  # tests/conftest.py trains them
MORE = {
    "gp-classes": ["train-gp", "--as", "classes"],
    "finetuned": ["train-regressor", "--finetune", "top:1", "--width", 16, "--epochs", 1],
    "seeds": ["train-classifier", "--seeds", 2, "--epochs", 1],
}
ENSEMBLE = "ensemble"  # of two runs of the world
RUNS = (*OF_THE_WORLD, *MORE, ENSEMBLE)


def machine() -> dict[str, str]:
    """Return what decides about the last digits of a prediction."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def train_more(world: Path, runs: Path, encoders: EncoderConfig) -> None:
    """Train what the suite's world lacks."""
    data = ["--data", world / "data"]
    for name, (command, *options) in MORE.items():
        names = ["--target", "views", "--vision", encoders.vision, "--text", encoders.text]
        answer(command, *data, *names, *options, "--run", runs / name)
    members = [world / "runs" / name for name in ("gp", "catboost-value")]
    answer("evaluate", *members, *data, "--ensemble", "--run", runs / ENSEMBLE, "--resamples", 0, "--no-report")


def predictions_of(run: Path, dataset: Dataset) -> list[list[float]]:
    """Return what a run says of the first test posts: a value, or five probabilities, of each."""
    opened = load_run(run)
    posts = dataset.posts.iloc[dataset.rows("test", opened.target)[:NUM_POSTS]]
    found = load_predictor(opened).predict(posts, source_of(opened, dataset, SilentReporter())).main
    return [[float(number) for number in row] for row in found.reshape(len(posts), -1)]


def make(root: Path) -> None:
    checkpoints = {family: str(make_checkpoint(family, root / family)) for family in ("vit", "bert")}
    encoders = EncoderConfig(vision=checkpoints["vit"], text=checkpoints["bert"])
    write_sample(root / "pixelrec", rows=150, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engage_cli.steps.train._cross_fit.ENOUGH_VALIDATION", 0)
        make_world(root, root / "pixelrec", encoders)
        train_more(root, root / "runs", encoders)
    dataset = load_dataset(root / "data")
    found = {name: predictions_of(root / "runs" / name, dataset) for name in RUNS}
    FILE.write_text(json.dumps({"machine": machine(), "predictions": found}, indent=1) + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
