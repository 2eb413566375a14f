"""engage train-catboost."""

from __future__ import annotations

from typing import Annotated, Any

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
    TokensOpt,
)
from engage_cli.commands.train_output import show_training
from engage_cli.core.config import STUDY, TEXT_HELP, VISION_HELP, CatBoostConfig, EncoderConfig, help_of


def _encoder(help: str, default: str, flag: str) -> Any:
    return typer.Option(flag, help=f"{help} Default: {default}; clip-base with --features study.", show_default=False)


def train_catboost(
    data: DataOpt = DEFAULT_DATA,
    target: TargetOpt = CatBoostConfig.target,
    kind: Annotated[str, typer.Option("--as", help=help_of(CatBoostConfig, "kind") + " One of: classes, value.")] = (
        CatBoostConfig.kind
    ),
    objective: Annotated[str, typer.Option("--objective", help=help_of(CatBoostConfig, "objective"))] = (
        CatBoostConfig.objective
    ),
    vision: Annotated[str | None, _encoder(VISION_HELP, CatBoostConfig.vision, "--vision")] = None,
    text: Annotated[str | None, _encoder(TEXT_HELP, CatBoostConfig.text, "--text")] = None,
    features: Annotated[str, typer.Option("--features", help=help_of(CatBoostConfig, "features"))] = (
        CatBoostConfig.features
    ),
    pca: Annotated[str, typer.Option("--pca", help=help_of(CatBoostConfig, "pca"))] = CatBoostConfig.pca,
    folds: Annotated[int, typer.Option("--folds", min=0, max=50, help=help_of(CatBoostConfig, "folds"))] = (
        CatBoostConfig.folds
    ),
    iterations: Annotated[
        int, typer.Option("--iterations", min=1, help=help_of(CatBoostConfig, "iterations"))
    ] = CatBoostConfig.iterations,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", "--lr", min=1e-6, max=10, help=help_of(CatBoostConfig, "learning_rate"))
    ] = CatBoostConfig.learning_rate,
    depth: Annotated[int, typer.Option("--depth", min=1, max=16, help=help_of(CatBoostConfig, "depth"))] = (
        CatBoostConfig.depth
    ),
    l2: Annotated[float, typer.Option("--l2", min=0, help=help_of(CatBoostConfig, "l2"))] = CatBoostConfig.l2,
    subsample: Annotated[
        float, typer.Option("--subsample", min=0.01, max=1, help=help_of(CatBoostConfig, "subsample"))
    ] = CatBoostConfig.subsample,
    border_count: Annotated[
        int, typer.Option("--border-count", min=1, max=254, help=help_of(CatBoostConfig, "border_count"))
    ] = CatBoostConfig.border_count,
    rsm: Annotated[
        float, typer.Option("--rsm", min=0.001, max=1, help=help_of(CatBoostConfig, "rsm"))
    ] = CatBoostConfig.rsm,
    patience: Annotated[
        int, typer.Option("--patience", min=1, help=help_of(CatBoostConfig, "patience"))
    ] = CatBoostConfig.patience,
    encoder_precision: EncoderPrecisionOpt = EncoderConfig.precision,
    pool: PoolOpt = EncoderConfig.pool,
    framing: FramingOpt = EncoderConfig.framing,
    tokens: TokensOpt = EncoderConfig.tokens,
    dtype: DtypeOpt = EncoderConfig.dtype,
    seed: SeedOpt = CatBoostConfig.seed,
    run: RunOpt = None,
    runs: RunsOpt = DEFAULT_RUNS,
    json: JsonOpt = False,
) -> None:
    """Train CatBoost on embeddings, words and handmade features, all known before publication.

    engage train-catboost

    engage train-catboost --target views --as value --folds 5

    engage train-catboost --features study    # the study's experiment: LEAKY, and marked so
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.feature_choice import STUDY_ENCODER
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.train_catboost import train_catboost as run_step

    is_study = features.strip() == STUDY
    vision = vision or (STUDY_ENCODER if is_study else CatBoostConfig.vision)
    text = text or (STUDY_ENCODER if is_study else CatBoostConfig.text)
    config = CatBoostConfig(
        target=target,
        kind=kind,
        objective=objective,
        vision=vision,
        text=text,
        features=features,
        pca=pca,
        folds=folds,
        iterations=iterations,
        learning_rate=learning_rate,
        depth=depth,
        l2=l2,
        subsample=subsample,
        border_count=border_count,
        rsm=rsm,
        patience=patience,
        seed=seed,
    )
    summary = run_step(
        config,
        dataset=load_dataset(data),
        encoders=EncoderConfig(
            vision=vision, text=text, precision=encoder_precision, pool=pool, framing=framing, tokens=tokens, dtype=dtype
        ),
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    show_training(summary, data=data, runs=runs, json=json)
