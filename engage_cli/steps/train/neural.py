"""Train a regressor or a classifier, on stored features or with the encoders in the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from engage_cli.config.general import LARGEST_SEED, STUDY, EncoderConfig
from engage_cli.config.recipes import RECIPE_DESCRIPTIONS, Resolved
from engage_cli.config.training import TrainConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import parse_blocks
from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.models.neural.finetuning import parse_finetune
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.model import EngagementModel, num_parameters, seed_everything
from engage_cli.models.neural.objectives import OBJECTIVES, Objective
from engage_cli.models.neural.training.checkpoints import Checkpoints
from engage_cli.models.neural.training.loop import fit
from engage_cli.models.neural.training.schedule import SCHEDULES
from engage_cli.models.neural.training.state import Progress
from engage_cli.models.neural.training.task import Task
from engage_cli.plots.training_log import HistoryLog, require_tensorboard
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import Say, clear_stage, finish_run, open_run
from engage_cli.runs.model_table import FINETUNED, NEURAL
from engage_cli.runs.records import Kind, RunMeta, RunMetrics
from engage_cli.runs.run_folder import Run, load_run
from engage_cli.runtime.devices import MIXED_PRECISIONS, find_device, matmul_precision
from engage_cli.runtime.distributed import get_rank, get_world_size, share_text, together, wait_for_all
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._calibrate import calibrate
from engage_cli.steps.train._cross_fit import cross_fit, train_and_ask
from engage_cli.steps.train._neural_inputs import Inputs, make_inputs
from engage_cli.steps.train._run_inputs import data_of

OF_PICTURES_IN_THE_LOOP = ("flip", "crop", "checkpointing", "layer_decay", "head_lr")
REFUSED, GOES_ON, NEW = "refused", "goes on", "new"  # what the first rank tells the others of the run's folder
NOTE = "the best of all epochs, chosen on these rows: optimistic; `engage evaluate` reads the test split"


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """A finished training, with its validation scores: the best of many epochs, so optimistic."""

    run: Run
    went_on: bool
    warnings: tuple[str, ...] = ()


def train_neural(
    resolved: Resolved,
    *,
    kind: Kind,
    command: str,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder, going on where an equal command was killed. Under torchrun all ranks call it."""
    config = resolved.config
    check_training(resolved, kind)
    if resolved.recipe == STUDY:
        encoders = encoders.settled(is_own=True)
    device = find_device()
    if reporter is None or get_rank() > 0:
        reporter = SilentReporter()
    reporter.say(_describe(resolved))
    if config.precision == "fp16" and device.type == "cpu":
        reporter.say("fp16 on a CPU is slow and gains nothing: --precision fp32, or bf16 where the processor has it")
    with together(on_gpu=device.type == "cuda"):
        return _train(resolved, kind, command, dataset, encoders, run, runs_dir, device, reporter)


def _train(
    resolved: Resolved,
    kind: Kind,
    command: str,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None,
    runs_dir: Path,
    device: torch.device,
    reporter: Reporter,
) -> TrainSummary:
    config, is_first = resolved.config, get_rank() == 0
    torch.set_float32_matmul_precision(matmul_precision(device))  # before anything is loaded, whatever that sets
    if device.type == "cuda":
        torch.cuda.set_device(device)
    target = dataset.target(config.target)
    objective: Objective = OBJECTIVES[kind].load(config.objective)(target, config)
    seed_everything(config.seed)
    inputs = make_inputs(
        dataset,
        config,
        encoders,
        target=target,
        objective=objective,
        blocks=parse_blocks(config.blocks),
        device=device,
        reporter=reporter,
    )
    if config.tf32 and device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    model = EngagementModel(
        inputs.dims, config, out_dim=objective.out_dim, towers=inputs.towers, num_tokens=encoders.tokens
    ).to(device)
    meta = _meta(resolved, kind, command, dataset, inputs)
    with _open_together(run, runs_dir, meta, target, reporter.say) as (folder, goes_on):
        checkpoints = Checkpoints(folder, writes=is_first)
        if not goes_on and is_first:
            clear_stage(folder)
        learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
        reporter.say(
            f"{'continuing' if goes_on else 'training'} {folder} ({num_parameters(model):,} parameters, {learning:,} learn)"
        )
        wait_for_all()
        progress = fit(
            Task(model=model, objective=objective, train=inputs.train, validation=inputs.validation, true=inputs.true),
            config,
            checkpoints=checkpoints,
            device=device,
            reporter=reporter,
            log=HistoryLog(folder, kind, tensorboard=config.tensorboard, writes=is_first),
        )
        trained = Run(folder, meta, target)
        source = source_of(trained, dataset, reporter)  # on every rank: they look at the stores together
        if is_first:
            held_out = None
            if not inputs.towers:  # to train encoders five times more is not worth it
                held_out = cross_fit(
                    partial(train_and_ask, partial(_train_again, resolved, kind, command, encoders), dataset),
                    kind=kind,
                    dataset=dataset,
                    target=target,
                    folder=folder,
                    reporter=reporter,
                )
            evidence = calibrate(trained, dataset, source, reporter, held_out=held_out)
            metrics = _metrics(progress, inputs, dataset.marks, model, learning, device)
            finish_run(folder, dataclasses.replace(metrics, evidence=evidence))
        checkpoints.forget()
        wait_for_all()
    collapse = progress.collapse
    return TrainSummary(
        run=load_run(folder), went_on=goes_on, warnings=(*dataset.marks, *((collapse,) if collapse else ()))
    )


def _meta(resolved: Resolved, kind: Kind, command: str, dataset: Dataset, inputs: Inputs) -> RunMeta:
    return RunMeta(
        command=command,
        model=FINETUNED if inputs.towers else NEURAL,
        kind=kind,
        recipe=resolved.recipe,
        given=resolved.given,
        config=dataclasses.asdict(resolved.config),
        ranks=get_world_size(),
        data=data_of(dataset),
        encoders=inputs.encoders,
        dims=inputs.dims,
        marks=tuple(dataset.marks),
    )


def _train_again(
    resolved: Resolved, kind: Kind, command: str, encoders: EncoderConfig, dataset: Dataset, run: Path
) -> TrainSummary:
    return train_neural(resolved, kind=kind, command=command, dataset=dataset, encoders=encoders, run=run)


def _metrics(
    progress: Progress, inputs: Inputs, marks: Sequence[str], model: EngagementModel, learning: int, device: torch.device
) -> RunMetrics:
    return RunMetrics(
        note=NOTE,
        best_epoch=progress.best_epoch,
        averaged_epochs=tuple(progress.averaged),
        epochs=progress.epoch,
        rows=inputs.rows,
        metrics=progress.scores,
        collapse=progress.collapse,
        parameters=num_parameters(model),
        trained_parameters=learning,
        seconds=round(progress.seconds, 1),
        marks=tuple(marks),
        peak_gpu_memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    )


@contextmanager
def _open_together(
    run: Path | None, runs_dir: Path, meta: RunMeta, target: Target, say: Say
) -> Iterator[tuple[Path, bool]]:
    """Open the run on the first rank, which holds its lock, and tell the others where it is."""
    if get_rank() > 0:
        how, _, what = share_text("").partition("|")
        if how == REFUSED:
            raise EngageError(what)
        yield Path(what), how == GOES_ON
        return
    with ExitStack() as stack:
        try:
            opened = open_run(run, runs_dir, meta=meta, target=target, say=say)
            path, went_on = stack.enter_context(opened)
        except EngageError as error:
            share_text(f"{REFUSED}|{error}")
            raise
        share_text(f"{GOES_ON if went_on else NEW}|{path}")
        yield path, went_on


def _describe(resolved: Resolved) -> str:
    names = {field.name for field in dataclasses.fields(TrainConfig)} & set(resolved.given)
    given = ", ".join(f"--{name.replace('_', '-')} {resolved.given[name]}" for name in resolved.given if name in names)
    return f"recipe {resolved.recipe}: {RECIPE_DESCRIPTIONS[resolved.recipe]}{f'; given: {given}' if given else ''}"


def check_training(resolved: Resolved, kind: str) -> None:
    """Raise WrongCallError for what no training can be asked for."""
    config = resolved.config
    FUSIONS.check(config.fusion)
    OBJECTIVES[kind].check(config.objective)
    for name, value, there in (
        ("precision", config.precision, tuple(MIXED_PRECISIONS)),
        ("schedule", config.schedule, SCHEDULES),
    ):
        if value not in there:
            raise WrongCallError(f"unknown --{name} '{value}'; there are: {', '.join(there)}")
    if config.seed + config.seeds - 1 > LARGEST_SEED:
        raise WrongCallError(f"--seed {config.seed} and the {config.seeds - 1} after it: a seed is at most {LARGEST_SEED}")
    if config.tensorboard:
        require_tensorboard()
    if parse_finetune(config.finetune).mode == "none":
        for name in OF_PICTURES_IN_THE_LOOP:
            if name in resolved.given:
                raise WrongCallError(f"--{name.replace('_', '-')} is for encoders that are trained; give --finetune too")
