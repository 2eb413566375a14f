"""One neural model of several seeds: they differ by chance, and their mean errs less than they do on average."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import Resolved
from engage_cli.data.dataset import Dataset
from engage_cli.errors import WrongCallError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import Kind, RunMeta
from engage_cli.runtime.distributed import get_world_size
from engage_cli.steps.train._members import train_members
from engage_cli.steps.train._run_inputs import data_of
from engage_cli.steps.train.neural import TrainSummary, check_training, train_neural


def train_seeds(
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
    """Train as train_neural does, `config.seeds` times; predictions are averaged (of classes: their normal scores)."""
    config = resolved.config
    train = partial(train_neural, kind=kind, command=command, dataset=dataset, encoders=encoders, reporter=reporter)
    if config.seeds == 1:
        return train(resolved, run=run, runs_dir=runs_dir)
    check_training(resolved, kind)
    if get_world_size() > 1:
        raise WrongCallError(
            f"{config.seeds} seeds are trained in one process; under torchrun give --seeds 1 and a --seed each time, and "
            "combine the runs with `engage evaluate --ensemble`"
        )
    given = {name: value for name, value in resolved.given.items() if name not in ("seed", "seeds")}
    alone = {
        f"seed-{seed}": Resolved(resolved.recipe, given, dataclasses.replace(config, seed=seed, seeds=1))
        for seed in range(config.seed, config.seed + config.seeds)
    }
    meta = RunMeta(
        command=command,
        model=ENSEMBLE,
        kind=kind,
        recipe=resolved.recipe,
        given=resolved.given,
        config=dataclasses.asdict(config),
        asked=dataclasses.asdict(encoders),
        data=data_of(dataset),
        members=tuple(alone),
        marks=tuple(dataset.marks),
    )
    return train_members(
        {name: partial(train, one) for name, one in alone.items()},
        meta,
        target=dataset.target(config.target),
        dataset=dataset,
        run=run,
        runs_dir=runs_dir,
        reporter=reporter or SilentReporter(),
        is_equal=True,
    )
