"""Types of fields that several records have, with their ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from engage_cli.io.ranges import Count

Counts = dict[str, Count]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


def one_of(*names: str) -> AfterValidator:
    """A text that is one of these names."""

    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"'{value[:40]}' is none of {', '.join(names)}")
        return value

    return AfterValidator(check)
