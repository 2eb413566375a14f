"""Submissions of Reddit, as its API and the archives of it write them: score is upvotes less downvotes."""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("id", "data.id"),
    "title": ("title", "data.title"),
    "description": ("selftext", "data.selftext", "body"),
    "tags": ("link_flair_text", "data.link_flair_text"),
    "author": ("author", "data.author"),
    "posted_at": ("created_utc", "data.created_utc", "created"),
    "observed_at": ("retrieved_utc", "retrieved_on", "data.retrieved_on"),
    "likes": ("score", "data.score", "ups"),
    "comments": ("num_comments", "data.num_comments"),
}


def read(raw: Raw) -> Export | None:
    if not (has(raw, "subreddit", "num_comments") or has(raw, "data.subreddit", "data.num_comments")):
        return None
    return Export(name="Reddit's submissions", columns=present(raw.frame.columns, COLUMNS))
