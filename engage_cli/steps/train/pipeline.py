"""The default pipeline: a Gaussian process, CatBoost and a neural model of one target, weighed together in one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engage_cli.config.general import LOCAL, EncoderConfig, EngineConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import CatBoostConfig, EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.schema import EMBEDDED
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.objectives import WITHIN_EXPERIMENTS
from engage_cli.models.trainer import make_problem
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta
from engage_cli.runtime.ray_pieces import check_engine, run_on_ray
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.train._neural import train_neural
from engage_cli.steps.train._run_inputs import data_of, parse_kind
from engage_cli.steps.train.catboost import train_catboost
from engage_cli.steps.train.ensemble import EnsembleTrainer
from engage_cli.steps.train.gaussian_process import train_process
from engage_cli.steps.train.training import TrainSummary, train_run

COMMAND = "train"


def train_ensemble(config: EnsembleConfig, *, how: EngineConfig = LOCAL, **rest: Any) -> TrainSummary:
    """Train as `train_run` does; with the engine ray each member is trained by a worker."""
    check_engine(how)
    return train_run(partial(_make, how), config, **rest)


def train_member(config: EnsembleConfig, encoders: EncoderConfig, data: Path, name: str, place: Path) -> None:
    """Train one member on its own, as a worker does: whatever it reads is in the data folder already."""
    TRAINERS[name](config, dataset=load_dataset(data), encoders=encoders, run=place, reporter=SilentReporter())


def _make(
    how: EngineConfig, config: EnsembleConfig, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter
) -> EnsembleTrainer:
    kind, names = parse_kind(config.kind), _names(config)
    meta = RunMeta(
        command=COMMAND,
        model=ENSEMBLE,
        kind=kind,
        config=dataclasses.asdict(config),
        asked=dataclasses.asdict(encoders),
        data=data_of(dataset),
        members=tuple(names),
        marks=tuple(dataset.marks),
    )

    def train(name: str, place: Path) -> TrainSummary:
        return TRAINERS[name](config, dataset=dataset, encoders=encoders, run=place, reporter=reporter)

    def train_elsewhere(places: Mapping[str, Path], reporter: Reporter) -> None:
        if places:
            stored_blocks(dataset, encoders, EMBEDDED, reporter)  # of several workers that embedded, one alone might write
        data = dataset.folder.resolve()
        pieces = [(config, encoders, data, name, place.resolve()) for name, place in places.items()]
        run_on_ray(train_member, pieces, how, reporter, title="training the members")

    problem = make_problem(dataset, dataset.target(config.target), kind)
    elsewhere = train_elsewhere if how.engine == "ray" else None
    return EnsembleTrainer(problem, meta, {name: partial(train, name) for name in names}, elsewhere=elsewhere)


def _names(config: EnsembleConfig) -> list[str]:
    names = [name.strip() for name in config.members.split(",")]
    if unknown := [name for name in names if name not in TRAINERS]:
        raise WrongCallError(f"unknown --members '{unknown[0]}'; give one of: {', '.join(TRAINERS)}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise WrongCallError("--members names two or more different models, separated by commas")
    return names


def _shared(config: EnsembleConfig) -> dict[str, Any]:
    return {"target": config.target, "vision": config.vision, "text": config.text, "seed": config.seed}


def _process(config: EnsembleConfig, **how: Any) -> TrainSummary:
    return train_process(GaussianProcessConfig(kind=config.kind, **_shared(config)), **how)


def _catboost(config: EnsembleConfig, **how: Any) -> TrainSummary:
    return train_catboost(CatBoostConfig(kind=config.kind, **_shared(config)), **how)


def _neural(config: EnsembleConfig, *, dataset: Dataset, **how: Any) -> TrainSummary:
    given = _shared(config)
    problem = make_problem(dataset, dataset.target(config.target), parse_kind(config.kind))
    if problem.kind == "value" and problem.train.known.any and problem.validation.known.any:
        given["objective"] = WITHIN_EXPERIMENTS
    resolved = resolve(problem.kind, "frozen", given, has_gpu=torch.cuda.is_available())
    return train_neural(resolved, dataset=dataset, **how)


TRAINERS: dict[str, Callable[..., TrainSummary]] = {"gp": _process, "catboost": _catboost, "neural": _neural}
