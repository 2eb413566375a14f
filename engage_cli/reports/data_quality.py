"""quality.html: one file that needs no network, for light and dark screens."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping

import jinja2
import pandas as pd

from engage_cli.config.general import CLASS_NAMES, PARTS
from engage_cli.data.dataset_meta import DatasetMeta
from engage_cli.data.quality import Quality
from engage_cli.data.targets.target import Target
from engage_cli.images.decode import ImageError, decode
from engage_cli.reports.svg import histogram_chart, short_number

THUMBNAIL_SIDE = 200  # pixels
ReadImage = Callable[[int], bytes | None]  # row of the table -> its image's file, None without one


def render_quality(
    quality: Quality, meta: DatasetMeta, targets: Mapping[str, Target], posts: pd.DataFrame, read_image: ReadImage
) -> str:
    """Return the page. Nothing in it comes from outside the file, and every text of a post is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engage_cli"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        short=short_number, num=lambda value: f"{value:,}", percent=lambda share: f"{100 * share:.1f} %"
    )
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
    return environment.get_template("quality.html").render(
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


def thumbnail(data: bytes | None) -> str | None:
    """Return a small JPEG as a data URI; None where there is no image."""
    if data is None:
        return None
    try:
        image = decode(data)
    except ImageError:
        return None
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
