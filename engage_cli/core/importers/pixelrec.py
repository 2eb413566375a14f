"""PixelRec: one item_info CSV and a folder of covers, at any depth below the folder that the user points at.

Cheng et al. 2023, "An image dataset for benchmarking recommender systems with raw pixels", arXiv:2309.06789.
"""

from __future__ import annotations

from pathlib import Path

from engage_cli.core.errors import EngageError
from engage_cli.core.importers import Import
from engage_cli.core.importers.table import read_frame, to_posts

COLUMNS = {
    "id": "item_id",
    "title": "title",
    "tags": "tag",
    "description": "description",
    "views": "view_number",
    "likes": "thumbup_number",
    "comments": "comment_number",
    "shares": "share_number",
    "favorites": "favorite_number",
    "coins": "coin_number",
    "barrages": "barrage_number",
}
REQUIRED = ("item_id", "title", "view_number")
COVER_FOLDERS = ("cover", "covers", "images")
PACKED = (".tar.gz", ".tgz", ".zip", ".7z")


def read_pixelrec(folder: Path) -> Import:
    """Read the items; covers are `<item_id>.jpg`. There is no author and no time in PixelRec."""
    if not folder.is_dir():
        raise EngageError(f"no such folder: {folder}")
    path = _find_table(folder)
    raw = read_frame(path)
    missing = [column for column in REQUIRED if column not in raw.columns]
    if missing:
        raise EngageError(f"{path} lacks the column '{missing[0]}'; it has: {', '.join(map(str, raw.columns))}")
    found = {ours: theirs for ours, theirs in COLUMNS.items() if theirs in raw.columns}
    posts, warnings = to_posts(raw, found, path)
    posts["image"] = posts["id"] + ".jpg"
    return Import(posts=posts, source="pixelrec", images_dir=_find_covers(folder), found=found, warnings=tuple(warnings))


def _find_table(folder: Path) -> Path:
    tables = sorted(folder.rglob("*item_info*.csv"))
    if not tables:
        if any(folder.rglob("*.mdb")):
            raise EngageError(
                f"{folder} holds an LMDB, whose values are pickles, and unpickling a file can run any code: "
                "get PixelRec's item_info CSV and its covers instead"
            )
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10]) or "nothing"
        raise EngageError(f"no *item_info*.csv below {folder}; there is: {there}")
    if len(tables) > 1:
        raise EngageError(f"several *item_info*.csv below {folder}, point at one: {', '.join(map(str, tables[:5]))}")
    return tables[0]


def _find_covers(folder: Path) -> Path | None:
    folders = [entry for entry in sorted(folder.rglob("*")) if entry.is_dir() and entry.name in COVER_FOLDERS]
    if folders:
        return folders[0]
    for entry in sorted(folder.rglob("cover*")):
        if entry.name.endswith(PACKED):
            raise EngageError(f"the covers are still packed: unpack {entry} into {entry.parent / 'cover'} and try again")
    return None
