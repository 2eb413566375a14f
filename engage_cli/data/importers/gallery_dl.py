"""A folder of gallery-dl --write-metadata: NAME.jpg and NAME.jpg.json, a post's files numbered by `num`.

Field names differ by site (gallery_dl/extractor/); those of Twitter, Instagram, TikTok, Bluesky,
Pixiv, Reddit and Tumblr are known.
"""

from __future__ import annotations

import os
from pathlib import Path

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables._documents import count_note, first_of, make_import, object_of, read_document
from engage_cli.data.tables._flatten import Record
from engage_cli.images.decode import IMAGE_SUFFIXES

FIELDS = {
    "id": "id, post_id or tweet_id", "image": "the file", "title": "title", "tags": "tags",
    "description": "content or description",
    "author": "author or username", "posted_at": "date", "views": "view_count", "likes": "favorite_count or likes",
    "comments": "reply_count or num_comments", "shares": "retweet_count", "favorites": "bookmark_count",
}  # fmt: skip
LAYOUT = "NAME.jpg with NAME.jpg.json of gallery-dl --write-metadata"
MEDIA = (*IMAGE_SUFFIXES, ".mp4", ".webm", ".mov")


def recognise(tree: Tree) -> bool:
    return any(_media_of(path) for path in tree.files)


def _media_of(path: Path) -> str:
    """Return the name of the file that a sidecar is about; "" where it is none."""
    name = path.name.removesuffix(".json")
    return name if name != path.name and name.lower().endswith(MEDIA) else ""


def read_gallery_dl(folder: Path) -> Import:
    """Read every post's metadata; of a post of several files the first image is its cover."""
    tree = Tree(folder)
    there = set(tree.files)
    posts: dict[str, tuple[int, Record]] = {}
    num_broken = num_more = 0
    for path in tree.files:
        if not (name := _media_of(path)):
            continue
        info = read_document(path)
        id = first_of(info, "tweet_id", "post_id", "post_shortcode", "shortcode", "id") if info else None
        if info is None or id is None:
            num_broken += 1
            continue
        is_image = path.with_name(name) in there and name.lower().endswith(IMAGE_SUFFIXES)
        image = os.path.relpath(path.with_name(name), folder) if is_image else ""
        key, number = str(id), int(number) if (number := str(info.get("num", ""))).isdigit() else 0
        if key in posts:
            num_more += 1
            known, record = posts[key]
            if image and (not record["image"] or number < known):
                posts[key] = (number, {**record, "image": image})
        else:
            posts[key] = (number, _post(key, info, image))
    notes = count_note(num_more, "files are further images of posts with several; the first is the cover")
    notes += count_note(num_broken, "*.json hold no metadata of a post and were left out")
    return make_import([record for _, record in posts.values()], FIELDS, folder, source="gallery-dl", notes=notes)


def _post(id: str, info: Record, image: str) -> Record:
    author = first_of(info, "author", "username", "user", "owner", "uploader")
    counts = {**info, **object_of(info, "stats")}  # TikTok's, beside those that others write at the top
    return {
        "id": id,
        "image": image,
        "title": first_of(info, "title"),
        "tags": first_of(info, "tags", "hashtags", "challenges", "tag_string"),
        "description": first_of(info, "content", "description", "caption", "selftext", "desc", "body", "text"),
        "author": first_of(author, "name", "username", "uniqueId", "handle", "account", "id")
        if isinstance(author, dict)
        else author,
        "posted_at": first_of(info, "date", "created_utc", "timestamp"),
        "views": first_of(counts, "view_count", "playCount", "total_view", "views"),
        "likes": first_of(counts, "favorite_count", "likes", "like_count", "likeCount", "diggCount", "ups", "note_count"),
        "comments": first_of(
            counts, "reply_count", "replyCount", "num_comments", "comment_count", "commentCount", "total_comments",
            "comments_count",
        ),
        "shares": first_of(counts, "retweet_count", "repostCount", "reblog_count", "share_count", "shareCount"),
        "favorites": first_of(counts, "bookmark_count", "bookmarkCount", "total_bookmarks", "save_count", "collectCount"),
    }  # fmt: skip
