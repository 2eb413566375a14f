"""Videos of the YouTube Data API v3 (videos.list, search.list): items as JSON, or flattened by pandas.json_normalize."""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("id.videoId", "id", "snippet.resourceId.videoId", "contentDetails.videoId"),
    "title": ("snippet.title",),
    "tags": ("snippet.tags",),
    "description": ("snippet.description",),
    "author": ("snippet.channelTitle", "snippet.channelId"),
    "posted_at": ("snippet.publishedAt",),
    "views": ("statistics.viewCount",),
    "likes": ("statistics.likeCount",),
    "comments": ("statistics.commentCount",),
    "dislikes": ("statistics.dislikeCount",),
}


def read(raw: Raw) -> Export | None:
    if not has(raw, "snippet.title"):
        return None
    return Export(name="the YouTube Data API", columns=present(raw.frame.columns, COLUMNS))
