"""engage train-regressor."""

from __future__ import annotations

from engage_cli.commands.options import (
    DEFAULT_DATA,
    DEFAULT_RUNS,
    AccumulateOpt,
    BatchSizeOpt,
    BlocksOpt,
    ClipNormOpt,
    DataOpt,
    DropoutOpt,
    DtypeOpt,
    EncoderPrecisionOpt,
    EpochsOpt,
    FusionOpt,
    JsonOpt,
    LearningRateOpt,
    PatienceOpt,
    PoolOpt,
    PrecisionOpt,
    RunOpt,
    RunsOpt,
    SeedOpt,
    TargetOpt,
    TextOpt,
    TokensOpt,
    TuneOpt,
    ValueObjectiveOpt,
    VisionOpt,
    WarmupOpt,
    WeightDecayOpt,
    WidthOpt,
)
from engage_cli.commands.train_output import show_training
from engage_cli.core.config import EncoderConfig, TrainConfig


def train_regressor(
    data: DataOpt = DEFAULT_DATA,
    target: TargetOpt = TrainConfig.target,
    vision: VisionOpt = TrainConfig.vision,
    text: TextOpt = TrainConfig.text,
    fusion: FusionOpt = TrainConfig.fusion,
    blocks: BlocksOpt = TrainConfig.blocks,
    tune: TuneOpt = TrainConfig.tune,
    objective: ValueObjectiveOpt = TrainConfig.objective,
    width: WidthOpt = TrainConfig.width,
    dropout: DropoutOpt = TrainConfig.dropout,
    epochs: EpochsOpt = TrainConfig.epochs,
    batch_size: BatchSizeOpt = TrainConfig.batch_size,
    accumulate: AccumulateOpt = TrainConfig.accumulate,
    learning_rate: LearningRateOpt = TrainConfig.learning_rate,
    weight_decay: WeightDecayOpt = TrainConfig.weight_decay,
    warmup: WarmupOpt = TrainConfig.warmup,
    clip_norm: ClipNormOpt = TrainConfig.clip_norm,
    patience: PatienceOpt = TrainConfig.patience,
    precision: PrecisionOpt = TrainConfig.precision,
    encoder_precision: EncoderPrecisionOpt = EncoderConfig.precision,
    pool: PoolOpt = EncoderConfig.pool,
    tokens: TokensOpt = EncoderConfig.tokens,
    dtype: DtypeOpt = EncoderConfig.dtype,
    seed: SeedOpt = TrainConfig.seed,
    run: RunOpt = None,
    runs: RunsOpt = DEFAULT_RUNS,
    json: JsonOpt = False,
) -> None:
    """Train a regressor of one target's value; killed at any moment, the same command goes on.

    engage train-regressor --target views

    engage train-regressor --vision siglip --fusion concat --run runs/siglip
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.train_neural import train_neural

    config = TrainConfig(
        target=target,
        vision=vision,
        text=text,
        blocks=blocks,
        fusion=fusion,
        objective=objective,
        tune=tune,
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup=warmup,
        clip_norm=clip_norm,
        width=width,
        dropout=dropout,
        patience=patience,
        precision=precision,
        seed=seed,
    )
    summary = train_neural(
        config,
        kind="value",
        command="train-regressor",
        dataset=load_dataset(data),
        encoders=EncoderConfig(
            vision=vision, text=text, precision=encoder_precision, pool=pool, tokens=tokens, dtype=dtype
        ),
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    show_training(summary, json=json)
