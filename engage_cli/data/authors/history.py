"""What the date and the author's earlier posts tell, as it stood when a post was published.

hour, weekday           of posted_at in UTC: 0 to 23, Monday 0 to Sunday 6; NaN without a date; no hour where dates are days
author_posts            how many earlier posts of the same author the data has
author_median_views     the median of log1p(views) over those; NaN where there is none
author_is_new, ...      see data.authors._record

"Earlier" is strictly earlier: posts of the same moment do not see each other. And a post sees only parts that come
before or are its own (train < validation < test), so that nothing fitted on training rows depends on another row.

It is assumed that the counters of a post that was published earlier could be read when the next one was published. In a
table that was read once they are later counters, and larger ones.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS
from engage_cli.data.authors._record import RECORD_COLUMNS, records_of
from engage_cli.data.schema import ALL_COUNTERS


def add_history(posts: pd.DataFrame) -> pd.DataFrame:
    """Return the posts with these columns, where they have dates and authors. Needs the column `split`."""
    if "posted_at" not in posts or posts["posted_at"].isna().all():
        return posts
    times = posts["posted_at"].dropna()
    posts = add_time(posts, has_hours=bool((times != times.dt.normalize()).any()))
    if "author" not in posts or (posts["author"] == "").all():
        return posts
    names = ("author_posts", "author_median_views", *RECORD_COLUMNS)
    found = np.full((len(posts), len(names)), np.nan)
    split = posts["split"].to_numpy()
    for number, part in enumerate(PARTS):
        seen = np.isin(split, PARTS[: number + 1])
        rows = seen & (split == part)
        if number == len(PARTS) - 1:  # posts of no part see all that is earlier
            seen, rows = np.ones(len(posts), bool), ~np.isin(split, PARTS[:-1])
        if rows.any():
            found[rows] = _earlier(posts[seen])[rows[seen]]
    return posts.assign(**dict(zip(names, found.T, strict=True)))


def add_time(posts: pd.DataFrame, *, has_hours: bool) -> pd.DataFrame:
    """Return the posts with weekday, and with hour where their dates are more than days."""
    times = posts["posted_at"]
    if has_hours:
        posts = posts.assign(hour=times.dt.hour.astype(np.float64))
    return posts.assign(weekday=times.dt.weekday.astype(np.float64))


def _earlier(posts: pd.DataFrame) -> np.ndarray:
    """Return (n, F): number and median log1p of views of each post's earlier posts by the same author, and their record."""
    views = np.log1p(posts["views"].to_numpy(np.float64)) if "views" in posts else np.full(len(posts), np.nan)
    frame = pd.DataFrame({"author": posts["author"].to_numpy(), "time": posts["posted_at"].to_numpy(), "views": views})
    known = frame[(frame["author"] != "") & frame["time"].notna()].sort_values(["author", "time"], kind="stable")
    found = np.full((len(posts), 2 + len(RECORD_COLUMNS)), np.nan)
    if known.empty:
        return found
    by_author = known.groupby("author", sort=False)
    before = by_author.cumcount().to_numpy(np.float64)
    running = by_author["views"].expanding().median().to_numpy()
    # The first post of a moment has only earlier ones before it; those of the same moment take what it has.
    is_first = (~known.duplicated(["author", "time"])).to_numpy()
    shifted = np.concatenate([[np.nan], running[:-1]])
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(known)), 0))
    rows = known.index.to_numpy()
    found[rows, 0] = before[first]
    found[rows, 1] = np.where(before[first] > 0, shifted[first], np.nan)
    days = known["time"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.float64) / 86_400e6
    found[rows, 2:] = records_of(known["author"].to_numpy(object), days, _success(posts)[rows])
    return found


def _success(posts: pd.DataFrame) -> np.ndarray:
    """(n,) log1p of views, or of the first counter that the posts have."""
    counter = next((name for name in ALL_COUNTERS if name in posts and posts[name].notna().any()), None)
    return np.full(len(posts), np.nan) if counter is None else np.log1p(posts[counter].to_numpy(np.float64))
