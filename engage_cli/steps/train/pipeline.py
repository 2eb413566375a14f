"""The default pipeline: a Gaussian process, CatBoost and a neural model of one target, weighed together in one run."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import CatBoostConfig, EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.targets.target import require_variety
from engage_cli.errors import WrongCallError
from engage_cli.metrics.metrics import true_of
from engage_cli.models.neural.objectives import WITHIN_EXPERIMENTS
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.model_table import ENSEMBLE
from engage_cli.runs.records import RunMeta
from engage_cli.runtime.distributed import get_world_size
from engage_cli.steps.train._members import Train, train_members
from engage_cli.steps.train._run_inputs import data_of, kind_of
from engage_cli.steps.train.catboost import KINDS, train_catboost
from engage_cli.steps.train.gaussian_process import train_process
from engage_cli.steps.train.neural import TrainSummary, train_neural

COMMAND = "train"


def train_ensemble(
    config: EnsembleConfig,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train the members and weigh them to a finished run; a killed training goes on with the member where it was."""
    reporter = reporter or SilentReporter()
    if config.kind not in KINDS:
        raise WrongCallError(f"unknown --as '{config.kind}'; there are: {', '.join(KINDS)}")
    if get_world_size() > 1:
        raise WrongCallError("engage train runs in one process; under torchrun use train-regressor or train-classifier")
    names = _names(config)
    target = dataset.target(config.target)
    scores = target.score(dataset.posts.iloc[dataset.rows("train", target)])
    require_variety(true_of(config.kind, scores, target.classes(scores)), config.kind, target.name)
    meta = RunMeta(
        command=COMMAND,
        model=ENSEMBLE,
        kind=kind_of(config.kind),
        config=dataclasses.asdict(config),
        asked=dataclasses.asdict(encoders),
        data=data_of(dataset),
        members=tuple(names),
        marks=tuple(dataset.marks),
    )
    return train_members(
        {n: partial(TRAINERS[n], config, dataset=dataset, encoders=encoders, reporter=reporter) for n in names},
        meta,
        target=target,
        dataset=dataset,
        run=run,
        runs_dir=runs_dir,
        reporter=reporter,
    )


def _names(config: EnsembleConfig) -> list[str]:
    names = [name.strip() for name in config.members.split(",")]
    if unknown := [name for name in names if name not in TRAINERS]:
        raise WrongCallError(f"unknown --members '{unknown[0]}'; there are: {', '.join(TRAINERS)}")
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
    if config.kind == "value" and _are_experiments(dataset, config.target):
        given["objective"] = WITHIN_EXPERIMENTS
    resolved = resolve(config.kind, "frozen", given, has_gpu=torch.cuda.is_available())
    command = "train-regressor" if config.kind == "value" else "train-classifier"
    return train_neural(resolved, kind=kind_of(config.kind), command=command, dataset=dataset, **how)


def _are_experiments(dataset: Dataset, name: str) -> bool:
    """Whether there are experiments among the training posts, and among the validation posts."""
    target = dataset.target(name)
    parts = (dataset.posts.iloc[dataset.rows(part, target)] for part in ("train", "validation"))
    return all(experiment_arrays(posts, target).any for posts in parts)


TRAINERS: dict[str, Train] = {"gp": _process, "catboost": _catboost, "neural": _neural}
