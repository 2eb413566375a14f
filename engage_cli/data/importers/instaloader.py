"""A folder of Instaloader: DATE_UTC.json(.xz) of each post, its images beside it (DATE_UTC.jpg, or _1.jpg, _2.jpg).

instaloader/structures.py: the node of Instagram's own answer; a count of -1 is a hidden one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables._documents import (
    count_note,
    first_of,
    image_beside,
    make_import,
    names_by_folder,
    object_of,
    read_document,
)
from engage_cli.data.tables._flatten import Record

FIELDS = {
    "id": "shortcode", "image": "the first image", "title": "caption", "tags": "hashtags of the caption",
    "author": "owner",
    "posted_at": "taken_at_timestamp", "views": "video_view_count", "likes": "edge_media_preview_like",
    "comments": "edge_media_to_comment",
}  # fmt: skip
NAME = re.compile(r".*_UTC(?:_\w+)?\.json(?:\.xz)?$")
LAYOUT = "*_UTC.json or *_UTC.json.xz of Instaloader, with images beside them"


def recognise(tree: Tree) -> bool:
    return any(NAME.fullmatch(path.name) for path in tree.files)


def read_instaloader(folder: Path) -> Import:
    """Read every post; what is saved of profiles and stories is not a post."""
    tree = Tree(folder)
    names = names_by_folder(tree.files)
    records, num_others, num_broken = [], 0, 0
    for path in tree.files:
        if not NAME.fullmatch(path.name):
            continue
        saved = read_document(path)
        node = saved.get("node") if saved is not None else None
        if saved is None or not isinstance(node, dict):
            num_broken += 1
        elif object_of(saved, "instaloader").get("node_type", "Post") != "Post" or "shortcode" not in node:
            num_others += 1
        else:
            records.append(_post(node, path, folder, names))
    notes = count_note(num_others, "files are of profiles or stories and no posts")
    notes += count_note(num_broken, "*_UTC.json hold nothing that Instaloader wrote and were left out")
    return make_import(records, FIELDS, folder, source="instaloader", notes=notes)


def _post(node: Record, path: Path, folder: Path, names: dict[Path, set[str]]) -> Record:
    stem = path.name.removesuffix(".xz").removesuffix(".json")
    image = image_beside(names, path.parent, stem, f"{stem}_1")
    caption = _caption(node)
    if not caption and f"{stem}.txt" in names[path.parent]:
        caption = (path.parent / f"{stem}.txt").read_text(encoding="utf-8", errors="replace").strip()
    hides = bool(node.get("like_and_view_counts_disabled"))
    likes = _count(node, "edge_media_preview_like", "edge_liked_by")
    return {
        "id": str(node["shortcode"]),
        "image": os.path.relpath(path.parent / image, folder) if image else "",
        "title": caption,
        "tags": list(dict.fromkeys(tag.lower() for tag in re.findall(r"#(\w+)", caption))),
        "author": first_of(object_of(node, "owner"), "username", "id"),
        "posted_at": first_of(node, "taken_at_timestamp", "date"),
        "views": _shown(first_of(node, "video_view_count", "video_play_count")),
        "likes": None if hides and not likes else _shown(likes),
        "comments": _shown(_count(node, "edge_media_to_comment", "edge_media_to_parent_comment")),
    }


def _caption(node: Record) -> str:
    edges = object_of(node, "edge_media_to_caption").get("edges")
    first = edges[0] if isinstance(edges, list) and edges else None
    text = object_of(first, "node").get("text") if isinstance(first, dict) else None
    return next((found for found in (text, node.get("caption")) if isinstance(found, str) and found), "")


def _count(node: Record, *names: str) -> Any:
    return next((object_of(node, name).get("count") for name in names if isinstance(node.get(name), dict)), None)


def _shown(count: Any) -> Any:
    return None if count == -1 else count
