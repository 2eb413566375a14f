"""A table that is asked about, read as the run's own table was: what a column is, was decided there once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from engage_cli.data.importers import Import
from engage_cli.data.importers.table import read_unpublished
from engage_cli.data.schema import KNOWN_AFTER, OWN, TEXT_COLUMNS
from engage_cli.data.table_format import CATEGORY, NUMBER, ColumnFormat
from engage_cli.models.predictor import extra_columns
from engage_cli.runs.run_folder import Run


def formats_of(run: Run) -> dict[str, ColumnFormat]:
    """Return what the columns of the run's own table were."""
    known = dict(run.meta.data.table)
    for name, kind in extra_columns(run).items():
        if name.startswith(OWN) and (name not in known or known[name].kind != kind):
            known[name] = ColumnFormat(name=name.removeprefix(OWN), kind=NUMBER if kind == NUMBER else CATEGORY)
    return known


def read_asked(path: Path, *, images_dir: Path | None, mapping: Mapping[str, str], run: Run) -> Import:
    """Read a table of posts that are to be predicted, as the run's own table was read."""
    reads = [name for name in extra_columns(run) if name not in KNOWN_AFTER]  # a table of posts to come has no counters
    found = read_unpublished(path, images_dir=images_dir, mapping=mapping, reads=reads, known=formats_of(run))
    numbers = [name for name in reads if name in found.posts and is_numeric_dtype(found.posts[name])]
    notes = [
        f"no cell of column '{name.removeprefix(OWN)}' is a number, as it was in the run's own table: taken as unknown"
        for name in numbers
        if found.posts[name].isna().all()
    ]
    return replace(found, warnings=(*found.warnings, *notes))


def unseen_texts(posts: pd.DataFrame, found: Mapping[str, str], run: Run) -> list[str]:
    """Return a note of each text that these posts have and no training post had."""
    seen = run.meta.data.texts
    if seen is None:  # of a run before this was kept
        return []
    there = [column for column in TEXT_COLUMNS if column in posts and (posts[column] != "").any()]
    others = " or ".join(seen) or "text"
    return [
        f"no training post had a {column}, and the text of column '{found.get(column, column)}' is read as one; if it is "
        f"{others}, give --map {seen[0] if seen else column}={found.get(column, column)}"
        for column in there
        if column not in seen
    ]
