"""TikTok's videos as scrapers write them: TikTok's own field names (diggCount is likes), flat or nested."""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("id", "video_id", "aweme_id"),
    "description": ("text", "desc", "video_description"),
    "tags": ("hashtags", "challenges", "hashtag_names"),
    "author": ("authorMeta.name", "author.uniqueId", "author.unique_id", "author_username", "author"),
    "posted_at": ("createTime", "createTimeISO", "create_time", "video_timestamp"),
    "observed_at": ("scrapedAt", "scraped_at", "crawl_time"),
    "views": ("playCount", "stats.playCount", "statistics.play_count", "video_playcount", "play_count"),
    "likes": ("diggCount", "stats.diggCount", "statistics.digg_count", "video_diggcount", "digg_count"),
    "comments": ("commentCount", "stats.commentCount", "statistics.comment_count", "video_commentcount", "comment_count"),
    "shares": ("shareCount", "stats.shareCount", "statistics.share_count", "video_sharecount", "share_count"),
    "favorites": ("collectCount", "stats.collectCount", "statistics.collect_count", "collect_count"),
}


def read(raw: Raw) -> Export | None:
    if not any(has(raw, name) for name in COLUMNS["likes"]):
        return None
    return Export(name="a TikTok scraper's table", columns=present(raw.frame.columns, COLUMNS))
