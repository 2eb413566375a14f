"""What only a GPU shows. `make test-gpu` runs these where there is one; elsewhere they are skipped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from engage_cli.core.batches import Cut, StoredBatches
from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.config import TrainConfig
from engage_cli.core.history_log import HistoryLog
from engage_cli.core.model import EngagementModel
from engage_cli.core.objectives import OBJECTIVES
from engage_cli.core.prefetch import prefetch
from engage_cli.core.progress import SilentReporter
from engage_cli.core.run_progress import Progress
from engage_cli.core.task import Task
from engage_cli.core.training import fit
from engage_cli.core.validation import outputs_of
from tests.calls import answer
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


@pytest.mark.parametrize("fusion", ["gated", "stack"])
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
    monkeypatch.setattr("engage_cli.core.training.SECONDS_BETWEEN_CHECKPOINTS", -1.0)
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
    config = dataclasses.replace(SMALL, fusion="stack")
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
