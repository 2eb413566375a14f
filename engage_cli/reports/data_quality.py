"""quality.html: one file that needs no network, for light and dark screens."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from engage_cli.config.general import CLASS_NAMES, PARTS
from engage_cli.data.dataset_meta import DatasetMeta
from engage_cli.data.quality import Quality
from engage_cli.data.targets.target import Target
from engage_cli.reports._svg import histogram_chart
from engage_cli.reports._templates import ReadImage, open_templates, thumbnail


def render_quality(
    quality: Quality, meta: DatasetMeta, targets: Mapping[str, Target], posts: pd.DataFrame, read_image: ReadImage
) -> str:
    """Return the page. Nothing in it comes from outside the file, and every text of a post is escaped."""
    counters = [
        (
            one,
            histogram_chart(
                one.histogram.edges, one.histogram.counts, log10=True, zeros=one.histogram.zeros, label=one.name
            ),
        )
        for one in quality.counters
    ]
    charts = {
        name: histogram_chart(one.edges, one.counts, cuts=targets[name].cuts, label=name)
        for name, one in quality.targets.items()
    }
    examples = [(one, thumbnail(read_image(one.row))) for one in quality.examples]
    groups = [(one, [thumbnail(read_image(row)) for row in one.rows]) for one in quality.largest_groups]
    return (
        open_templates()
        .get_template("quality.html")
        .render(
            quality=quality,
            meta=meta,
            counters=counters,
            charts=charts,
            targets=targets,
            examples=examples,
            groups=groups,
            parts=PARTS,
            class_names=CLASS_NAMES,
            dated=bool(quality.dates),
            total=len(posts),
        )
    )
