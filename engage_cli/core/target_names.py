"""The table of targets: what can be predicted, by name."""

from __future__ import annotations

from engage_cli.core.registry import Registry

TARGETS = Registry(
    "target",
    {
        "popularity": "engage_cli.core.formulas:popularity",
        "engagement": "engage_cli.core.formulas:engagement",
        "composite": "engage_cli.core.formulas:composite",
        "views": "engage_cli.core.formulas:views",
        "likes": "engage_cli.core.formulas:likes",
        "rate": "engage_cli.core.formulas:rate",
        "relative": "engage_cli.core.formulas:relative",
        "given": "engage_cli.core.formulas:given",
    },
)
