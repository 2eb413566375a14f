"""The loop, by value: accumulation, the rate's curve, the loss, resuming."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engage_cli.config.training import TrainConfig
from engage_cli.data.targets.target import Target, fit_target
from engage_cli.embeddings.store import Block
from engage_cli.encoders import Tokens
from engage_cli.errors import EngageError, StoppedError
from engage_cli.models.neural.finetuning import parameter_groups
from engage_cli.models.neural.fusion import FUSIONS, FusionSize
from engage_cli.models.neural.model import EngagementModel, hide_blocks
from engage_cli.models.neural.objectives import OBJECTIVES
from engage_cli.models.neural.training.batches import Cut, StoredBatches, tokens_of
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.schedule import learning_rate_at
from engage_cli.models.neural.training.state import Progress
from engage_cli.models.neural.training.task import Task
from engage_cli.plots.training_log import HistoryLog
from engage_cli.progress.reporters import SilentReporter

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
NUM = 90


def make_target() -> Target:
    return fit_target("views", pd.DataFrame({"views": np.expm1(RNG.normal(10, 2, 500))}), fit_on="train")


def make_block(num_tokens: int, dim: int) -> Block:
    values = RNG.normal(size=(NUM, num_tokens, dim)).astype(np.float32)
    mask = RNG.random((NUM, num_tokens)) < 0.8
    weights = mask[..., None] / np.maximum(mask.sum(axis=1), 1)[:, None, None]
    return Block(values, mask, (values * weights).sum(axis=1))


TARGET = make_target()
BLOCKS = {"image": make_block(1, 8), "title": make_block(3, 6)}
DIMS = {"image": 8, "title": 6}
SCORES = TARGET.mean + TARGET.std * (BLOCKS["image"].values[:, 0, 0] * BLOCKS["image"].mask[:, 0] + 0.1).astype(np.float64)
SMALL = TrainConfig(epochs=4, batch_size=16, width=12, heads=2, layers=1, dropout=0.2, patience=0, learning_rate=1e-2)


def train(
    config: TrainConfig,
    folder: Path,
    *,
    kind: str = "value",
    objective: str = "hybrid",
    scores: np.ndarray = SCORES,
) -> tuple[Progress, EngagementModel]:
    torch.manual_seed(config.seed)
    config = dataclasses.replace(config, objective=objective)
    objective_ = OBJECTIVES[kind].load(objective)(TARGET, config)
    model = EngagementModel(DIMS, config, out_dim=objective_.out_dim)
    wanted = objective_.encode(torch.from_numpy(scores))
    parts = [
        StoredBatches(
            BLOCKS,
            wanted,
            Cut(batch_size=config.batch_size, seed=seed),
            reads_tokens=model.reads_tokens,
            device=CPU,
        )
        for seed in (config.seed, None)
    ]
    true = scores if kind == "value" else TARGET.classes(scores)
    task = Task(model=model, objective=objective_, train=parts[0], validation=parts[1], true=true)
    progress = fit(
        task,
        config,
        checkpoints=Checkpoints(folder),
        device=CPU,
        reporter=SilentReporter(),
        log=HistoryLog(folder, kind, writes=False),
    )
    return progress, model


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def make_fusion(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return FUSIONS.load(name)(DIMS, FusionSize(width=12, heads=2, layers=1))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_learns_and_survives_missing_blocks(fusion: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, fusion=fusion, epochs=20, dropout=0.0)
    progress, _ = train(config, tmp_path)
    assert progress.best is not None
    assert progress.best > 0.8
    empty = {"image": Tokens(torch.zeros(2, 1, 8), torch.zeros(2, 1, dtype=torch.bool)),
             "title": Tokens(torch.zeros(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))}  # fmt: skip
    model = make_fusion(fusion)
    assert model(empty).shape == (2, 12)
    assert torch.isfinite(model(empty)).all()
    model(empty).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("names", [("image",), ("title",), ("title", "context"), ("image", "title", "context")], ids=str)
def test_every_fusion_takes_any_set_of_blocks(fusion: str, names: tuple[str, ...]) -> None:
    model = FUSIONS.load(fusion)(dict.fromkeys(names, 5), FusionSize(width=12, heads=2, layers=1))
    blocks = {name: Tokens(torch.randn(3, 4, 5), torch.ones(3, 4, dtype=torch.bool)) for name in names}
    if not model.reads_tokens:
        blocks = {name: Tokens(block.values[:, :1], block.mask[:, :1]) for name, block in blocks.items()}
    assert model(blocks).shape == (3, 12)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_masked_tokens_do_not_matter(fusion: str) -> None:
    model = make_fusion(fusion).eval()
    image = Tokens(torch.randn(2, 1, 8), torch.tensor([[True], [False]]))
    values, mask = torch.randn(2, 3, 6), torch.tensor([[True, True, False], [True, False, False]])
    other = torch.where(mask.unsqueeze(-1), values, values + 100)
    one, two = (model({"image": image, "title": Tokens(v, mask)}) for v in (values, other))
    torch.testing.assert_close(one, two)
    absent = Tokens(torch.randn(2, 1, 8) + 50, image.mask)
    hidden = model({"image": Tokens(torch.where(image.mask[..., None], image.values, absent.values), image.mask),
                    "title": Tokens(values, mask)})  # fmt: skip
    torch.testing.assert_close(one, hidden)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_block_that_is_there_matters(fusion: str) -> None:
    model = make_fusion(fusion).eval()
    true = torch.ones(2, 1, dtype=torch.bool)
    blocks = {"image": Tokens(torch.randn(2, 1, 8), true), "title": Tokens(torch.randn(2, 1, 6), true)}
    for name, block in blocks.items():
        changed = model({**blocks, name: Tokens(block.values * -1 + 0.3, true)})
        assert not torch.allclose(model(blocks), changed, atol=1e-4)
        with torch.no_grad():  # the learned "absent" stands in, and is not the content of another post
            gone = model({**blocks, name: Tokens(block.values, ~true)})
        assert not torch.allclose(model(blocks), gone, atol=1e-4)


def test_tokens_of_a_block_as_a_fusion_reads_it() -> None:
    block = Block(np.ones((2, 3, 4), np.float16), np.array([[1, 1, 0], [0, 0, 0]], bool), np.full((2, 4), 2, np.float16))
    pooled = tokens_of(block, False)
    assert pooled.values.shape == (2, 1, 4)
    assert pooled.mask.tolist() == [[True], [False]]
    all_ = tokens_of(block, True)
    assert all_.values[0, :, 0].tolist() == [2.0, 1.0, 1.0, 1.0]  # what the whole says stands first
    assert all_.mask.tolist() == [[True, True, True, False], [False] * 4]
    other_width = block._replace(pooled=np.zeros((2, 7), np.float16))
    assert tokens_of(other_width, True).values.shape == (2, 3, 4)


def test_modality_dropout_hides_blocks_but_never_all() -> None:
    torch.manual_seed(0)
    there = torch.ones(4000, 1, dtype=torch.bool)
    only_title = torch.zeros(4000, 1, dtype=torch.bool)
    hidden = hide_blocks({"image": Tokens(there, there), "title": Tokens(there, there)}, 0.3)
    shares = [float(1 - block.mask.float().mean()) for block in hidden.values()]
    assert shares == pytest.approx([0.3 - 0.09 / 2] * 2, abs=0.02)  # where both would go, the one drawn higher stays
    assert bool((hidden["image"].mask | hidden["title"].mask).all())
    alone = hide_blocks({"image": Tokens(there, only_title), "title": Tokens(there, there)}, 0.9)
    assert bool(alone["title"].mask.all())
    assert not bool(alone["image"].mask.any())


@pytest.mark.parametrize(("kind", "objective"), [(kind, name) for kind, table in OBJECTIVES.items() for name in table])
def test_every_objective_learns(kind: str, objective: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, epochs=25, dropout=0.0)
    progress, _ = train(config, tmp_path, kind=kind, objective=objective)
    assert progress.best is not None
    assert progress.best > 0.5
    assert progress.history[-1]["train_loss"] < progress.history[0]["train_loss"]


def test_hybrid_is_the_studys_formula() -> None:
    objective = OBJECTIVES["value"].load("hybrid")(TARGET, SMALL)
    outputs, wanted = torch.tensor([[0.0], [3.0]]), torch.tensor([0.5, 0.0])
    mse, huber = (0.25 + 9.0) / 2, (0.5 * 0.25 + (3.0 - 0.5)) / 2
    assert float(objective.loss(outputs, wanted)) == pytest.approx(0.7 * mse + 0.3 * huber)
    decoded = objective.decode(objective.encode(torch.tensor([11.5], dtype=torch.float64))[:, None])
    assert decoded.value[0] == pytest.approx(11.5, rel=1e-6)


@pytest.mark.parametrize("objective", ["cross-entropy", "ordinal", "hybrid", "quantile"])
def test_accumulation_equals_one_large_batch(objective: str, tmp_path: Path) -> None:
    """Windows give the update of one large batch, also where the last window, and its last batch, are short."""
    kind = "value" if objective in OBJECTIVES["value"] else "classes"
    for large, small, accumulate in ((30, 10, 3), (90, 25, 4), (40, 10, 4)):
        weights = []
        for batch_size, times in ((large, 1), (small, accumulate)):
            config = dataclasses.replace(
                SMALL, epochs=1, batch_size=batch_size, accumulate=times, dropout=0.0, class_weights="balanced"
            )
            _, model = train(config, tmp_path / f"{large}-{batch_size}", kind=kind, objective=objective)
            weights.append(weights_of(model))
        torch.testing.assert_close(*weights, atol=1e-6, rtol=1e-5)


def test_learning_rate_curve() -> None:
    rates = [learning_rate_at(step, 100, warmup=0.1, schedule="cosine") for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001
    assert learning_rate_at(0, 1, warmup=0.0, schedule="cosine") == 1.0
    flat = [learning_rate_at(step, 10, warmup=0.2, schedule="constant") for step in range(10)]
    assert flat == [0.5, *[1.0] * 9]


def test_the_loop_follows_the_curve(tmp_path: Path) -> None:
    progress, _ = train(dataclasses.replace(SMALL, epochs=5, warmup=0.2), tmp_path)
    steps = [line["step"] for line in progress.history]
    assert steps == [6, 12, 18, 24, 30]  # 90 posts, 16 a batch
    curve = [1e-2 * learning_rate_at(step - 1, 30, warmup=0.2, schedule="cosine") for step in steps]
    assert [line["learning_rate"] for line in progress.history] == pytest.approx(curve)


def test_norms_and_biases_do_not_decay() -> None:
    model = EngagementModel({"image": 8}, SMALL, out_dim=1)
    groups = parameter_groups(model, dataclasses.replace(SMALL, weight_decay=0.05))
    assert [group["name"] for group in groups] == ["new layers, norms and biases", "new layers"]
    plain, decayed = groups
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert decayed["weight_decay"] == 0.05
    assert plain["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))


class _KilledError(Exception):
    pass


MOMENTS = random.Random(0).sample(range(1, 24), 5)


@pytest.mark.parametrize("stop_at", MOMENTS)
@pytest.mark.parametrize("extra", [{}, {"ema": 0.9, "average": 2, "modality_dropout": 0.2}], ids=["plain", "averages"])
def test_killed_and_continued_is_bitwise_the_same(
    stop_at: int, extra: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage_cli.models.neural.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1.0)  # after every step
    monkeypatch.setattr("engage_cli.models.neural.training.loop.CHECKPOINT_SHARE", 1e9)
    config = dataclasses.replace(SMALL, **extra)
    whole, _ = train(config, tmp_path / "whole")
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
        train(config, tmp_path / "killed")
    monkeypatch.setattr(Checkpoints, "save", original)
    again, _ = train(config, tmp_path / "killed")
    assert again.history == whole.history
    assert (again.best, again.scores, again.averaged) == (whole.best, whole.scores, whole.averaged)
    for name in ("model.safetensors", "history.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_asked_to_stop_it_saves_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    whole, _ = train(SMALL, tmp_path / "whole")
    steps = 0
    original = StoredBatches.epoch

    def epoch(self: StoredBatches, number: int, start: int = 0):
        nonlocal steps
        for batch in original(self, number, start):
            steps += self.order.cut.seed is not None
            if steps == 10:
                signal.raise_signal(signal.SIGINT)
            yield batch

    monkeypatch.setattr(StoredBatches, "epoch", epoch)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        StoppedError, match=r"stopped in epoch 2, step 9; the best weights .*give the same command again to continue"
    ):
        train(SMALL, tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before
    assert StoppedError.exit_code == 130
    monkeypatch.setattr(StoredBatches, "epoch", original)
    again, _ = train(SMALL, tmp_path / "stopped")
    assert again.history == whole.history


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_takes_the_same_path(precision: str, tmp_path: Path) -> None:
    exact, _ = train(dataclasses.replace(SMALL, dropout=0.0), tmp_path / "fp32")
    mixed, _ = train(dataclasses.replace(SMALL, dropout=0.0, precision=precision), tmp_path / precision)
    assert mixed.history[0]["train_loss"] == pytest.approx(exact.history[0]["train_loss"], rel=0.05)
    assert mixed.history[-1]["train_loss"] < mixed.history[0]["train_loss"]


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path: Path) -> None:
    with pytest.raises(EngageError, match=r"no longer finite in epoch 1; .*with a smaller --learning-rate"):
        train(SMALL, tmp_path, scores=np.where(np.arange(NUM) == 5, np.inf, SCORES))


def test_patience_stops_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    noise = TARGET.mean + TARGET.std * RNG.normal(size=NUM)
    config = dataclasses.replace(SMALL, epochs=60, patience=3, learning_rate=0.3)
    progress, _ = train(config, tmp_path, scores=noise)
    assert progress.epoch == min(60, progress.best_epoch + 3)
    best = max(line["validation"]["r2"] for line in progress.history)
    assert progress.best == best


def test_the_running_average_is_what_its_formula_says(tmp_path: Path) -> None:
    from engage_cli.models.neural.training._averaging import RunningAverage

    model = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average = RunningAverage(model, 0.9)
    wanted = 1.0
    for step in range(1, 200):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update()
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * step
    assert float(average.average["weight"]) == pytest.approx(wanted, rel=1e-5)
    with average.in_place():
        assert model.weight.item() == pytest.approx(wanted, rel=1e-5)
    assert model.weight.item() == 199.0


def test_the_mean_of_the_best_epochs_is_kept_where_it_is_no_worse(tmp_path: Path) -> None:
    noisy = SCORES + TARGET.std * RNG.normal(size=NUM)
    config = dataclasses.replace(SMALL, epochs=12, average=4, learning_rate=3e-2, schedule="constant")
    progress, _ = train(config, tmp_path, scores=noisy)
    best_alone = max(line["validation"]["r2"] for line in progress.history)
    assert len(progress.averaged) in (1, 4)
    assert progress.best == progress.scores["r2"] >= best_alone
    if len(progress.averaged) == 4:
        ranked = sorted(progress.history, key=lambda line: -line["validation"]["r2"])[:4]
        assert progress.averaged == sorted(line["epoch"] for line in ranked)


def test_a_collapse_is_written_down_and_said_once(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(SilentReporter):
        def say(self, line: str) -> None:
            said.append(line)

    config = dataclasses.replace(SMALL, learning_rate=0.0, epochs=3)
    torch.manual_seed(0)
    objective = OBJECTIVES["classes"].load("cross-entropy")(TARGET, config)
    model = EngagementModel(DIMS, config, out_dim=5)
    with torch.no_grad():
        model.head[-1].bias[1] = 50.0
    wanted = objective.encode(torch.from_numpy(SCORES))
    parts = [
        StoredBatches(BLOCKS, wanted, Cut(batch_size=16, seed=seed), reads_tokens=False, device=CPU) for seed in (0, None)
    ]
    task = Task(model=model, objective=objective, train=parts[0], validation=parts[1], true=TARGET.classes(SCORES))
    log = HistoryLog(tmp_path, "classes", writes=False)
    progress = fit(task, config, checkpoints=Checkpoints(tmp_path), device=CPU, reporter=Listener(), log=log)
    assert all("all validation posts are predicted as 'Low'" in line["collapse"] for line in progress.history)
    assert len([line for line in said if "collapsed" in line]) == 1
    assert "--learning-rate" in said[0]


def test_what_is_broken_shows_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, outputs: torch.Tensor) -> None:
        raise ZeroDivisionError

    steps: list[int] = []
    monkeypatch.setattr("engage_cli.models.neural.objectives.mse_huber.HybridObjective.decode", broken)
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: steps.append(1))
    with pytest.raises(ZeroDivisionError):
        train(SMALL, tmp_path)
    assert not steps


def test_what_the_loss_does_not_reach_is_frozen(tmp_path: Path) -> None:
    from engage_cli.models.neural.finetuning import freeze_unreached

    model = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "unused": torch.nn.Linear(2, 2)})
    model["used"](torch.ones(1, 2)).sum().backward()
    assert freeze_unreached(model) == 2
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["used.weight", "used.bias"]


def test_events_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with HistoryLog(tmp_path, "value", tensorboard=True) as log:
        history = [
            {
                "epoch": n,
                "learning_rate": 0.1 * n,
                "train_loss": 1.0 / n,
                "validation_loss": 2.0,
                "validation": {"r2": 0.1 * n},
            }
            for n in (1, 2, 3)
        ]
        for number in range(3):
            log.add(history[: number + 1])
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, pytest.approx(one.value)) for one in events.Scalars("validation/r2")] == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
    ]
    assert {"loss/train", "loss/validation", "learning_rate", "validation/r2"} == set(events.Tags()["scalars"])
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"loss.png", "r2.png"}


def test_memory_and_tokenizers_that_do_not_fit_are_sentences() -> None:
    from engage_cli.models.neural.training._errors import in_sentences

    with pytest.raises(EngageError, match="memory ran out with --batch-size 16; give a smaller one"), in_sentences(SMALL):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(EngageError, match="gives ids that its encoder does not have"), in_sentences(SMALL):
        torch.nn.Embedding(2, 2)(torch.tensor([5]))
    with pytest.raises(RuntimeError, match="another"), in_sentences(SMALL):
        raise RuntimeError("another")


def stopped_after(saves: int, config: TrainConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train with a checkpoint after every step, and kill it after so many."""
    monkeypatch.setattr("engage_cli.models.neural.training.loop.SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr("engage_cli.models.neural.training.loop.CHECKPOINT_SHARE", 1e9)
    original, left = Checkpoints.save, saves

    def save(self: Checkpoints, *arguments: object) -> None:
        nonlocal left
        original(self, *arguments)
        left -= 1
        if left == 0:
            raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        with pytest.raises(_KilledError):
            train(config, folder)


def test_the_kept_weights_say_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed pass may have kept a better epoch after its last checkpoint: on a GPU it may not be found again."""
    stopped_after(8, SMALL, tmp_path, monkeypatch)
    checkpoints = Checkpoints(tmp_path)
    about = checkpoints.about_best()
    assert about["best"] == about["scores"]["r2"]
    weights = {name: tensor + 0.0 for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    lucky = {**about, "best": 0.99, "best_epoch": 3, "scores": {**about["scores"], "r2": 0.99}, "averaged": [3]}
    checkpoints.save_best(weights, lucky)
    progress, _ = train(SMALL, tmp_path)
    assert (progress.best, progress.best_epoch, progress.scores["r2"]) == (0.99, 3, 0.99)
    assert progress.epoch == 4


def test_a_lost_candidate_costs_the_average_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, average=2)
    stopped_after(15, config, tmp_path, monkeypatch)
    for path in tmp_path.glob("candidate-*"):
        path.unlink()
    progress, _ = train(config, tmp_path)
    assert progress.epoch == 4


@pytest.mark.parametrize("damage", ["cut", "no metadata", "another shape", "a name less"])
def test_a_damaged_checkpoint_is_named_with_what_to_do(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_after(3, SMALL, tmp_path, monkeypatch)
    path = tmp_path / "resume.safetensors"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    name = next(name for name in tensors if name.startswith("model."))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        if damage == "no metadata":
            metadata = None
        elif damage == "another shape":
            tensors[name] = torch.zeros(3, 3, 3)
        else:
            del tensors[name]
        save_file(tensors, path, metadata)
    with pytest.raises(
        EngageError,
        match=r"resume.safetensors (is missing or|was changed or) damaged.*; remove it; the same command then starts over",
    ):
        train(SMALL, tmp_path)
    path.unlink()
    assert train(SMALL, tmp_path)[0].epoch == 4


def test_weights_that_are_no_numbers_are_never_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_after(2, SMALL, tmp_path, monkeypatch)
    before = (tmp_path / "resume.safetensors").read_bytes()
    original = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: object) -> None:
        original(self, *arguments)
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(float("nan"))

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        with pytest.raises(EngageError, match="weights are no longer finite"):
            train(SMALL, tmp_path)
    assert (tmp_path / "resume.safetensors").read_bytes() == before
    assert train(SMALL, tmp_path)[0].epoch == 4


def test_fp16_survives_an_overflow_and_stops_where_all_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, precision="fp16", epochs=4)
    hybrid = OBJECTIVES["value"].load("hybrid")
    original, calls = hybrid.loss, 0

    def loss(self: object, outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return original(self, outputs, wanted) * (float("inf") if outputs.requires_grad and bad(calls) else 1.0)

    monkeypatch.setattr(hybrid, "loss", loss)
    bad = lambda number: number == 4  # noqa: E731
    progress, _ = train(config, tmp_path / "one")
    assert progress.epoch == 4
    assert all(np.isfinite(line["train_loss"]) for line in progress.history)
    calls, bad = 0, lambda number: number > 1
    with pytest.raises(EngageError, match=r"every step overflows in fp16, epoch \d; .*--precision bf16 or fp32"):
        train(dataclasses.replace(config, epochs=9), tmp_path / "all")
