"""engage train."""

from __future__ import annotations

from typing import Annotated

import typer

from engage_cli.commands.options import (
    DEFAULT_DATA,
    DEFAULT_RUNS,
    DataOpt,
    DtypeOpt,
    EncoderPrecisionOpt,
    FramingOpt,
    JsonOpt,
    PoolOpt,
    RunOpt,
    RunsOpt,
    SeedOpt,
    TargetOpt,
    TextOpt,
    VisionOpt,
)
from engage_cli.commands.train_output import show_training
from engage_cli.core.config import EncoderConfig, EnsembleConfig, help_of


def train(
    data: DataOpt = DEFAULT_DATA,
    target: TargetOpt = EnsembleConfig.target,
    kind: Annotated[str, typer.Option("--as", help=help_of(EnsembleConfig, "kind") + " One of: value, classes.")] = (
        EnsembleConfig.kind
    ),
    members: Annotated[str, typer.Option("--members", help=help_of(EnsembleConfig, "members"))] = EnsembleConfig.members,
    vision: VisionOpt = EnsembleConfig.vision,
    text: TextOpt = EnsembleConfig.text,
    run: RunOpt = None,
    runs: RunsOpt = DEFAULT_RUNS,
    seed: SeedOpt = EnsembleConfig.seed,
    json: JsonOpt = False,
    pool: PoolOpt = EncoderConfig.pool,
    framing: FramingOpt = EncoderConfig.framing,
    encoder_precision: EncoderPrecisionOpt = EncoderConfig.precision,
    dtype: DtypeOpt = EncoderConfig.dtype,
) -> None:
    """Train the default pipeline: a Gaussian process, CatBoost and a neural model, weighed together.

    engage train --target views

    engage train --target engagement --as classes
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.train_ensemble import train_ensemble

    summary = train_ensemble(
        EnsembleConfig(target=target, kind=kind, members=members, vision=vision, text=text, seed=seed),
        dataset=load_dataset(data),
        encoders=EncoderConfig(
            vision=vision, text=text, precision=encoder_precision, pool=pool, framing=framing, dtype=dtype
        ),
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    show_training(summary, data=data, runs=runs, json=json)
