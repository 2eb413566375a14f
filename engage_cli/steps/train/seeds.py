"""One neural model of several seeds: they differ by chance, and their mean errs less than they do on average."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from engage_cli.config.general import LOCAL, EncoderConfig, EngineConfig
from engage_cli.config.recipes import Resolved
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.finetuning import parse_finetune
from engage_cli.models.trainer import Trainer, make_problem
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta
from engage_cli.runtime.distributed import get_world_size
from engage_cli.runtime.ray_pieces import check_engine, run_on_ray
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.train._neural import NeuralTrainer, check_training, train_neural
from engage_cli.steps.train._neural_inputs import parse_inputs
from engage_cli.steps.train._run_inputs import data_of
from engage_cli.steps.train.ensemble import EnsembleTrainer
from engage_cli.steps.train.training import TrainSummary, train_run


def train_seeds(resolved: Resolved, *, how: EngineConfig = LOCAL, **rest: Any) -> TrainSummary:
    """As train_neural does, `config.seeds` times; predictions are averaged (of classes: their normal scores).

    With the engine ray each seed is trained by a worker.
    """
    check_engine(how)
    if how.engine == "ray" and resolved.config.seeds == 1:
        raise WrongCallError("--engine ray trains one model of each seed: give --seeds 2 or more, or leave it out")
    return train_run(partial(_make, how), resolved, **rest)


def train_seed(one: Resolved, encoders: EncoderConfig, data: Path, place: Path) -> None:
    """Train the model of one seed on its own, as a worker does."""
    train_neural(one, dataset=load_dataset(data), encoders=encoders, run=place, reporter=SilentReporter())


def _make(how: EngineConfig, resolved: Resolved, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> Trainer:
    config = resolved.config
    if config.seeds == 1:
        return NeuralTrainer(resolved, encoders, dataset, reporter)
    check_training(resolved)
    if get_world_size() > 1:
        raise WrongCallError(
            f"{config.seeds} seeds are trained in one process; under torchrun give --seeds 1 and a --seed each time, and "
            "combine the runs with `engage evaluate --ensemble`"
        )
    given = {name: value for name, value in resolved.given.items() if name not in ("seed", "seeds")}
    alone = {
        f"seed-{seed}": resolved._replace(given=given, config=dataclasses.replace(config, seed=seed, seeds=1))
        for seed in range(config.seed, config.seed + config.seeds)
    }
    meta = RunMeta(
        command=resolved.command,
        model=ENSEMBLE,
        kind=resolved.kind,
        recipe=resolved.recipe,
        given=resolved.given,
        config=dataclasses.asdict(config),
        asked=dataclasses.asdict(encoders),
        data=data_of(dataset),
        members=tuple(alone),
        marks=tuple(dataset.marks),
    )

    def train(one: Resolved, place: Path) -> TrainSummary:
        return train_neural(one, dataset=dataset, encoders=encoders, run=place, reporter=reporter)

    def train_elsewhere(places: Mapping[str, Path], reporter: Reporter) -> None:
        if places and parse_finetune(config.finetune).mode == "none":
            stored_blocks(dataset, encoders, parse_inputs(config.blocks)[0], reporter)
        data = dataset.folder.resolve()
        pieces = [(alone[name], encoders, data, place.resolve()) for name, place in places.items()]
        run_on_ray(train_seed, pieces, how, reporter, title="training the seeds")

    problem = make_problem(dataset, dataset.target(config.target), resolved.kind)
    members = {name: partial(train, one) for name, one in alone.items()}
    elsewhere = train_elsewhere if how.engine == "ray" else None
    return EnsembleTrainer(problem, meta, members, is_equal=True, elsewhere=elsewhere)
