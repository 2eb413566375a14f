"""Synthetic posts as a DataFrame, to try the API on."""

from __future__ import annotations

import pandas as pd

from engage_cli.synthetic.covers import draw_cover
from engage_cli.synthetic.posts import make_posts

COUNTERS = {"view_number": "views", "thumbup_number": "likes", "comment_number": "comments", "share_number": "shares"}


def sample_posts(rows: int = 300, *, seed: int = 0, with_images: bool = True) -> pd.DataFrame:
    """Return synthetic posts whose engagement follows a known law: nothing about real audiences is in them.

    Columns: id, image (the bytes of a JPEG of 224 x 224 pixels; absent without images), title, tags, description, and the
    counters views, likes, comments, shares (NaN where one is unknown). The same seed gives the same posts.

    Raises ValueError for less than one row.

    Example:
        posts = sample_posts(300)
    """
    if rows < 1:
        raise ValueError(f"rows={rows}: give at least 1")
    made = make_posts(rows, seed)
    table = made.table
    posts = pd.DataFrame({"id": table["item_id"]})
    if with_images:
        drawn, style = made.factors["drawn"].tolist(), made.factors["style"].tolist()
        posts["image"] = [draw_cover(drawn[row], style[row], (seed, row)) for row in range(rows)]
    posts = posts.assign(title=table["title"], tags=table["tag"], description=table["description"])
    for theirs, ours in COUNTERS.items():
        posts[ours] = pd.to_numeric(table[theirs].replace("", None))
    return posts
