"""Exports: tables that a known tool writes, each recognised by its own columns. One file and one line each.

What a tool's columns mean is known better than names alone tell: that YouTube Studio's "Content" is the id, that Meta
writes the month first. Each entry is a function that returns None for a table that its tool did not write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engage_cli.data.counter_names import plain_name
from engage_cli.data.tables.reading import Raw
from engage_cli.registry import Registry

EXPORTS = Registry(
    "export",
    {
        "youtube-test-compare": "engage_cli.data.importers.exports.youtube_test_compare:read",
        "youtube-studio": "engage_cli.data.importers.exports.youtube_studio:read",
        "youtube-api": "engage_cli.data.importers.exports.youtube_api:read",
        "kaggle-trending": "engage_cli.data.importers.exports.kaggle_trending:read",
        "meta-business": "engage_cli.data.importers.exports.meta_business:read",
        "instagram-graph": "engage_cli.data.importers.exports.instagram_graph:read",
        "tiktok": "engage_cli.data.importers.exports.tiktok:read",
        "reddit": "engage_cli.data.importers.exports.reddit:read",
    },
)


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is known of a recognised table."""

    name: str  # what sentences call it
    columns: Mapping[str, str]  # our column -> the table's
    date_orders: Mapping[str, str] = field(default_factory=dict)  # the table's column -> order of its dates
    notes: Sequence[str] = ()


def recognise_export(raw: Raw) -> Export | None:
    """Return what is known of a table; its frame may be mended, as by leaving out a row of totals."""
    for name in EXPORTS:
        found: Export | None = EXPORTS.load(name)(raw)
        if found is not None:
            return found
    return None


def present(columns: Iterable[str], wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return our column -> the first of the wanted names that the table has, without case and punctuation."""
    there = {plain_name(column): column for column in reversed(list(columns))}
    found: dict[str, str] = {}
    for ours, names in wanted.items():
        theirs = next((there[plain_name(name)] for name in names if plain_name(name) in there), None)
        if theirs is not None and theirs not in found.values():
            found[ours] = theirs
    return found


def has(raw: Raw, *names: str) -> bool:
    """Say whether the table has all of these columns."""
    there = {plain_name(column) for column in raw.frame.columns}
    return all(plain_name(name) in there for name in names)
