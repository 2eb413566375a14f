"""Any table: csv, tsv, jsonl or parquet, its columns found by name, by well-known alias, or by --map."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.importers import Import
from engage_cli.core.posts import (
    CONTENT_COLUMNS,
    COUNTERS,
    EXTRA_COUNTERS,
    TEXT_COLUMNS,
    clean_text,
    parse_counters,
    parse_dates,
)

COLUMNS = (*CONTENT_COLUMNS, *COUNTERS, *EXTRA_COUNTERS)
# Compared without case and punctuation: viewCount, view_count and "View count" are one.
ALIASES = {
    "id": ("itemid", "postid", "videoid", "mediaid", "pid", "uuid"),
    "image": ("imagepath", "imagefile", "filename", "file", "thumbnail", "cover", "imageid"),
    "title": ("caption", "headline", "name", "subject"),
    "tags": ("tag", "hashtags", "keywords", "category", "categories"),
    "description": ("desc", "body", "text", "summary"),
    "author": ("authorid", "user", "userid", "username", "channel", "channelid", "creator"),
    "posted_at": ("publishedat", "postedat", "createdat", "date", "timestamp", "postdate", "publishdate", "uploaddate"),
    "views": ("viewcount", "viewnumber", "viewscount", "playcount", "plays", "impressions"),
    "likes": ("likecount", "likescount", "thumbupnumber", "thumbups", "hearts"),
    "comments": ("commentcount", "commentnumber", "commentscount", "numcomments", "replies"),
    "shares": ("sharecount", "sharenumber", "sharescount", "retweets", "reposts"),
    "favorites": ("favoritecount", "favoritenumber", "favourites", "favorite", "bookmarks", "saves"),
    "coins": ("coinnumber", "coincount"),
    "barrages": ("barragenumber", "barragecount", "danmaku"),
    "dislikes": ("dislikecount", "dislikenumber"),
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def read_table(path: Path, *, images_dir: Path | None = None, mapping: Mapping[str, str] | None = None) -> Import:
    """Read posts from one file. `mapping` is our column -> the file's column and wins over what is found by name."""
    if not path.is_file():
        raise EngageError(f"no such table: {path}")
    if images_dir is not None and not images_dir.is_dir():
        raise EngageError(f"no such image folder: {images_dir}")
    raw = read_frame(path)
    found = match_columns(list(raw.columns), mapping or {}, path)
    posts, notes = to_posts(raw, found, path)
    if images_dir is not None:
        posts["image"] = find_images(posts, images_dir)
    elif "image" not in posts:
        posts["image"] = ""
    return Import(posts=posts, source=f"table:{path.name}", images_dir=images_dir, found=found, warnings=tuple(notes))


def read_frame(path: Path) -> pd.DataFrame:
    """Read every column as text: no number, date or "NA" is guessed before we know what the column means."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            raw = _read_delimited(path, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".jsonl":
            raw = _read_jsonl(path)
        elif suffix == ".parquet":
            raw = pd.read_parquet(path)
        else:
            raise EngageError(f"{path}: unknown kind of table '{suffix}'; there are: .csv, .tsv, .jsonl, .parquet")
    except UnicodeDecodeError as error:
        raise EngageError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 and try again") from None
    except pd.errors.EmptyDataError:
        raise EngageError(f"{path} is empty") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, OSError, ValueError) as error:
        raise EngageError(f"{path} cannot be read as {suffix[1:]}: {str(error).splitlines()[0]}") from None
    if raw.empty:
        raise EngageError(f"{path} has a header but no rows" if len(raw.columns) else f"{path} is empty")
    return raw


def match_columns(columns: list[str], mapping: Mapping[str, str], path: Path) -> dict[str, str]:
    """Return our column -> the file's column: --map first, then equal names, then aliases."""
    for ours, theirs in mapping.items():
        if ours not in COLUMNS:
            raise WrongCallError(f"--map names the unknown column '{ours}'; there are: {', '.join(COLUMNS)}")
        if theirs not in columns:
            raise WrongCallError(f"--map {ours}={theirs}: {path} has no column '{theirs}'; it has: {', '.join(columns)}")
    found = dict(mapping)
    taken = set(mapping.values())
    plain = {_plain(column): column for column in reversed(columns)}
    # Equal names of all columns before any alias: a column `text` may be nobody's description.
    for names in ((lambda ours: (_plain(ours),)), (lambda ours: ALIASES.get(ours, ()))):
        for ours in COLUMNS:
            match = next((plain[name] for name in names(ours) if name in plain and plain[name] not in taken), None)
            if ours not in found and match:
                found[ours] = match
                taken.add(match)
    if not any(column in found for column in (*COUNTERS, *EXTRA_COUNTERS)):
        raise EngageError(
            f"{path} has no counter (views, likes, ...) that could be found by name; it has the columns: "
            f"{', '.join(columns)}; name one, as in --map views={columns[-1]}"
        )
    return {ours: found[ours] for ours in COLUMNS if ours in found}


def to_posts(raw: pd.DataFrame, found: Mapping[str, str], path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the posts under our names and types, and a warning for each column with unusable cells."""
    posts: dict[str, Any] = {}
    notes = []
    for ours, theirs in found.items():
        if ours in (*COUNTERS, *EXTRA_COUNTERS):
            posts[ours], unusable = parse_counters(raw[theirs])
            if unusable.any():
                row = int(np.flatnonzero(unusable)[0])
                notes.append(
                    f"column '{theirs}': {int(unusable.sum()):,} cells are no counter and count as missing "
                    f"(first in row {row + 1}: '{str(raw[theirs].iloc[row])[:40]}')"
                )
        elif ours == "posted_at":
            posts[ours] = parse_dates(raw[theirs], theirs)
        else:
            posts[ours] = clean_text(raw[theirs])
    frame = pd.DataFrame(posts)
    for column in TEXT_COLUMNS:
        if column not in frame:
            frame[column] = ""
    if "id" not in frame:
        frame.insert(0, "id", [f"row{number + 1}" for number in range(len(frame))])
        notes.append(f"{path} has no id column; posts are called row1, row2, ...")
    elif (frame["id"] == "").any():
        row = int(np.flatnonzero((frame["id"] == "").to_numpy())[0])
        raise EngageError(f"{path}, row {row + 1}: the id (column '{found['id']}') is empty; every post needs one")
    return frame, notes


def find_images(posts: pd.DataFrame, images_dir: Path) -> list[str]:
    """Return each post's image, relative to the folder: its `image` column as it stands, or the file named by its id."""
    if "image" in posts:
        return [str(name) for name in posts["image"]]
    names = {entry.name for entry in images_dir.iterdir()}
    return [next((id + suffix for suffix in SUFFIXES if id + suffix in names), id + ".jpg") for id in posts["id"]]


def _read_delimited(path: Path, delimiter: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Without index_col=False a row longer than the header would silently shift every column by one;
        # with it pandas only warns that it drops cells.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        raw = pd.read_csv(
            path,
            sep=delimiter,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            low_memory=False,
            index_col=False,
        )
    if len(raw.columns) == 1 and re.search(r"[;\t|,]", str(raw.columns[0])):
        raise EngageError(
            f"{path} has one column only, '{raw.columns[0]}': a .csv is divided by commas, a .tsv by tabs; save it so"
        )
    return raw


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _read_jsonl(path: Path) -> pd.DataFrame:
    records = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise EngageError(f"{path}, line {number}: no JSON ({error.msg})") from None
            if not isinstance(record, dict):
                raise EngageError(f"{path}, line {number}: a JSON object is expected")
            records.append(record)
    return pd.DataFrame.from_records(records).astype(object)
