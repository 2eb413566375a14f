"""What `prepare` understood of its sources, to be looked at before anything is written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.schema import ALL_COUNTERS, DATES, KNOWN_AFTER, OWN
from engage_cli.data.tables.options import ReadOptions
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.prepare.import_posts import ImportedPosts, Source, import_posts

EXAMPLES = 3
NEARLY_EMPTY = 0.05  # of the rows have a value
LONGEST = 40  # signs of an example


@dataclass(frozen=True, kw_only=True)
class Field:
    """One of our columns, and where it comes from."""

    name: str  # ours
    column: str  # the source's
    examples: tuple[str, ...]  # cells as they stand
    read: tuple[str, ...]  # what became of them

    filled: int  # rows with a value that could be read
    rows: int

    @property
    def how_full(self) -> str:
        """How many rows have a value: of counters always, of others where some have none."""
        if self.filled == self.rows and self.name not in KNOWN_AFTER:
            return ""
        verb = "readable" if self.name in (*KNOWN_AFTER, *DATES) else "filled"
        nearly = ", nearly empty" if self.filled < NEARLY_EMPTY * self.rows else ""
        return f"{verb} in {self.filled:,} of {self.rows:,} rows{nearly}"

    @property
    def shown(self) -> str:
        """The examples, with what they were read as where that is not the same."""
        pairs = zip(self.examples, self.read, strict=True)
        return "; ".join(cell if cell == read else f"{cell} = {read}" for cell, read in pairs)


@dataclass(frozen=True, kw_only=True)
class Unused:
    """A column of a source that no post has."""

    column: str
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Understood:
    """What became of one source's columns."""

    source: str
    format: str
    posts: int
    fields: tuple[Field, ...]
    unused: tuple[Unused, ...]
    notes: tuple[str, ...]
    images: str  # how many posts have an image

    @property
    def map_hint(self) -> str:
        """What to write to change it."""
        if self.format != "table":
            return ""
        field = next((one for one in self.fields if one.name in ALL_COUNTERS), None)
        example = f", as in --map {field.name}={shlex.quote(field.column)}" if field is not None else ""
        return f"another column for a field: --map FIELD=COLUMN{example}; a further column for training: --keep COLUMN"

    def to_json(self) -> Mapping[str, object]:
        return asdict(self)


def understand(
    config: PrepareConfig,
    *,
    sources: Sequence[Source],
    mapping: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> list[Understood]:
    """Read the sources as `prepare` does, and write nothing."""
    options = options_of(config)
    imported = import_posts(
        sources, mapping=mapping or {}, keep=keep, options=options, reporter=reporter or SilentReporter()
    )
    return describe(imported)


def options_of(config: PrepareConfig) -> ReadOptions:
    """Return how tables are read."""
    return ReadOptions(
        encoding=config.encoding,
        decimal=config.decimal,
        date_order=config.date_order,
        fetch_images=config.fetch_images,
    )


def describe(imported: ImportedPosts) -> list[Understood]:
    """Return what was understood of each source."""
    found = []
    own = [str(column) for column in imported.posts if str(column).startswith(OWN)]
    for source in imported.images:
        posts = imported.posts[imported.posts["source"] == source]
        raw = imported.raw.get(source)
        names = dict(imported.found[source])
        names |= {column: column.removeprefix(OWN) for column in own if column not in names}
        found.append(
            Understood(
                source=source,
                format=imported.formats[source],
                posts=len(posts),
                fields=tuple(_field(ours, theirs, posts, raw) for ours, theirs in names.items() if ours in posts),
                unused=tuple(
                    Unused(column=column, examples=tuple(_cells(raw[column])) if raw is not None and column in raw else ())
                    for column in imported.unused[source]
                ),
                notes=tuple(imported.warnings),
                images=_say_images(posts, imported, source),
            )
        )
    return found


def _field(ours: str, theirs: str, posts: pd.DataFrame, raw: pd.DataFrame | None) -> Field:
    values = posts[ours]
    rows = [row for row, value in enumerate(values.iloc[:10_000]) if not _is_nothing(value)]
    rows = _spread(rows) if rows else []
    read = tuple(_short(_say(values.iloc[row])) for row in rows)
    cells = read
    if raw is not None and theirs in raw and len(raw) >= len(posts):
        places = posts["source_row"].iloc[rows] - 1
        cells = tuple(_short(str(raw[theirs].iloc[place])) for place in places)
    return Field(
        name=ours,
        column=theirs,
        examples=cells,
        read=read if ours in (*KNOWN_AFTER, *DATES, "tags") else cells,
        filled=int((values.notna() & (values.astype(object) != "")).sum()),
        rows=len(values),
    )


def _say_images(posts: pd.DataFrame, imported: ImportedPosts, source: str) -> str:
    """Say how many posts have an image that was found, where that is known without unpacking or fetching any."""
    root = imported.images[source]
    if source in imported.packed:
        return "images: not counted here; they are packed or have to be fetched"
    if root is None:
        return "images: no folder of images; name it with --images-dir, or give --no-images"
    names = posts["image"].astype(str) if "image" in posts else pd.Series("", index=posts.index)
    if not root.is_dir():
        return f"images: not counted here; they are packed in {root}"
    found = sum(bool(name) and "\0" not in name and os.path.isfile(os.path.join(root, name)) for name in names)
    return f"images: found for {found:,} of {len(posts):,} posts in {root}"


def _spread(rows: list[int]) -> list[int]:
    """Take the first, one from the middle, and the last: cells that lie apart show more of a column."""
    return sorted({rows[0], rows[len(rows) // 2], rows[-1]})[:EXAMPLES]


def _cells(column: pd.Series) -> list[str]:
    filled = [cell for cell in column.iloc[:1000].tolist() if str(cell).strip()]
    return [_short(str(cell)) for cell in list(dict.fromkeys(filled))[:EXAMPLES]]


def _is_nothing(value: Any) -> bool:
    return value is None or value != value or value == ""


def _say(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M")
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
