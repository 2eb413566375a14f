"""Options of the form NAME=VALUE."""

from __future__ import annotations

from collections.abc import Iterable

from engage_cli.errors import WrongCallError


def parse_pairs(pairs: Iterable[str], example: str) -> dict[str, str]:
    """Parse NAME=VALUE pairs; raise WrongCallError, with an example, for anything else."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not (name and sign and value):
            raise WrongCallError(f"'{pair}': expected NAME=VALUE, for example {example}")
        if name in found:
            raise WrongCallError(f"'{name}' is given twice: {found[name]} and {value}")
        found[name] = value
    return found
