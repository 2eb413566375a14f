"""Train a regressor or a classifier on stored features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engage_cli.core.checkpoints import Checkpoints
from engage_cli.core.config import EncoderConfig, TrainConfig
from engage_cli.core.dataset import Dataset
from engage_cli.core.devices import find_device
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.fusion import FUSIONS
from engage_cli.core.leakage import known_before
from engage_cli.core.metrics import true_of
from engage_cli.core.model import EngagementModel, num_parameters, seed_everything
from engage_cli.core.objectives import OBJECTIVES, Objective
from engage_cli.core.posts import parse_blocks
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import Run, clear_stage, finish_run, open_run
from engage_cli.core.targets import require_variety
from engage_cli.core.training import AMP_DTYPES, StoredBatches, fit
from engage_cli.steps.embed import stored_blocks


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """A finished training, with its validation scores: the best of many epochs, so optimistic."""

    run: Run
    went_on: bool
    warnings: tuple[str, ...] = ()


def train_neural(
    config: TrainConfig,
    *,
    kind: str,
    command: str,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder, going on where an equal command was killed."""
    reporter = reporter or SilentReporter()
    _check(config, kind)
    blocks = parse_blocks(config.blocks)
    target = dataset.target(config.target)
    rows = {part: dataset.rows(part, target) for part in ("train", "validation")}
    source = stored_blocks(dataset, encoders, blocks, reporter)
    meta: dict[str, Any] = {
        "model": "neural",
        "kind": kind,
        "config": dataclasses.asdict(config),
        "data": {"fingerprint": dataset.fingerprint, "split": dataset.meta["split"]["method"]},
        "encoders": {
            side: {"name": store.encoder.checkpoint.name, **store.encoder.record} for side, store in source.stores.items()
        },
        "leaky": False,
        "marks": list(dataset.marks),
    }
    seed_everything(config.seed)
    device = find_device()
    objective: Objective = OBJECTIVES[kind].load(config.objective)(target)
    posts = dataset.posts
    parts = {}
    for part, numbers in rows.items():
        some = posts.iloc[numbers]
        parts[part] = (source.blocks(known_before(some), blocks), target.score(some))
    stored, scores = parts["train"]
    absent = [name for name, block in stored.items() if not block.mask.any()]
    if len(absent) == len(blocks):
        raise EngageError(
            f"no training post has {' or '.join(absent)}: there is nothing to learn from; name other --blocks"
        )
    if absent:
        reporter.say(f"no training post has {' or '.join(absent)}: the model learns without")
    require_variety(true_of(kind, scores, target.classes(scores)), kind, target.name)
    dims = {name: int(block.values.shape[-1]) for name, block in parts["train"][0].items()}
    meta["dims"] = dims
    batches = {
        part: StoredBatches(
            stored,
            objective.encode(torch.from_numpy(scores)),
            batch_size=config.batch_size,
            device=device,
            seed=config.seed if part == "train" else None,
        )
        for part, (stored, scores) in parts.items()
    }
    model = EngagementModel(
        dims, fusion=config.fusion, width=config.width, dropout=config.dropout, out_dim=objective.out_dim
    ).to(device)
    scores = parts["validation"][1]
    with open_run(run, runs_dir, command=command, meta=meta, target=target) as (folder, goes_on):
        checkpoints = Checkpoints(folder)
        if not goes_on:
            clear_stage(folder)
        reporter.say(f"{'going on with' if goes_on else 'training'} {folder} ({num_parameters(model):,} parameters)")
        progress = fit(
            model,
            objective,
            batches["train"],
            batches["validation"],
            true_of(kind, scores, target.classes(scores)),
            config,
            checkpoints=checkpoints,
            device=device,
            reporter=reporter,
        )
        checkpoints.forget()
        best = progress.history[progress.best_epoch - 1]
        finished = finish_run(
            folder,
            {
                "split": "validation",
                "note": "the best of all epochs, chosen on these rows: optimistic; `engage evaluate` reads the test split",
                "best_epoch": progress.best_epoch,
                "epochs": progress.epoch,
                "rows": {part: len(numbers) for part, numbers in rows.items()},
                "metrics": best["validation"],
                "parameters": num_parameters(model),
                "seconds": round(progress.seconds, 1),
                "leaky": False,
            },
        )
    return TrainSummary(run=finished, went_on=goes_on, warnings=dataset.marks)


def _check(config: TrainConfig, kind: str) -> None:
    FUSIONS.check(config.fusion)
    OBJECTIVES[kind].check(config.objective)
    if config.precision not in AMP_DTYPES:
        raise WrongCallError(f"unknown precision '{config.precision}'; there are: {', '.join(AMP_DTYPES)}")
    if config.tune != "none":
        raise WrongCallError(f"unknown --tune '{config.tune}'; there is: none (train on stored features)")
