"""The table of posts: its columns, what is known before publication, and the texts that a model reads."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from engage_cli.core.errors import EngageError, WrongCallError

TEXT_COLUMNS = ("title", "tags", "description")
COUNTERS = ("views", "likes", "comments", "shares", "favorites")
EXTRA_COUNTERS = ("coins", "barrages", "dislikes")
CONTENT_COLUMNS = ("id", "image", *TEXT_COLUMNS, "author", "posted_at")
# What prepare adds; none of it is computed from a counter.
BOOKKEEPING_COLUMNS = ("image_hash", "image_problem", "group", "split")
KNOWN_BEFORE = (*CONTENT_COLUMNS, *BOOKKEEPING_COLUMNS)
TEXT_BLOCKS = ("title", "context", "text")
BLOCKS = ("image", *TEXT_BLOCKS)

_NOTHING = {"", "na", "n/a", "nan", "null", "none", "-"}
_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9}
_NUMBER = re.compile(r"^([+-]?\d[\d,]*(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([kKmMbB]?)$")


def parse_blocks(text: str) -> tuple[str, ...]:
    """Parse "image,title" into block names; raise WrongCallError, with those that exist, for anything else."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or set(names) - set(BLOCKS) or len(set(names)) < len(names):
        raise WrongCallError(f"--blocks '{text}': name one or more of these, each once: {', '.join(BLOCKS)}")
    return names


def known_before(posts: pd.DataFrame) -> pd.DataFrame:
    """Return only the columns that are known before publication: all that a model may be given."""
    return posts[[column for column in KNOWN_BEFORE if column in posts.columns]]


def parse_counters(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Parse "799668.0", "1,234", "1.2K"; return (float64 with NaN where nothing usable stands, mask of unusable cells).

    An empty cell, "n/a" and the like are missing; anything else that is no number >= 0 is unusable.
    """
    text = column.fillna("").astype(str).str.strip()
    values = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, copy=True)
    for index in np.flatnonzero(np.isnan(values)):
        found = _NUMBER.match(text.iloc[index])
        if found:
            values[index] = float(found[1].replace(",", "")) * _SUFFIX.get(found[2].lower(), 1.0)
    values[~np.isfinite(values) | (values < 0)] = np.nan
    missing = text.str.lower().isin(_NOTHING).to_numpy()
    return values, np.isnan(values) & ~missing


def parse_dates(column: pd.Series, name: str) -> pd.Series:
    """Parse dates, or unix seconds, to UTC timestamps; raise EngageError naming the first row that is neither."""
    text = column.fillna("").astype(str).str.strip()
    empty = text.str.lower().isin(_NOTHING)
    seconds = pd.to_numeric(text, errors="coerce")
    # "20210905" is a day, not August 1970.
    is_unix = seconds.notna() & (seconds > 1e8)
    dates = pd.to_datetime(text.where(~empty & ~is_unix), errors="coerce", utc=True, format="mixed")
    dates = dates.astype("datetime64[ns, UTC]")
    if is_unix.any():
        dates[is_unix] = pd.to_datetime(seconds[is_unix], unit="s", utc=True)
    bad = np.flatnonzero((dates.isna() & ~empty).to_numpy())
    if bad.size:
        raise EngageError(
            f"column '{name}', row {bad[0] + 1}: '{text.iloc[bad[0]][:40]}' is no date; "
            "write YYYY-MM-DD or unix seconds, or leave the cell empty"
        )
    return dates


def clean_text(column: pd.Series) -> pd.Series:
    """Strip, drop NUL bytes, make a missing text the empty string."""
    return column.fillna("").astype(str).str.replace("\0", "", regex=False).str.strip()


def texts_of(posts: pd.DataFrame, block: str) -> list[str]:
    """Return the string of each post for a text block; empty where the post has none.

    `title` is the title, `context` is tags and description, `text` is all three: the title first, so that an
    encoder with a short window cuts the description.
    """
    columns = {"title": ("title",), "context": ("tags", "description"), "text": TEXT_COLUMNS}[block]
    present = [posts[column].fillna("").astype(str).tolist() for column in columns if column in posts.columns]
    if not present:
        return [""] * len(posts)
    return [". ".join(part for part in row if part) for row in zip(*present, strict=True)]
