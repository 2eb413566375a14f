"""What only a GPU shows. `make test-gpu` runs these where there is one; elsewhere they are skipped."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engage_cli.config.training import TrainConfig
from engage_cli.models.boosting import fit as boosting
from engage_cli.models.gaussian_process.process import fit_process
from engage_cli.models.neural.model import EngagementModel
from engage_cli.models.neural.objectives import OBJECTIVES
from engage_cli.models.neural.training._prefetch import prefetch
from engage_cli.models.neural.training._validation import outputs_of
from engage_cli.models.neural.training.batches import Cut, StoredBatches
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.state import Progress
from engage_cli.models.neural.training.task import Task
from engage_cli.plots.training_log import HistoryLog
from engage_cli.progress.reporters import SilentReporter
from tests.calls import answer, engage
from tests.test_catboost import VALUES, train
from tests.test_gaussian_process import make_views
from tests.test_training import BLOCKS, DIMS, SCORES, SMALL, TARGET

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def train_on(device: torch.device, config: TrainConfig, folder: Path) -> tuple[Progress, EngagementModel]:
    torch.manual_seed(0)
    objective = OBJECTIVES["value"].load("hybrid")(TARGET, config)
    model = EngagementModel(DIMS, config, out_dim=1).to(device)
    wanted = objective.encode(torch.from_numpy(SCORES))
    train, validation = (
        StoredBatches(BLOCKS, wanted, Cut(batch_size=16, seed=seed), reads_tokens=model.reads_tokens, device=device)
        for seed in (0, None)
    )
    task = Task(model=model, objective=objective, train=train, validation=validation, true=SCORES)
    log = HistoryLog(folder, "value", writes=False)
    return fit(task, config, checkpoints=Checkpoints(folder), device=device, reporter=SilentReporter(), log=log), model


@pytest.mark.parametrize("fusion", ["gated", "study"])
def test_the_same_losses_as_on_the_cpu(fusion: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, fusion=fusion, dropout=0.0)
    on_cpu, on_gpu = (train_on(device, config, tmp_path / device.type)[0] for device in (CPU, GPU))
    for ours, theirs in zip(on_gpu.history, on_cpu.history, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-3)
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-3)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mixed_precision_learns(precision: str, tmp_path: Path) -> None:
    """fp16 takes the scaler's path: scaled, unscaled before clipping, steps with an overflow left out."""
    exact, _ = train_on(GPU, dataclasses.replace(SMALL, dropout=0.0), tmp_path / "fp32")
    mixed, model = train_on(GPU, dataclasses.replace(SMALL, dropout=0.0, precision=precision), tmp_path / precision)
    assert mixed.history[-1]["train_loss"] == pytest.approx(exact.history[-1]["train_loss"], rel=0.1)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.models.neural.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1.0)  # after every step
    monkeypatch.setattr("engage_cli.models.neural.training.loop.CHECKPOINT_SHARE", 1e9)
    whole, _ = train_on(GPU, SMALL, tmp_path / "whole")
    original, saves = Checkpoints.save, 0

    def save(self: Checkpoints, *given: object) -> None:
        nonlocal saves
        original(self, *given)
        saves += 1
        if saves == 9:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save)
    with pytest.raises(KeyboardInterrupt):
        train_on(GPU, SMALL, tmp_path / "killed")
    again, _ = train_on(GPU, SMALL, tmp_path / "killed")
    assert [line["train_loss"] for line in again.history] == pytest.approx(
        [line["train_loss"] for line in whole.history], rel=1e-5
    )


def test_batches_arrive_whole_and_in_order() -> None:
    wanted = torch.arange(90.0)
    batches = StoredBatches(BLOCKS, wanted, Cut(batch_size=16), reads_tokens=True, device=CPU)
    for ours, theirs in zip(prefetch(batches.epoch(0), GPU), batches.epoch(0), strict=True):
        assert ours.wanted.is_cuda
        assert ours.wanted.cpu().tolist() == theirs.wanted.tolist()
        for name, block in theirs.blocks.items():
            assert torch.equal(ours.blocks[name].values.cpu(), block.values)


def test_outputs_equal_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, fusion="study")
    model = EngagementModel(DIMS, config, out_dim=3)
    found = []
    for device in (CPU, GPU):
        batches = StoredBatches(BLOCKS, torch.zeros(90), Cut(batch_size=32), reads_tokens=True, device=device)
        found.append(outputs_of(model.to(device), batches, 3, device))
    torch.testing.assert_close(*found, atol=1e-3, rtol=1e-3)


def test_the_study_on_a_gpu(dataset, checkpoints: dict[str, str], tmp_path: Path) -> None:
    encoders = ["--vision", checkpoints["siglip"], "--text", checkpoints["deberta"]]
    common = ["--data", dataset.folder, *encoders, "--epochs", 2, "--width", 16, "--heads", 2, "--workers", 2]
    found = answer("train-regressor", *common, "--run", tmp_path / "run")
    assert found["epochs"] == 2
    assert found["peak_gpu_memory"] > 0


@pytest.fixture
def little_memory() -> Iterator[None]:
    """As if others held the GPU's memory, but for a fifth of a gigabyte."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(free - 200 * 2**20, dtype=torch.uint8, device=GPU)
    yield
    del held
    torch.cuda.empty_cache()


@pytest.mark.parametrize("run", ["regressor", "classifier", "catboost", "catboost-value", "gp"])
def test_a_run_of_a_gpu_says_the_same_where_there_is_none(run: str, world: Path, pixelrec: Path) -> None:
    asked = ["predict", pixelrec / "cover" / "i7.jpg", "--title", "the best pizza ever", "--run", world / "runs" / run]
    here = answer(*asked, "--explain")
    without = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "engage_cli", *map(str, asked), "--explain", "--json"]
    done = subprocess.run(command, env=without, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert numbers_of(here) == pytest.approx(numbers_of(there), rel=0.02, abs=0.02)  # bf16 on one side or on both


def numbers_of(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in numbers_of(value[key])]
    if isinstance(value, list):
        return [number for item in value for number in numbers_of(item)]
    return [float(value)] if isinstance(value, float) else []


def test_evaluate_reads_runs_of_a_gpu(world: Path) -> None:
    found = answer("evaluate", *sorted((world / "runs").iterdir()), "--data", world / "data")
    assert len(found["runs"]) == 5


def test_the_default_pipeline(world: Path, pixelrec: Path, encoders, tmp_path: Path) -> None:
    common = ["--data", world / "data", "--vision", encoders.vision, "--text", encoders.text, "--target", "views"]
    answer("train", *common, "--run", tmp_path / "all")
    found = answer("predict", pixelrec / "cover" / "i7.jpg", "--title", "pizza", "--run", tmp_path / "all")
    assert numbers_of(found)


@pytest.mark.parametrize("most", [6_000, 50])
def test_a_process_is_that_of_the_cpu(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact, and with landmarks."""
    monkeypatch.setattr("engage_cli.models.gaussian_process.process.MOST_EXACT", most)
    views, new = make_views(300), make_views(40, seed=1)
    truth = np.sin(3 * views.text[:, 0]) + 0.2 * np.random.default_rng(0).standard_normal(300)
    (ours, ours_out), (theirs, theirs_out) = (fit_process(views, truth, device=device) for device in (GPU, CPU))
    assert ours.kernel_params.weights == pytest.approx(theirs.kernel_params.weights, rel=0.02, abs=1e-3)
    np.testing.assert_allclose(ours.predict(new, GPU), theirs.predict(new), atol=1e-2)
    np.testing.assert_allclose(theirs.predict(new, GPU), theirs.predict(new), atol=1e-5)
    np.testing.assert_allclose(ours_out, theirs_out, atol=1e-2)


def test_catboost_stays_on_the_cpu_where_others_hold_the_memory(
    little_memory: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosting, "FEWEST_ON_GPU", 0)
    assert train(tmp_path, "value", VALUES).get_all_params()["task_type"] == "CPU"


def test_without_memory_there_is_one_sentence(little_memory: None, dataset, checkpoints: dict[str, str]) -> None:
    torch.cuda.set_per_process_memory_fraction(1e-5)
    try:
        sides = ["--vision", checkpoints["clip"], "--text", checkpoints["clip"]]
        done = engage("embed", "--data", dataset.folder, *sides)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert done.exit_code == 1
    assert "memory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.device_count() != 1, reason="for machines with one GPU")
def test_more_ranks_than_gpus_are_refused(world: Path, encoders) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "engage_cli"]
    common = ["--data", world / "data", "--vision", encoders.vision, "--text", encoders.text]
    done = subprocess.run([str(part) for part in (*torchrun, "train-regressor", *common)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "engage: torchrun started 2 processes on a machine with 1 GPU" in done.stderr
