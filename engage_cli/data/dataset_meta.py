"""dataset.json: what a data folder is, typed. It is written last, and holds the hashes of the files that answers need."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator

from engage_cli.config.general import PARTS
from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.leakage import Probe
from engage_cli.data.schema import is_known_before
from engage_cli.data.split_names import SPLITS
from engage_cli.data.table_format import ColumnFormat
from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.target import Target
from engage_cli.io.files import fingerprint
from engage_cli.io.ranges import Count
from engage_cli.io.record_fields import Counts, Fingerprint, Hash, one_of
from engage_cli.io.records import read_record, record, write_record

KIND, VERSION = "engage data", 1
MARKER = "dataset.json"
POSTS_FILE = "posts.parquet"
AGAIN = "make the data folder again with `engage prepare --overwrite`"

Correlation = Annotated[float, Ge(-1.0001), Le(1.0001)]


@record
class SourceMeta:
    """One source of posts. What is known of its columns belongs here."""

    format: str
    images: str | None  # the folder that its images are relative to; None where they were left out
    columns: dict[str, str]  # our column -> what the source calls it
    not_used: tuple[str, ...]


@record
class RowCounts:
    """Posts on their way from the sources into the table."""

    read: Count
    kept: Annotated[int, Ge(1)]
    left_out: Counts  # by reason


@record
class PartCounts:
    """Posts of each part."""

    train: Count
    validation: Count
    test: Count

    def items(self) -> tuple[tuple[str, int], ...]:
        return tuple((part, getattr(self, part)) for part in PARTS)

    def __getitem__(self, part: str) -> int:
        return dict(self.items())[part]


def _split(name: str) -> str:
    if name not in SPLITS:
        raise ValueError(f"unknown split '{name[:40]}'; it must be one of: {', '.join(SPLITS)}")
    return name


@record
class SplitMeta:
    """How the posts were divided."""

    method: Annotated[str, AfterValidator(_split)]
    dedupe: bool
    text: str
    rows: PartCounts
    unused: Count
    groups_of_duplicates: Count
    rows_in_groups: Count
    duplicates_text: str


@record
class DatasetMeta:
    """All that dataset.json holds."""

    engage: str
    source: str
    sources: Annotated[dict[str, SourceMeta], MinLen(1)]
    table: dict[str, ColumnFormat]  # our column -> what it is and how the first source that has it writes it
    columns: dict[str, Annotated[str, one_of("before", "after")]]  # of posts.parquet, in its order: when each is known
    config: PrepareConfig
    rows: RowCounts
    missing: Counts  # posts without a text, by column
    image_problems: Counts  # posts without a usable image, by reason
    split: SplitMeta
    targets: Annotated[dict[str, Target], MinLen(1)]
    targets_unavailable: dict[str, str]  # name -> why
    correlations_with_views: dict[str, Correlation]
    probes: tuple[Probe, ...]
    warnings: tuple[str, ...]
    marks: tuple[str, ...]
    files: dict[str, Hash]  # of the files that answers depend on
    fingerprint: Fingerprint  # of posts, split and targets

    def __post_init__(self) -> None:
        """Raise ValueError where two of the fields contradict each other."""
        divided = sum(number for _, number in self.split.rows.items()) + self.split.unused
        if divided != self.rows.kept:
            raise ValueError(f"split.rows counts {divided:,} posts, and rows.kept {self.rows.kept:,}")
        for column, when in self.columns.items():
            if (when == "before") != is_known_before(column):
                raise ValueError(f"columns.{column} cannot be '{when}'")
        for name, target in self.targets.items():
            if name != target.name or name not in TARGETS:
                raise ValueError(f"targets.{name} is not a target of that name")
        if set(self.files) != {POSTS_FILE}:
            raise ValueError(f"files must name {POSTS_FILE} and nothing else")
        if self.fingerprint != fingerprint_of(self.files, self.targets):
            raise ValueError("fingerprint is not that of these files and targets")


def fingerprint_of(files: Mapping[str, str], targets: Mapping[str, Target]) -> str:
    """Return what is equal for equal posts, split and targets, wherever the folder lies."""
    return fingerprint({"posts": files[POSTS_FILE], "targets": {name: one.to_json() for name, one in targets.items()}})


def read_meta(folder: Path) -> DatasetMeta:
    """Read dataset.json; raise EngageError for whatever is wrong with it."""
    return read_record(folder / MARKER, DatasetMeta, kind=KIND, version=VERSION, again=AGAIN)


def write_meta(folder: Path, meta: DatasetMeta) -> None:
    write_record(folder / MARKER, meta, kind=KIND, version=VERSION)


def to_json(meta: DatasetMeta) -> Mapping[str, object]:
    """Return the fields as `engage prepare --json` prints them."""
    return dataclasses.asdict(meta)
