"""PixelRec: one item_info CSV and a folder of covers, at any depth below the folder that the user points at.

Cheng et al. 2023, "An image dataset for benchmarking recommender systems with raw pixels", arXiv:2309.06789.
"""

from __future__ import annotations

from pathlib import Path

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables._delimited import warn_of_swallowed_rows
from engage_cli.data.tables.reading import read_frame
from engage_cli.data.tables.typed import Typed
from engage_cli.errors import EngageError

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
TABLE = "*item_info*.csv"
LAYOUT = f"{TABLE}, and cover/, covers/, images/ or cover.tar.gz/.zip, at any depth"


def recognise(tree: Tree) -> bool:
    return bool(tree.find(TABLE))


def read_pixelrec(folder: Path) -> Import:
    """Read the items; covers are `<item_id>.jpg`. There is no author and no time in PixelRec."""
    tree = Tree(folder)
    if tree.find("*.mdb") and not recognise(tree):
        raise EngageError(
            f"{folder} holds an LMDB, whose values are pickles, and unpickling a file can run any code: "
            "get PixelRec's item_info CSV and its covers instead"
        )
    path = tree.one(TABLE)
    table = read_frame(path)
    raw, notes, delimiter = table.frame, table.notes, table.delimiter
    missing = [column for column in REQUIRED if column not in raw.columns]
    if missing:
        raise EngageError(f"{path} lacks the column '{missing[0]}'; it has: {', '.join(map(str, raw.columns))}")
    found = {ours: theirs for ours, theirs in COLUMNS.items() if theirs in raw.columns}
    notes += warn_of_swallowed_rows(raw, found, delimiter, path)
    typed = Typed(raw, found, path)
    typed.posts["image"] = typed.posts["id"] + ".jpg"
    return Import(
        posts=typed.posts,
        source="pixelrec",
        images=tree.images(),
        found=found,
        unused=tuple(column for column in raw.columns if column not in found.values()),
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
    )
