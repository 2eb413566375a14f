"""What gives the readings of posts' covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

from engage_cli.covers.reading import Reading


@runtime_checkable
class CoverSource(Protocol):
    """Where readings of covers come from, given the posts."""

    def covers(self, posts: pd.DataFrame) -> Sequence[Reading | None]:
        """Return what each post's cover shows; None of a post without a usable one."""
        ...


def covers_of(source: object, posts: pd.DataFrame) -> Sequence[Reading | None]:
    """Return what posts' covers show, by a source of a run that reads covers."""
    assert isinstance(source, CoverSource)
    return source.covers(posts)
