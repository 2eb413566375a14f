"""Kaggle's two sets of trending YouTube videos: a row is a video on one day that it trended.

datasnaek/youtube-new (2017 to 2018, trending_date as YY.DD.MM) and rsrishav/youtube-trending-video-dataset (2020 to 2024).
"""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("video_id",),
    "title": ("title",),
    "tags": ("tags",),
    "description": ("description",),
    "author": ("channel_title", "channelTitle"),
    "posted_at": ("publish_time", "publishedAt"),
    "observed_at": ("trending_date",),
    "views": ("views", "view_count"),
    "likes": ("likes",),
    "dislikes": ("dislikes",),
    "comments": ("comment_count",),
}
OLD_DATE = r"\d\d\.\d\d\.\d\d"


def read(raw: Raw) -> Export | None:
    if not has(raw, "video_id", "trending_date"):
        return None
    cells = raw.frame["trending_date"].str.strip() if "trending_date" in raw.frame else None
    is_old = cells is not None and bool((cells.str.fullmatch(OLD_DATE) | (cells == "")).all())
    orders = {"trending_date": "YDM"} if is_old else {}
    return Export(name="Kaggle's trending videos", columns=present(raw.frame.columns, COLUMNS), date_orders=orders)
