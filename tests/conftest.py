"""One tiny world for the whole suite: checkpoints, a sample, and a data folder made from it."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial

os.environ["HF_HUB_OFFLINE"] = "1"
# Before torch is loaded: else idle threads of the encoders spin after their work, which is two thirds of all time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if not os.environ.get("ENGAGE_TEST_GPU"):  # set by `make test-gpu`; all other tests are of the processor
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

from pathlib import Path
from typing import BinaryIO

import hypothesis
import pytest
import torch
from filelock import FileLock
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.sample import write_sample
from tests import forked
from tests.calls import answer
from tests.tiny import FAMILIES, make_checkpoint

torch.set_num_threads(1)
# What a property test checks is no matter of time, and this machine may be busy.
hypothesis.settings.register_profile(
    "engage", max_examples=50, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("engage")
gc.set_threshold(100_000, 50, 100)  # torch and its like are a million objects, all of which every full collection looks at


def pytest_collection_finish() -> None:
    gc.freeze()  # pytest collects five times over at its end
    forked.start()


class Shared:
    """Folders that all workers of pytest-xdist read, each made by the one that needs it first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        done = self.root / f"{name}.done"
        with FileLock(self.root / f"{name}.lock"):
            if not done.exists():
                make(self.root / name)
                done.touch()
        return self.root / name


@pytest.fixture(autouse=True, scope="session")
def _no_cross_fitting() -> Iterator[None]:
    """The posts of this suite are few, and each training would be done six times: tests/test_cross_fit.py asks for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engage_cli.steps.train._cross_fit.ENOUGH_VALIDATION", 0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_pixels() -> Iterator[None]:
    """Figures are made and not rendered, which is a tenth of all time: tests that look at pixels ask for `pixels`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engage_cli.plots._style.FigureCanvasAgg", OnePixel)
        yield


class OnePixel:
    """A canvas that writes one white pixel, whatever the figure."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def print_png(self, out: BinaryIO, **options: object) -> None:
        Image.new("RGB", (1, 1), "white").save(out, "PNG")


@pytest.fixture
def pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.plots._style.FigureCanvasAgg", FigureCanvasAgg)


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian processes that hardly learn: where what they learn is not asked for."""
    monkeypatch.setattr("engage_cli.models.gaussian_process.process.NUM_STEPS", 10)


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the trees of `engage train`."""
    monkeypatch.setattr("engage_cli.steps.train.pipeline.CatBoostConfig", partial(CatBoostConfig, iterations=20))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    root = tmp_path_factory.getbasetemp()
    return Shared((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "shared")


@pytest.fixture(scope="session")
def checkpoints(shared: Shared) -> dict[str, str]:
    """Family -> folder of a tiny checkpoint of its real class."""

    def make(root: Path) -> None:
        for family in FAMILIES:
            make_checkpoint(family, root / family)

    root = shared.folder("checkpoints", make)
    return {family: str(root / family) for family in FAMILIES}


@pytest.fixture(scope="session")
def pixelrec(shared: Shared) -> Path:
    return shared.folder("sample", lambda root: write_sample(root / "pixelrec", rows=150, seed=3)) / "pixelrec"


@pytest.fixture(scope="session")
def dataset(pixelrec: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """150 synthetic posts, prepared; tests that embed share its store."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    return prepare(PrepareConfig(), folder=folder, sources=[Source(path=pixelrec, format="pixelrec")]).dataset


@pytest.fixture(scope="session")
def encoders(checkpoints: dict[str, str]) -> EncoderConfig:
    return EncoderConfig(vision=checkpoints["vit"], text=checkpoints["bert"])


@pytest.fixture(scope="session")
def world(shared: Shared, pixelrec: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all commands ran: data, and one run of each trainer."""
    found = shared.folder("world", lambda root: make_world(root, pixelrec, encoders))
    return shutil.copytree(found, tmp_path_factory.mktemp("world") / "world")  # a worker may write into its own


def make_world(root: Path, pixelrec: Path, encoders: EncoderConfig) -> None:
    common = ["--data", root / "data", "--vision", encoders.vision, "--text", encoders.text]
    answer("prepare", "--pixelrec-dir", pixelrec, "--data", root / "data")
    answer("embed", *common)
    trainings = [
        ("train-regressor", root / "runs" / "regressor", ["--epochs", 6]),
        ("train-classifier", root / "runs" / "classifier", ["--epochs", 6]),
        ("train-catboost", root / "runs" / "catboost", ["--iterations", 30]),
        ("train-catboost", root / "runs" / "catboost-value", ["--iterations", 30, "--as", "value", "--target", "views"]),
        ("train-gp", root / "runs" / "gp", ["--target", "views"]),
    ]
    for command, run, more in trainings:
        found = answer(command, *common, "--run", run, *more)
        assert found["run"] == str(run)
