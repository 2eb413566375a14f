"""Meta Business Suite's export of posts of Facebook or Instagram. Its times are month first; Date says "Lifetime"."""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, has, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": ("Post ID",),
    "title": ("Title",),
    "description": ("Description",),
    "author": ("Account username", "Page name", "Account name"),
    "posted_at": ("Publish time",),
    "views": ("Views", "Plays", "3-second video views"),
    "likes": ("Likes", "Reactions"),
    "comments": ("Comments",),
    "shares": ("Shares",),
    "favorites": ("Saves",),
}


def read(raw: Raw) -> Export | None:
    if not has(raw, "Post ID", "Publish time", "Permalink"):
        return None
    found = present(raw.frame.columns, COLUMNS)
    cells = raw.frame[found["posted_at"]].str.strip()
    is_usual = bool((cells.str.fullmatch(r"(?:0?[1-9]|1[0-2])/\d{1,2}/\d{4}.*") | (cells == "")).all())
    return Export(
        name="Meta Business Suite's export", columns=found, date_orders={found["posted_at"]: "MDY"} if is_usual else {}
    )
