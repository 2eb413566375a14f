"""Every option that more than one command has, declared once as a type; help comes from the config's fields."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from engage_cli.errors import WrongCallError

DEFAULT_DATA = Path("data")
DEFAULT_RUNS = Path("runs")


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
JsonOpt = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout, and nothing else there.")]
