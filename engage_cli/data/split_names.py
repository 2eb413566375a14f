"""The table of splits: how posts are divided into train, validation and test, by name."""

from __future__ import annotations

from engage_cli.registry import Registry

SPLITS = Registry(
    "split",
    {
        "random": "engage_cli.data.splits:split_random",
        "time": "engage_cli.data.splits:split_time",
        "author": "engage_cli.data.splits:split_author",
        "file": "engage_cli.data.splits:split_file",
    },
)
