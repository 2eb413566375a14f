"""One neural model of several seeds: they differ by chance, and their mean errs less than they do on average."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import Resolved
from engage_cli.data.dataset import Dataset
from engage_cli.errors import WrongCallError
from engage_cli.models.trainer import Trainer, make_problem
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta
from engage_cli.runtime.distributed import get_world_size
from engage_cli.steps.train._neural import NeuralTrainer, check_training, train_neural
from engage_cli.steps.train._run_inputs import data_of
from engage_cli.steps.train.ensemble import EnsembleTrainer
from engage_cli.steps.train.training import TrainSummary, train_run


def _make(resolved: Resolved, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> Trainer:
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

    problem = make_problem(dataset, dataset.target(config.target), resolved.kind)
    return EnsembleTrainer(problem, meta, {name: partial(train, one) for name, one in alone.items()}, is_equal=True)


# As train_neural does, `config.seeds` times; predictions are averaged (of classes: their normal scores).
train_seeds = partial(train_run, _make)
