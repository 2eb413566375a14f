"""What is possible in a table and hardly true: more likes than views, one cell far beyond all others, covers that fail."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS
from engage_cli.data.schema import ALL_COUNTERS
from engage_cli.data.targets.target import Target

FAR = 100.0  # times the next largest cell
LEAST_CELLS, LEAST_COUNT = 10, 1000.0  # below these a large ratio is chance
MOST_UNUSABLE = 0.5  # of the covers
SHOWN = 3  # rows that a warning names


def implausible_counters(posts: pd.DataFrame) -> list[str]:
    """Return a warning of each kind of cell that contradicts another, or stands far beyond all others, with rows."""
    warnings = []
    if "views" in posts and "likes" in posts:
        rows = posts["likes"] > posts["views"]
        if rows.any():
            many = f"{int(rows.sum()):,} {'post has' if rows.sum() == 1 else 'posts have'} more likes than views"
            warnings.append(f"target rate: {many} ({_rows(posts, rows)}); check which columns --map names")
    for column in ALL_COUNTERS:
        if column not in posts:
            continue
        values = np.unique(posts[column].dropna().to_numpy(np.float64))
        if len(values) < LEAST_CELLS or values[-1] < LEAST_COUNT or values[-1] <= FAR * max(values[-2], 1.0):
            continue
        rows = posts[column] == values[-1]
        verb, num_cells = "is" if rows.sum() == 1 else "are", int(posts[column].notna().sum())
        warnings.append(
            f"column '{column}': {int(rows.sum()):,} of {num_cells:,} cells {verb} {values[-1]:,.0f}, "
            f"{values[-1] / max(values[-2], 1.0):,.0f} times the next largest ({_rows(posts, rows)})"
        )
    return warnings


def mostly_unusable_covers(posts: pd.DataFrame) -> list[str]:
    """Return a warning where most posts that name a cover have none that can be opened."""
    problems = posts["image_problem"]
    asked = problems[~problems.isin(("not asked for",))]
    bad = asked[asked != ""]
    if len(bad) <= MOST_UNUSABLE * len(asked) or not len(asked):
        return []
    usual = bad.value_counts().index[0]
    rows = (posts["image_problem"] == usual).reindex(posts.index, fill_value=False)
    many = f"{len(bad):,} of {len(asked):,} posts have no usable cover, most of them: {usual} ({_rows(posts, rows)})"
    return [f"{many}; check --images-dir and the column of images"]


def empty_parts(posts: pd.DataFrame, targets: Mapping[str, Target]) -> list[str]:
    """Return a warning of each target that posts of one part, or of two, have not."""
    warnings = []
    for name, target in targets.items():
        usable = np.isfinite(target.score(posts))
        counts = {part: int((usable & (posts["split"] == part).to_numpy()).sum()) for part in PARTS}
        missing = [f"{num} {part}" for part, num in counts.items() if not num]
        if missing:
            there = ", ".join(f"{num:,} {part}" for part, num in counts.items() if num)
            warnings.append(
                f"target {name} has {' and '.join(missing)} posts ({there}), so its models cannot be evaluated; "
                "add posts that have it, or choose another --split"
            )
    return warnings


def _rows(posts: pd.DataFrame, rows: pd.Series) -> str:
    some = posts.loc[rows, ["source_row", "id"]].head(SHOWN)
    named = ", ".join(f"row {row} '{str(id)[:40]}'" for row, id in some.itertuples(index=False))
    return f"first: {named}" if rows.sum() > len(some) or len(some) > 1 else named
