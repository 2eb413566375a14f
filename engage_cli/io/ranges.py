"""Types of the numbers in records: a record that names one is checked for it when it is read."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

LARGEST = 1e15  # of any number that is computed with: products of a few stay finite


def _rise(values: tuple[float, ...]) -> tuple[float, ...]:
    if any(second < first for first, second in pairwise(values)):
        raise ValueError("its numbers do not rise")
    return values


def once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice")
    return names


Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
FromOne = Annotated[int, Field(ge=1, le=1 << 53)]
Rising = Annotated[tuple[Number, ...], AfterValidator(_rise)]
FourRising = Annotated[
    tuple[Number, ...], Field(min_length=4, max_length=4), AfterValidator(_rise)
]  # edges of five classes
UniqueNames = Annotated[tuple[str, ...], AfterValidator(once)]
