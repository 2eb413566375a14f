"""Importers: one file a source, each giving the same Import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.core.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

IMPORTERS = Registry(
    "source",
    {
        "pixelrec": "engage_cli.core.importers.pixelrec:read_pixelrec",
        "table": "engage_cli.core.importers.table:read_table",
    },
)


@dataclass(frozen=True, kw_only=True)
class Import:
    """Raw posts under the names of core.posts, one row each, nothing left out yet."""

    posts: pd.DataFrame
    source: str
    images_dir: Path | None
    found: dict[str, str] = field(default_factory=dict)  # our column -> the source's column
    warnings: tuple[str, ...] = ()
