"""The loop, by value: accumulation, the rate's curve, the loss, resuming."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.config import TrainConfig
from engage_cli.core.encoders import Tokens
from engage_cli.core.errors import EngageError
from engage_cli.core.features import Block
from engage_cli.core.fusion import FUSIONS
from engage_cli.core.model import EngagementModel, parameter_groups
from engage_cli.core.objectives import OBJECTIVES
from engage_cli.core.progress import SilentReporter
from engage_cli.core.targets import Target, fit_target
from engage_cli.core.training import Progress, StoredBatches, fit, learning_rate_at

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
NUM = 90


def make_target() -> Target:
    return fit_target("views", pd.DataFrame({"views": np.expm1(RNG.normal(10, 2, 500))}), fit_on="train")


def make_block(num_tokens: int, dim: int) -> Block:
    values = RNG.normal(size=(NUM, num_tokens, dim)).astype(np.float32)
    return Block(values, RNG.random((NUM, num_tokens)) < 0.8, values[:, 0])


TARGET = make_target()
BLOCKS = {"image": make_block(1, 8), "title": make_block(3, 6)}
SCORES = TARGET.mean + TARGET.std * (BLOCKS["image"].values[:, 0, 0] * BLOCKS["image"].mask[:, 0] + 0.1).astype(np.float64)
SMALL = TrainConfig(epochs=4, batch_size=16, width=12, dropout=0.2, patience=0, learning_rate=1e-2)


def train(
    config: TrainConfig, folder: Path, *, kind: str = "value", objective: str = "hybrid", scores: np.ndarray = SCORES
) -> tuple[Progress, torch.nn.Module]:
    torch.manual_seed(config.seed)
    objective_ = OBJECTIVES[kind].load(objective)(TARGET)
    model = EngagementModel(
        {"image": 8, "title": 6},
        fusion=config.fusion,
        width=config.width,
        dropout=config.dropout,
        out_dim=objective_.out_dim,
    )
    wanted = objective_.encode(torch.from_numpy(scores))
    parts = [
        StoredBatches(BLOCKS, wanted, batch_size=config.batch_size, device=CPU, seed=seed) for seed in (config.seed, None)
    ]
    true = scores if kind == "value" else TARGET.classes(scores)
    progress = fit(
        model, objective_, *parts, true, config, checkpoints=Checkpoints(folder), device=CPU, reporter=SilentReporter()
    )
    return progress, model


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_learns_and_survives_missing_blocks(fusion: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, fusion=fusion, epochs=30, dropout=0.0)
    progress, _ = train(config, tmp_path)
    assert progress.best is not None
    assert progress.best > 0.8
    empty = {"image": Tokens(torch.zeros(2, 1, 8), torch.zeros(2, 1, dtype=torch.bool)),
             "title": Tokens(torch.zeros(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))}  # fmt: skip
    model = FUSIONS.load(fusion)({"image": 8, "title": 6}, 12, dropout=0.0)
    assert model(empty).shape == (2, 12)
    assert torch.isfinite(model(empty)).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_masked_tokens_do_not_matter(fusion: str) -> None:
    model = FUSIONS.load(fusion)({"title": 6}, 12, dropout=0.0).eval()
    values, mask = torch.randn(2, 3, 6), torch.tensor([[True, True, False], [True, False, False]])
    other = torch.where(mask.unsqueeze(-1), values, values + 100)
    torch.testing.assert_close(model({"title": Tokens(values, mask)}), model({"title": Tokens(other, mask)}))


@pytest.mark.parametrize(("kind", "objective"), [(kind, name) for kind, table in OBJECTIVES.items() for name in table])
def test_every_objective_learns(kind: str, objective: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, epochs=25, dropout=0.0)
    progress, _ = train(config, tmp_path, kind=kind, objective=objective)
    assert progress.best is not None
    assert progress.best > 0.5
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]


def test_hybrid_is_the_studys_formula() -> None:
    objective = OBJECTIVES["value"].load("hybrid")(TARGET)
    outputs, wanted = torch.tensor([[0.0], [3.0]]), torch.tensor([0.5, 0.0])
    mse, huber = (0.25 + 9.0) / 2, (0.5 * 0.25 + (3.0 - 0.5)) / 2
    assert float(objective.loss(outputs, wanted)) == pytest.approx(0.7 * mse + 0.3 * huber)
    decoded = objective.decode(objective.encode(torch.tensor([11.5], dtype=torch.float64))[:, None])
    assert decoded.value[0] == pytest.approx(11.5, rel=1e-6)


def test_accumulation_equals_one_large_batch(tmp_path: Path) -> None:
    """Equal windows give the same update as one large batch, and a short last window is divided by its own length."""
    weights = []
    for name, batch_size, accumulate in (("large", 30, 1), ("windows", 10, 3)):
        config = dataclasses.replace(SMALL, epochs=1, batch_size=batch_size, accumulate=accumulate, dropout=0.0)
        weights.append(torch.cat([p.flatten() for p in train(config, tmp_path / name)[1].parameters()]))
    torch.testing.assert_close(*weights, atol=1e-6, rtol=1e-5)
    short = dataclasses.replace(SMALL, epochs=1, batch_size=45, accumulate=3, dropout=0.0)
    whole = dataclasses.replace(SMALL, epochs=1, batch_size=90, accumulate=1, dropout=0.0)
    pair = [
        torch.cat([p.flatten() for p in train(c, tmp_path / f"s{c.batch_size}")[1].parameters()]) for c in (short, whole)
    ]
    torch.testing.assert_close(*pair, atol=1e-6, rtol=1e-5)


def test_learning_rate_curve() -> None:
    rates = [learning_rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001
    assert learning_rate_at(0, 1, 0.0) == 1.0


def test_norms_and_biases_do_not_decay() -> None:
    model = EngagementModel({"image": 8}, fusion="gated", width=12, dropout=0.0, out_dim=1)
    decayed, plain = parameter_groups(model, 0.05)
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert decayed["weight_decay"] == 0.05
    assert plain["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("stop_at", [1, 2, 5, 9, 13])
def test_killed_and_continued_is_bitwise_the_same(stop_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.core.training.SECONDS_BETWEEN_CHECKPOINTS", -1.0)  # after every step
    whole, _ = train(SMALL, tmp_path / "whole")
    saves = 0
    original = Checkpoints.save

    def save(self: Checkpoints, *arguments: object) -> None:
        nonlocal saves
        original(self, *arguments)
        saves += 1
        if saves == stop_at:
            raise _KilledError

    monkeypatch.setattr(Checkpoints, "save", save)
    with pytest.raises(_KilledError):
        train(SMALL, tmp_path / "killed")
    monkeypatch.setattr(Checkpoints, "save", original)
    torch.manual_seed(999)  # the random state comes from the checkpoint
    again, _ = train(SMALL, tmp_path / "killed")
    assert again.history == whole.history
    for name in ("model.safetensors", "history.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_takes_the_same_path(precision: str, tmp_path: Path) -> None:
    exact, _ = train(dataclasses.replace(SMALL, dropout=0.0), tmp_path / "fp32")
    mixed, _ = train(dataclasses.replace(SMALL, dropout=0.0, precision=precision), tmp_path / precision)
    assert mixed.history[0]["train_loss"] == pytest.approx(exact.history[0]["train_loss"], rel=0.05)


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(EngageError, match=r"no longer finite in epoch 1; .*try a smaller --learning-rate"):
        train(SMALL, tmp_path, scores=np.where(np.arange(NUM) == 5, np.inf, SCORES))


def test_patience_stops_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    noise = TARGET.mean + TARGET.std * RNG.normal(size=NUM)
    config = dataclasses.replace(SMALL, epochs=60, patience=3, learning_rate=0.3)
    progress, _ = train(config, tmp_path, scores=noise)
    assert progress.epoch == min(60, progress.best_epoch + 3)
    best = max(line["validation"]["r2"] for line in progress.history)
    assert progress.best == best
