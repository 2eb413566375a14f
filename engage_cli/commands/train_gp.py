"""engage train-gp."""

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
from engage_cli.core.config import EncoderConfig, ProcessConfig, help_of


def train_gp(
    data: DataOpt = DEFAULT_DATA,
    target: TargetOpt = ProcessConfig.target,
    kind: Annotated[str, typer.Option("--as", help=help_of(ProcessConfig, "kind") + " One of: value, classes.")] = (
        ProcessConfig.kind
    ),
    vision: VisionOpt = ProcessConfig.vision,
    text: TextOpt = ProcessConfig.text,
    run: RunOpt = None,
    runs: RunsOpt = DEFAULT_RUNS,
    seed: SeedOpt = ProcessConfig.seed,
    json: JsonOpt = False,
    pool: PoolOpt = EncoderConfig.pool,
    framing: FramingOpt = EncoderConfig.framing,
    encoder_precision: EncoderPrecisionOpt = EncoderConfig.precision,
    dtype: DtypeOpt = EncoderConfig.dtype,
) -> None:
    """Train a Gaussian process: a post does as posts like it did, in words, pictures, dates and authors.

    engage train-gp --target views

    engage train-gp --target engagement --as classes
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.train_process import train_process

    summary = train_process(
        ProcessConfig(target=target, kind=kind, vision=vision, text=text, seed=seed),
        dataset=load_dataset(data),
        encoders=EncoderConfig(
            vision=vision, text=text, precision=encoder_precision, pool=pool, framing=framing, dtype=dtype
        ),
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    show_training(summary, data=data, runs=runs, json=json)
