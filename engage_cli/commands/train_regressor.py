"""engage train-regressor."""

from __future__ import annotations

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
    TokensOpt,
)
from engage_cli.commands.train_options import (
    AccumulateOpt,
    AverageOpt,
    BatchSizeOpt,
    BlocksOpt,
    CheckpointingOpt,
    ClipNormOpt,
    CompileOpt,
    CropOpt,
    DropoutOpt,
    EmaOpt,
    EpochsOpt,
    FlipOpt,
    FusionOpt,
    HeadLrOpt,
    HeadsOpt,
    LayerDecayOpt,
    LayersOpt,
    LearningRateOpt,
    ModalityDropoutOpt,
    PatienceOpt,
    PrecisionOpt,
    RecipeOpt,
    ScheduleOpt,
    SeedOpt,
    SeedsOpt,
    TargetOpt,
    TensorboardOpt,
    TextOpt,
    Tf32Opt,
    TuneOpt,
    ValueObjectiveOpt,
    VisionOpt,
    WarmupOpt,
    WeightDecayOpt,
    WidthOpt,
    WorkersOpt,
)
from engage_cli.commands.train_output import Encoding, run_training
from engage_cli.core.config import EncoderConfig


def train_regressor(
    data: DataOpt = DEFAULT_DATA,
    recipe: RecipeOpt = None,
    target: TargetOpt = None,
    vision: VisionOpt = None,
    text: TextOpt = None,
    tune: TuneOpt = None,
    blocks: BlocksOpt = None,
    fusion: FusionOpt = None,
    objective: ValueObjectiveOpt = None,
    width: WidthOpt = None,
    layers: LayersOpt = None,
    heads: HeadsOpt = None,
    dropout: DropoutOpt = None,
    modality_dropout: ModalityDropoutOpt = None,
    epochs: EpochsOpt = None,
    batch_size: BatchSizeOpt = None,
    accumulate: AccumulateOpt = None,
    learning_rate: LearningRateOpt = None,
    weight_decay: WeightDecayOpt = None,
    schedule: ScheduleOpt = None,
    warmup: WarmupOpt = None,
    clip_norm: ClipNormOpt = None,
    ema: EmaOpt = None,
    average: AverageOpt = None,
    patience: PatienceOpt = None,
    seed: SeedOpt = None,
    seeds: SeedsOpt = None,
    tensorboard: TensorboardOpt = None,
    head_lr: HeadLrOpt = None,
    layer_decay: LayerDecayOpt = None,
    checkpointing: CheckpointingOpt = None,
    flip: FlipOpt = None,
    crop: CropOpt = None,
    precision: PrecisionOpt = None,
    tf32: Tf32Opt = None,
    compile: CompileOpt = None,
    workers: WorkersOpt = None,
    pool: PoolOpt = EncoderConfig.pool,
    framing: FramingOpt = EncoderConfig.framing,
    tokens: TokensOpt = EncoderConfig.tokens,
    encoder_precision: EncoderPrecisionOpt = EncoderConfig.precision,
    dtype: DtypeOpt = EncoderConfig.dtype,
    run: RunOpt = None,
    runs: RunsOpt = DEFAULT_RUNS,
    json: JsonOpt = False,
) -> None:
    """Train a regressor of one target's value; killed at any moment, the same command goes on.

    engage train-regressor --target views

    engage train-regressor --vision siglip --fusion stack --tokens 16

    engage train-regressor --tune top:2 --epochs 3

    torchrun --nproc-per-node 2 -m engage_cli train-regressor --recipe study
    """
    given = dict(locals())  # by the names of TrainConfig's fields, first of all
    encoding = Encoding(pool=pool, framing=framing, tokens=tokens, precision=encoder_precision, dtype=dtype)
    run_training("value", "train-regressor", given, data=data, encoding=encoding, run=run, runs=runs, json=json)
