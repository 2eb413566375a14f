"""Train a regressor or a classifier, on stored features or with the encoders in the loop."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import torch

from engage_cli.config.general import LARGEST_SEED, STUDY, EncoderConfig
from engage_cli.config.recipes import RECIPE_DESCRIPTIONS, Resolved
from engage_cli.config.training import TrainConfig
from engage_cli.data.dataset import Dataset
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.finetuning import parse_finetune
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.model import EngagementModel, num_parameters, seed_everything
from engage_cli.models.neural.objectives import OBJECTIVES, Objective
from engage_cli.models.neural.objectives.within_experiments import WithinExperimentsObjective
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.schedule import SCHEDULES
from engage_cli.models.neural.training.state import Progress
from engage_cli.models.neural.training.task import Task
from engage_cli.models.trainer import Trainer, make_problem, problem_within
from engage_cli.plots.training_log import HistoryLog, require_tensorboard
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.model_table import FINETUNED, NEURAL
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runtime.devices import MIXED_PRECISIONS, find_device, matmul_precision
from engage_cli.runtime.distributed import get_rank, get_world_size
from engage_cli.steps.train._neural_inputs import find_numbers, make_inputs, problem_beyond_growth
from engage_cli.steps.train._run_inputs import data_of
from engage_cli.steps.train.training import train_run

OF_PICTURES_IN_THE_LOOP = ("flip", "crop", "checkpointing", "layer_decay", "head_lr")
NOTE = "the best of all epochs, chosen on these rows: optimistic; `engage evaluate` reads the test split"


class NeuralTrainer(Trainer):
    """Trains a network on stored embeddings, or with its encoders. Its checkpoints lie in the run's folder."""

    in_ranks = True
    checkpoints: Checkpoints  # these two after `fit`
    progress: Progress

    def __init__(self, resolved: Resolved, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> None:
        check_training(resolved)
        self.config = config = resolved.config
        self.device = device = find_device()
        if resolved.recipe == STUDY:
            encoders = encoders.settled(is_own=True)
        reporter.say(_describe(resolved))
        if config.precision == "fp16" and device.type == "cpu":
            reporter.say("fp16 on a CPU is slow and gains nothing: --precision fp32, or bf16 where the processor has it")
        torch.set_float32_matmul_precision(matmul_precision(device))  # before anything is loaded, whatever that sets
        if device.type == "cuda":
            torch.cuda.set_device(device)
        self.problem = make_problem(dataset, dataset.target(config.target), resolved.kind)
        self.objective: Objective = OBJECTIVES[resolved.kind].load(config.objective)(self.problem.target, config)
        seed_everything(config.seed)
        self.learned = self.problem
        if isinstance(self.objective, WithinExperimentsObjective):
            self.learned = problem_within(self.problem)
        self.numbers = find_numbers(self.learned, config)
        self.learned = problem_beyond_growth(self.learned, self.numbers)
        numbers = None if self.numbers is None else self.numbers.reader.inputs
        self.inputs = inputs = make_inputs(self.learned, config, encoders, self.objective, device, reporter, self.numbers)
        if config.tf32 and device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        self.model = EngagementModel(
            inputs.dims,
            config,
            out_dim=self.objective.out_dim,
            towers=inputs.towers,
            num_tokens=encoders.tokens,
            num_numbers=0 if numbers is None else numbers.width,
        ).to(device)
        self.learning = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.about = f" ({num_parameters(self.model):,} parameters, {self.learning:,} learn)"
        if not inputs.towers:  # to train encoders five times more is not worth it
            self.refit = partial(NeuralTrainer, resolved, encoders)
        self.meta = RunMeta(
            command=resolved.command,
            model=FINETUNED if inputs.towers else NEURAL,
            kind=resolved.kind,
            recipe=resolved.recipe,
            given=resolved.given,
            config=dataclasses.asdict(config),
            ranks=get_world_size(),
            data=data_of(dataset),
            encoders=inputs.encoders,
            dims=inputs.dims,
            numbers=numbers,
            marks=tuple(dataset.marks),
        )

    def fit(self, folder: Path, reporter: Reporter) -> None:
        """Train, the best weights written as they are found."""
        inputs, is_first = self.inputs, get_rank() == 0
        self.checkpoints = Checkpoints(folder, writes=is_first)
        self.progress = fit(
            Task(
                model=self.model,
                objective=self.objective,
                train=inputs.train,
                validation=inputs.validation,
                true=self.learned.validation.truth,
            ),
            self.config,
            checkpoints=self.checkpoints,
            device=self.device,
            reporter=reporter,
            log=HistoryLog(folder, self.problem.kind, tensorboard=self.config.tensorboard, writes=is_first),
        )
        if self.progress.collapse:
            self.warnings = (self.progress.collapse,)

    def save(self, folder: Path) -> None:
        """Write what the score of words is made with; a network's own weights lie there from its first epoch on."""
        if self.numbers is not None:
            self.numbers.reader.save(folder)

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        progress, device = self.progress, self.device
        return RunMetrics(
            note=NOTE,
            best_epoch=progress.best_epoch,
            averaged_epochs=tuple(progress.averaged),
            epochs=progress.epoch,
            metrics={} if self.learned is not self.problem else progress.scores,  # of what it learned, not of posts
            collapse=progress.collapse,
            parameters=num_parameters(self.model),
            trained_parameters=self.learning,
            seconds=round(progress.seconds, 1),
            peak_gpu_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        )

    def forget(self) -> None:
        self.checkpoints.forget()


def _describe(resolved: Resolved) -> str:
    names = {field.name for field in dataclasses.fields(TrainConfig)} & set(resolved.given)
    given = ", ".join(f"--{name.replace('_', '-')} {resolved.given[name]}" for name in resolved.given if name in names)
    return f"recipe {resolved.recipe}: {RECIPE_DESCRIPTIONS[resolved.recipe]}{f'; given: {given}' if given else ''}"


def check_training(resolved: Resolved) -> None:
    """Raise WrongCallError for what no training can be asked for."""
    config = resolved.config
    FUSIONS.check(config.fusion)
    OBJECTIVES[resolved.kind].check(config.objective)
    for name, value, there in (
        ("precision", config.precision, tuple(MIXED_PRECISIONS)),
        ("schedule", config.schedule, SCHEDULES),
    ):
        if value not in there:
            raise WrongCallError(f"unknown --{name} '{value}'; give one of: {', '.join(there)}")
    if config.seed + config.seeds - 1 > LARGEST_SEED:
        raise WrongCallError(f"--seed {config.seed} and the {config.seeds - 1} after it: a seed is at most {LARGEST_SEED}")
    if config.tensorboard:
        require_tensorboard()
    if parse_finetune(config.finetune).mode == "none":
        for name in OF_PICTURES_IN_THE_LOOP:
            if name in resolved.given:
                raise WrongCallError(f"--{name.replace('_', '-')} is for encoders that are trained; give --finetune too")


train_neural = partial(train_run, NeuralTrainer)
