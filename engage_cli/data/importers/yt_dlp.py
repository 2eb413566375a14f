"""A folder of yt-dlp: NAME.info.json of --write-info-json, and NAME.webp or .jpg of --write-thumbnail beside it.

yt-dlp README, "Filesystem options"; fields as its extractors document them (yt_dlp/extractor/common.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables._documents import (
    count_note,
    first_of,
    image_beside,
    make_import,
    names_by_folder,
    read_document,
)
from engage_cli.data.tables._flatten import Record

SUFFIX = ".info.json"
FIELDS = {
    "id": "id", "image": "thumbnail", "title": "title", "tags": "tags", "description": "description", "author": "channel",
    "posted_at": "timestamp or upload_date", "views": "view_count", "likes": "like_count", "comments": "comment_count",
    "shares": "repost_count", "dislikes": "dislike_count", "favorites": "save_count",
}  # fmt: skip
UNUSED = ("categories", "duration", "channel_follower_count", "availability", "formats", "chapters", "heatmap")
LAYOUT = f"*{SUFFIX} of yt-dlp --write-info-json, with thumbnails beside them"


def recognise(tree: Tree) -> bool:
    return any(path.name.endswith(SUFFIX) for path in tree.files)


def read_yt_dlp(folder: Path) -> Import:
    """Read every video's info; what a playlist or channel writes of itself is not a post."""
    tree = Tree(folder)
    files = [path for path in tree.files if path.name.endswith(SUFFIX)]
    names = names_by_folder(tree.files)
    records, num_lists, num_broken = [], 0, 0
    for path in files:
        info = read_document(path)
        if info is None or "id" not in info:
            num_broken += 1
        elif info.get("_type", "video") not in ("video", "url", "url_transparent") or "entries" in info:
            num_lists += 1
        else:
            records.append(_post(info, path, folder, names))
    notes = count_note(num_lists, "files are of playlists or channels and no posts")
    notes += count_note(num_broken, f"*{SUFFIX} hold no JSON of a video and were left out")
    return make_import(records, FIELDS, folder, source="yt-dlp", notes=notes, unused=UNUSED)


def _post(info: Record, path: Path, folder: Path, names: dict[Path, set[str]]) -> Record:
    stem = path.name.removesuffix(SUFFIX)
    listed = info.get("thumbnails")
    thumbnails = [str(one.get("id")) for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
    image = image_beside(names, path.parent, stem, *(f"{stem}.{id}" for id in reversed(thumbnails)))
    return {
        "id": str(info["id"]),
        "image": os.path.relpath(path.parent / image, folder) if image else "",
        "title": first_of(info, "title", "fulltitle"),
        "tags": info.get("tags"),
        "description": info.get("description"),
        "author": first_of(info, "channel", "uploader", "channel_id", "uploader_id"),
        "posted_at": first_of(info, "timestamp", "release_timestamp", "upload_date"),
        "views": info.get("view_count"),
        "likes": info.get("like_count"),
        "comments": info.get("comment_count"),
        "shares": info.get("repost_count"),
        "dislikes": info.get("dislike_count"),
        "favorites": info.get("save_count"),
    }
