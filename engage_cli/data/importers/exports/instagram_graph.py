"""Media of the Instagram Graph API: caption, timestamp, counts, and insights as a list of named values."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("id",),
    "title": ("caption",),
    "author": ("username", "owner.username"),
    "posted_at": ("timestamp",),
    "views": ("views", "insights.views", "insights.plays", "insights.video_views"),
    "likes": ("like_count", "insights.likes"),
    "comments": ("comments_count", "insights.comments"),
    "shares": ("insights.shares", "shares"),
    "favorites": ("insights.saved", "saved"),
}
INSIGHTS = "insights.data"


def read(raw: Raw) -> Export | None:
    if not has(raw, "caption", "timestamp", "comments_count"):
        return None
    if INSIGHTS in raw.frame:
        found = [_insights(cell) for cell in raw.frame[INSIGHTS]]
        columns = pd.DataFrame(found, index=raw.frame.index, dtype=object).fillna("").astype(str)
        raw.frame = raw.frame.drop(columns=INSIGHTS).join(columns[[name for name in columns if name not in raw.frame]])
    return Export(name="the Instagram Graph API", columns=present(raw.frame.columns, COLUMNS))


def _insights(cell: str) -> dict[str, str]:
    """Read [{"name": "reach", "values": [{"value": 5}]}, ...]; nothing where it is something else."""
    try:
        rows: Any = json.loads(cell) if cell else []
        return {f"insights.{row['name']}": str(row["values"][0]["value"]) for row in rows}
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
