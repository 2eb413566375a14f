"""The options of the two neural trainers. Not given is None: then the recipe decides."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engage_cli.commands.options import TARGET_NAMES
from engage_cli.core.config import LARGEST_SEED
from engage_cli.core.fusion import FUSIONS
from engage_cli.core.objectives import CLASS_OBJECTIVES, VALUE_OBJECTIVES
from engage_cli.core.recipes import RECIPES, WHAT, help_with_defaults
from engage_cli.core.registry import Registry

_MODEL, _LOOP, _ENCODERS, _MACHINE = "Model", "Training loop", "Encoders in the loop", "Machine"


def _option(
    field: str,
    panel: str | None = None,
    *,
    flag: str = "",
    names: tuple[str, ...] = (),
    table: Registry | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """An option of a TrainConfig field, whose help and defaults it takes."""
    there = tuple(table) if table is not None else names
    help = help_with_defaults(field) + (f" One of: {', '.join(there)}." if there else "")
    flags = [part for part in (flag or f"--{field.replace('_', '-')}").split() if part]
    check = (lambda name: name if name is None else table.check(name)) if table is not None else None
    return typer.Option(*flags, help=help, rich_help_panel=panel, min=low, max=high, callback=check, show_default=False)


_RECIPES = "; ".join(f"{name}, {WHAT[name]}" for name in RECIPES)
RecipeOpt = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help=f"Hyper-parameters under a name: {_RECIPES}. What is given wins. Default: study on a GPU, else tuned "
        "with --tune, else stored.",
    ),
]
TargetOpt = Annotated[str | None, _option("target", names=TARGET_NAMES)]
VisionOpt = Annotated[str | None, _option("vision")]
TextOpt = Annotated[str | None, _option("text")]
BlocksOpt = Annotated[str | None, _option("blocks", _MODEL, names=("image", "title", "context", "text"))]
FusionOpt = Annotated[str | None, _option("fusion", _MODEL, table=FUSIONS)]
ValueObjectiveOpt = Annotated[str | None, _option("objective", _MODEL, table=VALUE_OBJECTIVES)]
ClassObjectiveOpt = Annotated[str | None, _option("objective", _MODEL, table=CLASS_OBJECTIVES)]
ClassWeightsOpt = Annotated[str | None, _option("class_weights", _MODEL)]
WidthOpt = Annotated[int | None, _option("width", _MODEL, low=1)]
LayersOpt = Annotated[int | None, _option("layers", _MODEL, low=0)]
HeadsOpt = Annotated[int | None, _option("heads", _MODEL, low=1)]
DropoutOpt = Annotated[float | None, _option("dropout", _MODEL, low=0, high=0.95)]
ModalityDropoutOpt = Annotated[float | None, _option("modality_dropout", _MODEL, low=0, high=0.95)]

TuneOpt = Annotated[str | None, _option("tune")]
HeadLrOpt = Annotated[float | None, _option("head_lr", _ENCODERS, low=0)]
LayerDecayOpt = Annotated[float | None, _option("layer_decay", _ENCODERS, low=0.01, high=1)]
CheckpointingOpt = Annotated[bool | None, _option("checkpointing", _ENCODERS, flag="--checkpointing")]
FlipOpt = Annotated[bool | None, _option("flip", _ENCODERS, flag="--flip")]
CropOpt = Annotated[float | None, _option("crop", _ENCODERS, low=0.05, high=1)]

EpochsOpt = Annotated[int | None, _option("epochs", _LOOP, low=1)]
BatchSizeOpt = Annotated[int | None, _option("batch_size", _LOOP, low=1)]
AccumulateOpt = Annotated[int | None, _option("accumulate", _LOOP, low=1)]
LearningRateOpt = Annotated[float | None, _option("learning_rate", _LOOP, flag="--learning-rate --lr", low=0)]
WeightDecayOpt = Annotated[float | None, _option("weight_decay", _LOOP, low=0)]
ScheduleOpt = Annotated[str | None, _option("schedule", _LOOP)]
WarmupOpt = Annotated[float | None, _option("warmup", _LOOP, low=0, high=1)]
ClipNormOpt = Annotated[float | None, _option("clip_norm", _LOOP, low=0)]
EmaOpt = Annotated[float | None, _option("ema", _LOOP, low=0, high=0.99999)]
AverageOpt = Annotated[int | None, _option("average", _LOOP, low=1, high=50)]
PatienceOpt = Annotated[int | None, _option("patience", _LOOP, low=0)]
SeedOpt = Annotated[int | None, _option("seed", _LOOP, low=0, high=LARGEST_SEED)]
SeedsOpt = Annotated[int | None, _option("seeds", _LOOP, low=1, high=100)]
TensorboardOpt = Annotated[bool | None, _option("tensorboard", _LOOP, flag="--tensorboard")]

PrecisionOpt = Annotated[str | None, _option("precision", _MACHINE, names=("fp32", "bf16", "fp16"))]
Tf32Opt = Annotated[bool | None, _option("tf32", _MACHINE, flag="--tf32")]
CompileOpt = Annotated[bool | None, _option("compile", _MACHINE, flag="--compile")]
WorkersOpt = Annotated[int | None, _option("workers", _MACHINE, low=-1, high=256)]
