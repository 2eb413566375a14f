"""What the date and the author's earlier posts tell, as it stood when a post was published.

hour, weekday        of posted_at in UTC: 0 to 23, Monday 0 to Sunday 6; NaN without a date; no hour where dates are days
author_posts         how many earlier posts of the same author the data has
author_median_views  the median of log1p(views) over those; NaN where there is none

"Earlier" is strictly earlier: posts of the same moment do not see each other. And a post sees only parts that come
before or are its own (train < validation < test), so that nothing fitted on training rows depends on another row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS


def add_history(posts: pd.DataFrame) -> pd.DataFrame:
    """Return the posts with these columns, where they have dates and authors. Needs the column `split`."""
    if "posted_at" not in posts or posts["posted_at"].isna().all():
        return posts
    times = posts["posted_at"].dropna()
    posts = add_time(posts, has_hours=bool((times != times.dt.normalize()).any()))
    if "author" not in posts or (posts["author"] == "").all():
        return posts
    counts, medians = np.full(len(posts), np.nan), np.full(len(posts), np.nan)
    split = posts["split"].to_numpy()
    for number, part in enumerate(PARTS):
        seen = np.isin(split, PARTS[: number + 1])
        rows = seen & (split == part)
        if number == len(PARTS) - 1:  # posts of no part see all that is earlier
            seen, rows = np.ones(len(posts), bool), ~np.isin(split, PARTS[:-1])
        if rows.any():
            part_counts, part_medians = _earlier(posts[seen])
            counts[seen], medians[seen] = (
                np.where(rows[seen], new, old) for new, old in ((part_counts, counts[seen]), (part_medians, medians[seen]))
            )
    return posts.assign(author_posts=counts, author_median_views=medians)


def add_time(posts: pd.DataFrame, *, has_hours: bool) -> pd.DataFrame:
    """Return the posts with weekday, and with hour where their dates are more than days."""
    times = posts["posted_at"]
    if has_hours:
        posts = posts.assign(hour=times.dt.hour.astype(np.float64))
    return posts.assign(weekday=times.dt.weekday.astype(np.float64))


def _earlier(posts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return (number, median log1p of views) of each post's earlier posts by the same author."""
    views = np.log1p(posts["views"].to_numpy(np.float64)) if "views" in posts else np.full(len(posts), np.nan)
    frame = pd.DataFrame({"author": posts["author"].to_numpy(), "time": posts["posted_at"].to_numpy(), "views": views})
    known = frame[(frame["author"] != "") & frame["time"].notna()].sort_values(["author", "time"], kind="stable")
    counts, medians = np.full(len(posts), np.nan), np.full(len(posts), np.nan)
    if known.empty:
        return counts, medians
    by_author = known.groupby("author", sort=False)
    before = by_author.cumcount().to_numpy(np.float64)
    running = by_author["views"].expanding().median().to_numpy()
    # The first post of a moment has only earlier ones before it; those of the same moment take what it has.
    is_first = (~known.duplicated(["author", "time"])).to_numpy()
    shifted = np.concatenate([[np.nan], running[:-1]])
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(known)), 0))
    rows = known.index.to_numpy()
    counts[rows] = before[first]
    medians[rows] = np.where(before[first] > 0, shifted[first], np.nan)
    return counts, medians
