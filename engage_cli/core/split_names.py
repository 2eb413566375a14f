"""The table of splits: how posts are divided into train, validation and test, by name."""

from __future__ import annotations

from engage_cli.core.registry import Registry

SPLITS = Registry(
    "split",
    {
        "random": "engage_cli.core.splits:split_random",
        "time": "engage_cli.core.splits:split_time",
        "author": "engage_cli.core.splits:split_author",
        "file": "engage_cli.core.splits:split_file",
    },
)
