"""The table of targets: what can be predicted, by name."""

from __future__ import annotations

from engage_cli.registry import Registry

TARGETS = Registry(
    "target",
    {
        "popularity": "engage_cli.data.targets.formulas:popularity",
        "engagement": "engage_cli.data.targets.formulas:engagement",
        "composite": "engage_cli.data.targets.formulas:composite",
        "views": "engage_cli.data.targets.formulas:views",
        "likes": "engage_cli.data.targets.formulas:likes",
        "rate": "engage_cli.data.targets.formulas:rate",
        "relative": "engage_cli.data.targets.formulas:relative",
        "click_rate": "engage_cli.data.targets.click_rate:click_rate",
        "given": "engage_cli.data.targets.formulas:given",
    },
)
