"""The loop. It knows neither the model nor the objective, and it never prints.

One path for fp32, bf16 and fp16; accumulation; warm-up and cosine; clipping; the best checkpoint by the objective's
primary metric; and a resumable checkpoint from which a killed run goes on to the same result.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.config import TrainConfig
from engage_cli.core.encoders import Tokens
from engage_cli.core.errors import EngageError
from engage_cli.core.features import Block
from engage_cli.core.metrics import PRIMARY, better, compute_metrics
from engage_cli.core.model import BlockInput, parameter_groups
from engage_cli.core.objectives import Objective
from engage_cli.core.predictions import Predictions
from engage_cli.core.progress import Reporter

AMP_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SECONDS_BETWEEN_CHECKPOINTS = 5.0


class Batch(NamedTuple):
    blocks: dict[str, BlockInput]
    wanted: Tensor  # (B,) the encoded target


class Batches(Protocol):
    """The posts of one part, in micro-batches; the order of an epoch depends on the seed and its number alone."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Iterator[Batch]: ...


class StoredBatches:
    """Batches of stored blocks, held in memory."""

    def __init__(
        self, blocks: Mapping[str, Block], wanted: Tensor, *, batch_size: int, device: torch.device, seed: int | None
    ) -> None:
        self.tokens = {
            name: Tokens(torch.from_numpy(block.values).to(device), torch.from_numpy(block.mask).to(device))
            for name, block in blocks.items()
        }
        self.wanted, self.batch_size, self.seed = wanted.to(device), batch_size, seed

    def __len__(self) -> int:
        return math.ceil(len(self.wanted) / self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Shuffled by (seed, number), or in order where the seed is None."""
        order = torch.arange(len(self.wanted))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
            order = torch.randperm(len(self.wanted), generator=generator)
        for rows in order.to(self.wanted.device).split(self.batch_size):
            tokens = {name: Tokens(block.values[rows].float(), block.mask[rows]) for name, block in self.tokens.items()}
            yield Batch(dict(tokens), self.wanted[rows])


@dataclass
class Progress:
    """Where a run stands; saved with each checkpoint."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # micro-batches finished in the next one
    step: int = 0
    loss_sum: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def learning_rate_at(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate at a step, 0 <= step < total: linear warm-up, then a cosine to 0."""
    rising = max(1, round(total * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def fit(
    model: nn.Module,
    objective: Objective,
    train: Batches,
    validation: Batches,
    true: np.ndarray,
    config: TrainConfig,
    *,
    checkpoints: Checkpoints,
    device: torch.device,
    reporter: Reporter,
) -> Progress:
    """Train until the epochs or the patience end; the best weights lie in `checkpoints`. `true` is for validation."""
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate, fused=device.type == "cuda"
    )
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
    state = Progress(**(checkpoints.resume(model, optimizer, scaler) or {}))
    if state.epoch or state.batch:
        reporter.say(f"going on after epoch {state.epoch}, batch {state.batch}")
    steps_per_epoch = math.ceil(len(train) / config.accumulate)
    total_steps = steps_per_epoch * config.epochs
    last_saved, started = time.monotonic(), time.monotonic() - state.seconds

    with reporter.stage("training", total_steps) as stage:
        stage.advance(state.step)
        while state.epoch < config.epochs and not _is_out_of_patience(state, config):
            model.train()
            loss_sum = torch.tensor(state.loss_sum, dtype=torch.float64, device=device)
            for number, batch in enumerate(train.epoch(state.epoch)):
                if number < state.batch:
                    continue
                # The last window of an epoch is often short: divide by what is really in it.
                window_start = number - number % config.accumulate
                in_window = min(config.accumulate, len(train) - window_start)
                with torch.autocast(device.type, AMP_DTYPES[config.precision], enabled=config.precision != "fp32"):
                    outputs = model(batch.blocks)
                loss = objective.loss(outputs.float(), batch.wanted)
                scaler.scale(loss / in_window).backward()
                loss_sum += loss.detach().double()
                if number + 1 != window_start + in_window:
                    continue
                _step(model, optimizer, scaler, config, learning_rate_at(state.step, total_steps, config.warmup))
                state.step += 1
                state.batch = number + 1
                stage.advance()
                if time.monotonic() - last_saved > SECONDS_BETWEEN_CHECKPOINTS and state.batch < len(train):
                    state.loss_sum, state.seconds = float(loss_sum), time.monotonic() - started
                    _must_be_finite(state, config)
                    checkpoints.save(model, optimizer, scaler, vars(state))
                    last_saved = time.monotonic()
            state.loss_sum = float(loss_sum)
            _must_be_finite(state, config)
            _end_epoch(state, model, objective, validation, true, config, checkpoints, len(train))
            scores = state.history[-1]["validation"]
            primary = PRIMARY[objective.kind]
            stage.advance(0, note=f"{primary} {scores[primary]:.3f}, best {state.best:.3f} in epoch {state.best_epoch}")
            state.seconds = time.monotonic() - started
            if time.monotonic() - last_saved > SECONDS_BETWEEN_CHECKPOINTS / 5:  # an epoch's end is a good place
                checkpoints.save(model, optimizer, scaler, vars(state))
                last_saved = time.monotonic()
    state.seconds = time.monotonic() - started
    return state


def predict(model: nn.Module, objective: Objective, batches: Batches) -> tuple[Predictions, float]:
    """Return predictions in the batches' order, and the mean loss per post."""
    model.eval()
    outputs, losses = [], []
    with torch.inference_mode():
        for batch in batches.epoch(0):
            outputs.append(model(batch.blocks))
            losses.append(objective.loss(outputs[-1], batch.wanted) * len(batch.wanted))
    joined = torch.cat(outputs)
    return objective.decode(joined), float(torch.stack(losses).sum() / len(joined))


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, config: TrainConfig, share: float
) -> None:
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * share
    scaler.unscale_(optimizer)  # once, before clipping: the norm must be the gradient's own
    nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)


def _end_epoch(
    state: Progress,
    model: nn.Module,
    objective: Objective,
    validation: Batches,
    true: np.ndarray,
    config: TrainConfig,
    checkpoints: Checkpoints,
    num_batches: int,
) -> None:
    predictions, loss = predict(model, objective, validation)
    predicted = predictions.value if predictions.value is not None else predictions.probabilities
    assert predicted is not None
    scores = compute_metrics(objective.kind, true, predicted)
    state.epoch, state.batch = state.epoch + 1, 0
    state.history.append(
        {
            "epoch": state.epoch,
            "step": state.step,
            "train_loss": state.loss_sum / num_batches,
            "validation_loss": loss,
            "validation": scores,
        }
    )
    state.loss_sum = 0.0
    if better(objective.kind, scores, state.best):
        state.best, state.best_epoch = scores[PRIMARY[objective.kind]], state.epoch
        checkpoints.save_best(model)
    checkpoints.save_history(state.history)


def _is_out_of_patience(state: Progress, config: TrainConfig) -> bool:
    return config.patience > 0 and state.epoch - state.best_epoch >= config.patience


def _must_be_finite(state: Progress, config: TrainConfig) -> None:
    if not math.isfinite(state.loss_sum):
        kept = f"the best weights (epoch {state.best_epoch}) are kept" if state.best_epoch else "no epoch was finished"
        raise EngageError(
            f"the loss is no longer finite in epoch {state.epoch + 1}; {kept}; try a smaller --learning-rate than "
            f"{config.learning_rate:g}, or --precision bf16 or fp32"
        )
