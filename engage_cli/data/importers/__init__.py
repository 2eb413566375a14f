"""Importers: one file a source, each giving the same Import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from engage_cli.data.table_format import ColumnFormat

# Each module also has LAYOUT (what its folder looks like, in words) and recognise(folder).
IMPORTERS = Registry(
    "format",
    {
        "pixelrec": "engage_cli.data.importers.pixelrec:read_pixelrec",
        "microlens": "engage_cli.data.importers.microlens:read_microlens",
        "smpd": "engage_cli.data.importers.smpd:read_smpd",
        "table": "engage_cli.data.importers.table:read_table",
        "yt-dlp": "engage_cli.data.importers.yt_dlp:read_yt_dlp",
        "instaloader": "engage_cli.data.importers.instaloader:read_instaloader",
        "gallery-dl": "engage_cli.data.importers.gallery_dl:read_gallery_dl",
        "img2dataset": "engage_cli.data.importers.img2dataset:read_img2dataset",
    },
)
PROBLEM_COLUMNS = ("source", "row", "id", "problem")  # of problems.csv


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Where images lie that have to be written out first: in several archives, or in a column of the table itself."""

    archives: tuple[Path, ...] = ()  # a post's image is "STEM OF THE ARCHIVE/NAME"
    table: Path | None = None
    column: str = ""
    addresses: tuple[str, ...] = ()  # of each row of the source; they are fetched where that is asked for


@dataclass(frozen=True, kw_only=True)
class Import:
    """Raw posts under the names of data.schema, one row each, nothing left out yet.

    `posts` has source_row, the 1-based number of the row in the source. `images` is a folder, or an archive of one.
    """

    posts: pd.DataFrame
    source: str
    images: Path | None
    found: dict[str, str] = field(default_factory=dict)  # our column -> the source's column
    unused: tuple[str, ...] = ()  # the source's columns that no post has
    warnings: tuple[str, ...] = ()
    problems: pd.DataFrame | None = None  # row, id, problem: cells and lines that could not be used
    packed: Packed | None = None  # where the images are not files yet
    formats: dict[str, ColumnFormat] = field(default_factory=dict)  # our column -> what it is and how it is written
    raw: pd.DataFrame | None = field(default=None, repr=False)  # the cells as they stand, to show examples of
