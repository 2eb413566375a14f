"""The loop. It knows neither the model nor the objective, and it never prints.

One path for fp32, bf16 and fp16; accumulation, warm-up and cosine, clipping; running and best-epoch averages; the best
checkpoint by the objective's primary metric; one process or many; and a checkpoint from which a killed run goes on to
the same result.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from engage_cli.config.training import TrainConfig
from engage_cli.errors import EngageError, StoppedError
from engage_cli.metrics.metrics import PRIMARY, better
from engage_cli.models.neural.finetuning import load_trained, parameter_groups, train_mode, trained_state
from engage_cli.models.neural.training._averaging import RunningAverage, mean_of_states
from engage_cli.models.neural.training._errors import in_sentences
from engage_cli.models.neural.training._prefetch import prefetch
from engage_cli.models.neural.training._sanity_check import run_sanity_check
from engage_cli.models.neural.training._validation import Validation, validate
from engage_cli.models.neural.training.batches import Batch
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.schedule import learning_rate_at
from engage_cli.models.neural.training.state import Progress
from engage_cli.models.neural.training.task import HistoryLog, Task
from engage_cli.progress.reporters import Reporter
from engage_cli.progress.training import TrainingView
from engage_cli.runtime.devices import mixed_precision
from engage_cli.runtime.distributed import get_rank, get_world_size, noticing_lost_ranks, sum_over_ranks, wait_for_all
from engage_cli.runtime.signals import listen_for_stop

SECONDS_BETWEEN_CHECKPOINTS = 5.0
CHECKPOINT_SHARE = 0.02  # of the time may go into writing checkpoints: large models write seldom
BYTES_PER_SECOND = 5e8  # ... how fast, until one was written
SECONDS_BETWEEN_LOSSES = 1.0  # reading the loss waits for the device
STEPS_BETWEEN_TALKS = 8  # of ranks, about whether to write a checkpoint or to stop


def fit(
    task: Task, config: TrainConfig, *, checkpoints: Checkpoints, device: torch.device, reporter: Reporter, log: HistoryLog
) -> Progress:
    """Train until the epochs or the patience end; the best weights lie in `checkpoints`."""
    with in_sentences(config), noticing_lost_ranks():
        return _Loop(task, config, checkpoints, device, reporter, log).run()


class _Loop:
    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        checkpoints: Checkpoints,
        device: torch.device,
        reporter: Reporter,
        log: HistoryLog,
    ) -> None:
        self.task, self.config, self.checkpoints, self.device = task, config, checkpoints, device
        self.reporter, self.log, self.model, self.sizes = reporter, log, task.model, task.train.sizes
        self.primary = PRIMARY[task.objective.kind]
        if config.compile:
            self.model.compile()
        run_sanity_check(task, device, config.precision)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, config), lr=config.learning_rate, fused=True)
        self.learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.average = RunningAverage(self.model, config.ema) if config.ema else None
        self.state = checkpoints.resume(self.model, self.optimizer, self.scaler, self.average) or Progress()
        self._reconcile()
        self.parallel = DistributedDataParallel(self.model) if get_world_size() > 1 else None
        self.steps_per_epoch = math.ceil(len(self.sizes) / config.accumulate)
        self.total_steps = self.steps_per_epoch * config.epochs
        self.seconds_before = self.state.seconds
        self.started = self.last_saved = time.monotonic()
        self.last_loss = 0.0
        self.saving = 3 * sum(p.nbytes for p in self.learning) / BYTES_PER_SECOND  # the weights and AdamW's two averages

    def run(self) -> Progress:
        state, config = self.state, self.config
        if state.epoch or state.batch:
            self.reporter.say(f"continuing after epoch {state.epoch}, batch {state.batch}")
        view = self.reporter.training(
            kind=self.task.objective.kind,
            epochs=config.epochs,
            steps=self.steps_per_epoch,
            done_epochs=state.epoch,
            done_steps=state.step - state.epoch * self.steps_per_epoch,
        )
        with view as shown, listen_for_stop() as stop, self.log:
            while state.epoch < config.epochs and not self._is_out_of_patience():
                train_mode(self.model)
                loss_sum = torch.tensor(state.loss_sum / get_world_size(), dtype=torch.float64, device=self.device)
                batches = prefetch(self.task.train.epoch(state.epoch, state.batch), self.device)
                while state.batch < len(self.sizes):
                    self._step(batches, loss_sum)
                    self._show(loss_sum, shown)
                    if self._agreed(stop.is_asked or self._is_time_to_save()):
                        self._save(loss_sum)
                        if self._agreed(stop.is_asked):
                            raise StoppedError(self._how_to_go_on())
                self._end_epoch(loss_sum)
                if self._has_waited(SECONDS_BETWEEN_CHECKPOINTS / 5):  # a good place
                    self._write()
                shown.epoch(state.history[-1], best=state.best, best_epoch=state.best_epoch)
            self._average_best()
        state.seconds = self._seconds()
        return state

    def _step(self, batches: Iterator[Batch], loss_sum: Tensor) -> None:
        """One update from a window of micro-batches: the gradient of the mean loss over all of its posts."""
        state, config, first = self.state, self.config, self.state.batch
        # The last window of an epoch is often short, and its last batch too: posts count, not batches.
        window = self.sizes[first : first + config.accumulate]
        for number in range(len(window)):
            batch = next(batches)
            self._seed(first + number)
            with self._syncing(is_last=number == len(window) - 1):
                with mixed_precision(self.device, config.precision):
                    outputs = (self.parallel or self.model)(batch.blocks)
                loss = self.task.objective.loss(outputs.float(), batch.wanted)
                # Over ranks gradients are averaged, not added up.
                self.scaler.scale(loss * (batch.num * get_world_size() / sum(window))).backward()
            if self.scaler.is_enabled():  # an overflow is the scaler's to deal with: it leaves the step out
                loss = torch.nan_to_num(loss, nan=0.0, posinf=0.0, neginf=0.0)
            loss_sum += loss.detach().double() * batch.num
        share = learning_rate_at(state.step, self.total_steps, warmup=config.warmup, schedule=config.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * share
        if config.clip_norm:
            self.scaler.unscale_(self.optimizer)  # once, before clipping: the norm must be the gradient's own
            nn.utils.clip_grad_norm_(self.learning, config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update()
        state.step += 1
        state.batch = first + len(window)

    def _end_epoch(self, loss_sum: Tensor) -> None:
        state, config = self.state, self.config
        total = self._must_be_finite(sum_over_ranks(float(loss_sum)))
        if self.scaler.is_enabled() and self.scaler.get_scale() < 1:
            raise EngageError(f"every step overflows in fp16, epoch {state.epoch + 1}; {self._advice()}")
        with self.average.in_place() if self.average else contextlib.nullcontext():
            found = self._validate()
            state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
            state.history.append(
                {
                    "epoch": state.epoch,
                    "step": state.step,
                    "learning_rate": self._rate,
                    "train_loss": total / sum(self.sizes),
                    "validation_loss": found.loss,
                    "validation": found.scores,
                    "collapse": found.collapse,
                }
            )
            if better(self.task.objective.kind, found.scores, state.best):
                state.best, state.best_epoch, state.averaged = found.scores[self.primary], state.epoch, [state.epoch]
                state.scores, state.collapse = found.scores, found.collapse
                self.checkpoints.save_best(trained_state(self.model), state.about_best())
            if config.average > 1:
                kept = state.best_epochs(config.average, self.primary)
                if state.epoch in kept:
                    self.checkpoints.save_candidate(state.epoch, trained_state(self.model))
                self.checkpoints.keep_candidates(kept)
        if found.collapse and not (len(state.history) > 1 and state.history[-2]["collapse"]):
            self.reporter.say(f"warning: epoch {state.epoch}: {found.collapse}")
        self.checkpoints.save_history(state.history)
        self.log.add(state.history)

    def _validate(self) -> Validation:
        task = self.task
        found = validate(self.model, task.objective, task.validation, task.true, self.device, self.config.precision)
        if not found.is_finite:
            raise EngageError(f"the model's outputs are no longer finite in epoch {self.state.epoch + 1}; {self._advice()}")
        return found

    def _average_best(self) -> None:
        """Take the mean of the best epochs' weights where it is no worse than the best."""
        wait_for_all()  # until the first rank has written its files
        state, ranked = self.state, self.state.best_epochs(self.config.average, self.primary)
        epochs = [epoch for epoch in ranked if self.config.average > 1 and self.checkpoints.has_candidate(epoch)]
        if len(epochs) < 2 or len(state.averaged) > 1:
            return
        mean = mean_of_states([self.checkpoints.load_candidate(epoch) for epoch in epochs])
        load_trained(self.model, mean)
        found = self._validate()
        score = found.scores[self.primary]
        assert state.best is not None
        is_kept = score >= state.best
        told = "kept" if is_kept else f"not kept: the best epoch alone has {state.best:.4f}"
        self.reporter.say(f"the mean of epochs {', '.join(map(str, epochs))}: {self.primary} {score:.4f}, {told}")
        if is_kept:
            state.averaged, state.best, state.scores, state.collapse = epochs, score, found.scores, found.collapse
            self.checkpoints.save_best(mean, state.about_best())

    def _reconcile(self) -> None:
        """Take over what is known of the kept weights: a killed pass may have found better ones after its last checkpoint.

        Where arithmetic repeats itself they are found again; on a GPU perhaps not, and they are what is kept.
        """
        if self.state.step:
            self.state.take_over(self.checkpoints.about_best())
        steps = sum_over_ranks(float(self.state.step))
        if steps != self.state.step * get_world_size():
            raise EngageError("ranks found different checkpoints: put the run's folder on a disk that all of them share")

    @property
    def _rate(self) -> float:
        """The highest learning rate of the last step."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    def _seed(self, batch: int) -> None:
        """Dropout and its like depend on where the run stands alone, so that a killed one needs no random state."""
        place = (self.state.epoch * len(self.sizes) + batch) * get_world_size() + get_rank()
        seed = int(np.random.SeedSequence((self.config.seed, place)).generate_state(1)[0])
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _syncing(self, *, is_last: bool) -> contextlib.AbstractContextManager[None]:
        if self.parallel is None or is_last:
            return contextlib.nullcontext()
        return self.parallel.no_sync()

    def _show(self, loss_sum: Tensor, view: TrainingView) -> None:
        state, now, loss = self.state, time.monotonic(), None
        in_epoch = state.step - state.epoch * self.steps_per_epoch
        if now - self.last_loss > SECONDS_BETWEEN_LOSSES:
            self.last_loss = now
            loss = float(loss_sum) * get_world_size() / sum(self.sizes[: state.batch])  # of this rank's posts
        posts = sum(self.sizes[(in_epoch - 1) * self.config.accumulate : state.batch])
        view.step(epoch=state.epoch + 1, step=in_epoch, rate=self._rate, posts=posts, loss=loss)

    def _is_time_to_save(self) -> bool:
        return self._has_waited(SECONDS_BETWEEN_CHECKPOINTS) and self.state.batch < len(self.sizes)

    def _has_waited(self, seconds: float) -> bool:
        return time.monotonic() - self.last_saved > max(seconds, self.saving / CHECKPOINT_SHARE)

    def _agreed(self, wants: bool) -> bool:
        """Whether some rank wants it; ranks ask each other now and then."""
        if get_world_size() == 1 or self.state.step % STEPS_BETWEEN_TALKS:
            return wants and get_world_size() == 1
        return sum_over_ranks(float(wants)) > 0

    def _save(self, loss_sum: Tensor) -> None:
        self.state.loss_sum = self._must_be_finite(sum_over_ranks(float(loss_sum)))
        self._write()

    def _write(self) -> None:
        start = time.monotonic()
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.learning):
            raise EngageError(f"weights are no longer finite in epoch {self.state.epoch + 1}; {self._advice()}")
        self.state.seconds = self._seconds()
        self.checkpoints.save(self.model, self.optimizer, self.scaler, self.average, vars(self.state))
        self.last_saved = time.monotonic()
        self.saving = self.last_saved - start

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def _is_out_of_patience(self) -> bool:
        return self.config.patience > 0 and self.state.epoch - self.state.best_epoch >= self.config.patience

    def _must_be_finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise EngageError(f"the loss is no longer finite in epoch {self.state.epoch + 1}; {self._advice()}")
        return loss

    def _advice(self) -> str:
        kept = f"the best weights (epoch {self.state.best_epoch}) are kept in {self.checkpoints.folder}"
        return (
            f"{kept if self.state.best_epoch else 'no epoch was finished'}; try another run, with a smaller "
            f"--learning-rate than {self.config.learning_rate:g}, or --precision bf16 or fp32"
        )

    def _how_to_go_on(self) -> str:
        best = f"the best weights so far (epoch {self.state.best_epoch}) are in {self.checkpoints.folder}"
        place = f"epoch {self.state.epoch + 1}, step {self.state.step}"
        kept = best if self.state.best_epoch else "no epoch was finished"
        return f"stopped in {place}; {kept}; give the same command again to continue"
