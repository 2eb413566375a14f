"""Options of the form NAME=VALUE, and the details of a post, which hold some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engage_cli.config.details import DetailOptions
from engage_cli.errors import WrongCallError

if TYPE_CHECKING:
    from engage_cli.steps.predict import Details


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


def columns_of(post: DetailOptions) -> dict[str, str]:
    return parse_pairs(post.columns or [], "--column duration=30")


def details_of(post: DetailOptions) -> Details:
    from engage_cli.steps.predict import Details

    return Details(
        tags=post.tags,
        description=post.description,
        posted_at=post.posted_at,
        after=post.after,
        columns=columns_of(post),
    )
