"""Fusions: how the blocks of a post become one vector."""

from __future__ import annotations

from engage_cli.core.registry import Registry

FUSIONS = Registry(
    "fusion",
    {
        "concat": "engage_cli.core.fusion.concat:ConcatFusion",
        "gated": "engage_cli.core.fusion.gated:GatedFusion",
    },
)
