"""Every option that more than one command has, declared once as a type; help comes from the config's fields."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from engage_cli.core.config import LARGEST_SEED, EncoderConfig, TrainConfig, help_of
from engage_cli.core.errors import WrongCallError

DEFAULT_DATA = Path("data")
DEFAULT_RUNS = Path("runs")
# The names of the tables stand here a second time, for core.targets is heavy; a test holds them equal.
TARGET_NAMES = ("popularity", "engagement", "composite", "views", "likes", "rate", "relative", "given")
SPLIT_NAMES = ("random", "time", "author", "file")
SLICE_NAMES = ("tag", "author", "month", "weekday", "source", "image", "title", "prediction")


def _help(config: type, field: str, names: tuple[str, ...] = ()) -> str:
    return help_of(config, field) + (f" One of: {', '.join(names)}." if names else "")


def parse_pairs(pairs: Iterable[str], example: str) -> dict[str, str]:
    """Parse NAME=VALUE pairs; raise WrongCallError, with an example, for anything else."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not (name and sign and value):
            raise WrongCallError(f"'{pair}' is no NAME=VALUE; write it as in {example}")
        if name in found:
            raise WrongCallError(f"'{name}' is given twice: {found[name]} and {value}")
        found[name] = value
    return found


DataOpt = Annotated[Path, typer.Option("--data", envvar="ENGAGE_DATA", help="The data folder.")]
RunsOpt = Annotated[Path, typer.Option("--runs", envvar="ENGAGE_RUNS", help="Where unnamed runs are made and looked for.")]
# torchrun takes --run for one of its own options: under it, the longer name.
RunOpt = Annotated[
    Path | None, typer.Option("--run", "--run-dir", help="The run's folder. Without it: a new one under --runs.")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and nothing else there.")]
VisionOpt = Annotated[str, typer.Option("--vision", help=_help(EncoderConfig, "vision"))]
TextOpt = Annotated[str, typer.Option("--text", help=_help(EncoderConfig, "text"))]
EncoderPrecisionOpt = Annotated[
    str, typer.Option("--encoder-precision", help=_help(EncoderConfig, "precision"), rich_help_panel="Encoders")
]
PoolOpt = Annotated[str, typer.Option("--pool", help=_help(EncoderConfig, "pool"), rich_help_panel="Encoders")]
TokensOpt = Annotated[
    int, typer.Option("--tokens", min=0, max=256, help=_help(EncoderConfig, "tokens"), rich_help_panel="Encoders")
]
FramingOpt = Annotated[str, typer.Option("--framing", help=_help(EncoderConfig, "framing"), rich_help_panel="Encoders")]
DtypeOpt = Annotated[str, typer.Option("--dtype", help=_help(EncoderConfig, "dtype"), rich_help_panel="Encoders")]
TargetOpt = Annotated[str, typer.Option("--target", help=_help(TrainConfig, "target", TARGET_NAMES))]
SeedOpt = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help=_help(TrainConfig, "seed"))]
