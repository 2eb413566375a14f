"""The default pipeline: a Gaussian process, CatBoost and a neural model of one target, weighed together in one run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import CatBoostConfig, EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.errors import WrongCallError
from engage_cli.models.neural.objectives import WITHIN_EXPERIMENTS
from engage_cli.models.trainer import make_problem
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta
from engage_cli.steps.train._neural import train_neural
from engage_cli.steps.train._run_inputs import data_of, parse_kind
from engage_cli.steps.train.catboost import train_catboost
from engage_cli.steps.train.ensemble import EnsembleTrainer
from engage_cli.steps.train.gaussian_process import train_process
from engage_cli.steps.train.training import TrainSummary, train_run

COMMAND = "train"


def _make(config: EnsembleConfig, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> EnsembleTrainer:
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

    problem = make_problem(dataset, dataset.target(config.target), kind)
    return EnsembleTrainer(problem, meta, {name: partial(train, name) for name in names})


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


train_ensemble = partial(train_run, _make)
TRAINERS: dict[str, Callable[..., TrainSummary]] = {"gp": _process, "catboost": _catboost, "neural": _neural}
