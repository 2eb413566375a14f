"""The table of slices: the groups into which an evaluation can divide posts, by name."""

from __future__ import annotations

from engage_cli.registry import Registry

SLICES = Registry(
    "slice",
    {
        "tag": "engage_cli.evaluation.slices:by_tag",
        "author": "engage_cli.evaluation.slices:by_author",
        "month": "engage_cli.evaluation.slices:by_month",
        "weekday": "engage_cli.evaluation.slices:by_weekday",
        "source": "engage_cli.evaluation.slices:by_source",
        "image": "engage_cli.evaluation.slices:by_image",
        "title": "engage_cli.evaluation.slices:by_title",
        "prediction": "engage_cli.evaluation.slices:by_prediction",
    },
)
