"""posts.parquet: its columns, their types and ranges, checked before any of it is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from engage_cli.config.general import PARTS
from engage_cli.data.ages import LEAST_DAYS, MOST_DAYS
from engage_cli.data.dataset_meta import AGAIN, POSTS_FILE, DatasetMeta
from engage_cli.data.schema import (
    ALL_COUNTERS,
    AUTHOR_COLUMNS,
    BOOKKEEPING_COLUMNS,
    DATES,
    EXPOSURE,
    LOG_AGE,
    OUTCOME,
    OWN,
    SCORE,
    TEXT_COLUMNS,
    table_columns,
)
from engage_cli.errors import EngageError
from engage_cli.io.records import check_file

TEXT, NUMBER, WHOLE, TIME = "text", "number", "whole number", "time"
NUMBERS = ("hour", "weekday", *AUTHOR_COLUMNS, LOG_AGE, *ALL_COUNTERS, SCORE, OUTCOME, EXPOSURE)
RANGES: dict[str, tuple[float, float]] = {"hour": (0, 23), "weekday": (0, 6), **dict.fromkeys(AUTHOR_COLUMNS, (0, np.inf))}
RANGES |= {"author_is_new": (0, 1), "author_trend": (-np.inf, np.inf)}
RANGES |= {LOG_AGE: (np.log(LEAST_DAYS) - 1e-9, np.log(MOST_DAYS))}
RANGES |= dict.fromkeys((*ALL_COUNTERS, OUTCOME, EXPOSURE), (0, np.inf))
NEEDED = ("id", *TEXT_COLUMNS, *BOOKKEEPING_COLUMNS)
HEX = r"^([0-9a-f]{32})?$"  # an image's hash; "" without an image


def read_posts(folder: Path, meta: DatasetMeta) -> pd.DataFrame:
    """Read the posts of a data folder; raise EngageError where they are not those that dataset.json records."""
    path = check_file(folder / POSTS_FILE, meta.files[POSTS_FILE], again=AGAIN)
    try:
        with parquet.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow, meta)
            posts = file.read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise EngageError(f"{path} is damaged: {str(error).splitlines()[0][:200]}; {AGAIN}") from None
    check_values(path, posts, meta)
    return posts


def check_columns(path: Path, schema: pa.Schema, meta: DatasetMeta) -> None:
    """Raise EngageError where a column is unknown, absent, or of another type than it must have."""
    names = list(schema.names)
    if names != list(meta.columns) or len(set(names)) < len(names) or table_columns(names) != names:
        unlike = next((name for name in names if name not in meta.columns), "order or number")
        raise EngageError(f"{path}: its columns are not those that dataset.json names ({unlike}); {AGAIN}")
    for name in NEEDED:
        if name not in names:
            raise EngageError(f"{path}: the column {name} is missing; {AGAIN}")
    for field in schema:
        found, wanted = _kind_of(field.type), _kinds_of(field.name)
        if found not in wanted:
            raise EngageError(f"{path}: the column {field.name} is {field.type}, not {' or '.join(wanted)}; {AGAIN}")


def check_values(path: Path, posts: pd.DataFrame, meta: DatasetMeta) -> None:
    """Raise EngageError for the first column with a value that it cannot have, and its first row."""
    if len(posts) != meta.rows.kept:
        raise EngageError(f"{path} holds {len(posts):,} posts, but dataset.json says {meta.rows.kept:,}; {AGAIN}")
    for name in posts.columns:
        bad, why = _wrong_values(posts[name], meta)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            value = str(posts[name].iloc[row])[:40]
            raise EngageError(f"{path}: the column {name} has {value!r} in row {row + 1}, which is {why}; {AGAIN}")
    counts = posts["split"].value_counts()
    for part, number in meta.split.rows.items():
        if int(counts.get(part, 0)) != number:
            raise EngageError(
                f"{path} holds {counts.get(part, 0):,} {part} posts, and dataset.json says {number:,}; {AGAIN}"
            )


def _kind_of(type: pa.DataType) -> str:
    if pa.types.is_string(type) or pa.types.is_large_string(type):
        return TEXT
    if pa.types.is_float64(type):
        return NUMBER
    if pa.types.is_int64(type):
        return WHOLE
    return TIME if pa.types.is_timestamp(type) else str(type)


def _kinds_of(name: str) -> tuple[str, ...]:
    if name.startswith(OWN):
        return (TEXT, NUMBER)
    if name == "source_row":
        return (WHOLE,)
    return (TIME,) if name in DATES else (NUMBER,) if name in NUMBERS else (TEXT,)


def _wrong_values(column: pd.Series, meta: DatasetMeta) -> tuple[np.ndarray, str]:
    """Return (n,) bool, and what is wrong where it is True."""
    name = str(column.name)
    if pd.api.types.is_datetime64_any_dtype(column):
        return np.zeros(len(column), bool), ""
    if pd.api.types.is_numeric_dtype(column):
        low, high = RANGES.get(name, (1 if name == "source_row" else -np.inf, np.inf))
        values = column.to_numpy(np.float64)
        return (values < low) | (values > high) | np.isinf(values), f"not between {low:g} and {high:g}"
    if column.isna().any():
        return column.isna().to_numpy(), "not a text"
    if name == "split":
        return ~column.isin((*PARTS, "")).to_numpy(), f"none of {', '.join(PARTS)}"
    if name == "source":
        return ~column.isin(list(meta.sources)).to_numpy(), "not a source that dataset.json names"
    if name == "image_hash":
        return ~column.str.fullmatch(HEX).to_numpy(bool), "not a hash of 32 hexadecimal digits"
    return np.zeros(len(column), bool), ""
