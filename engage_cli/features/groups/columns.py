"""Columns of the posts themselves: date, author, the user's own, and, for the study's experiment alone, counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.data.schema import ALL_COUNTERS, AUTHOR_COLUMNS, OWN
from engage_cli.features.groups import PartOptions, TablePart, make_table, no_columns
from engage_cli.features.handcrafted import MISSING
from engage_cli.features.inputs import PostInputs
from engage_cli.io.ranges import UniqueNames
from engage_cli.io.records import record

NUMBER: Final = "number"
CATEGORY: Final = "category"
MEANINGS = {
    "hour": "Hour of publication, UTC [0 to 23]",
    "weekday": "Day of publication, UTC [Monday 0 to Sunday 6]",
    "author_posts": "Earlier posts of the same author [posts]",
    "author_median_views": "Median of log1p(views) of the author's earlier posts [log1p of views]",
    "author_is_new": "Whether the author has no earlier post [0 or 1]",
    "author_success": "Mean of the author's earlier posts, weighted to recent ones and to others' mean [log1p of views]",
    "author_trend": "How much more the author's recent posts got than all earlier ones [log1p of views]",
    "author_posts_per_week": "How often the author published lately [posts per week]",
    "author_days_since_last": "Time since the author's last post [log1p of days]",
}


@record
class Present:
    present: UniqueNames


class Numbers(TablePart):
    """Those of `names` that any training post has."""

    fitted = Present
    names: tuple[str, ...]

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.present: list[str] = []

    @property
    def reads_columns(self) -> list[str]:  # type: ignore[override]
        return self.present

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        self.present = [name for name in self.names if inputs.number(name).notna().any()]
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if not self.present:
            return no_columns(inputs)
        return make_table(np.stack([inputs.number(name) for name in self.present], axis=1), self.present, inputs)

    def state(self) -> tuple[Present, dict[str, np.ndarray]]:
        return Present(present=tuple(self.present)), {}

    def restore(self, state: Present, arrays: Mapping[str, np.ndarray]) -> None:
        if unknown := set(state.present) - set(self.names):
            raise ValueError(f"'{min(unknown)[:40]}' is none of its columns")
        self.present = list(state.present)

    def meaning(self, column: str) -> str:
        return MEANINGS[column]


class Time(Numbers):
    group = "time"
    names = ("hour", "weekday")


class Author(Numbers):
    group = "author"
    names = AUTHOR_COLUMNS


class OwnColumns(TablePart):
    """Columns that `--keep` brought and `--features` named."""

    group = "own columns"

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        columns: dict[str, pd.Series] = {}
        for name, kind in self.options.columns.items():
            text = inputs.text(name)
            columns[name] = inputs.number(name) if kind == NUMBER else text.where(text != "", MISSING)
        return pd.DataFrame(columns, index=inputs.posts.index)

    def meaning(self, column: str) -> str:
        return f"Your column '{column.removeprefix(OWN)}' [as given]"


class Counters(Numbers):
    """Counters, their logs, and their ratios to views (study, section 4.2): known only after publication."""

    group = "counters"
    names = ALL_COUNTERS

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        numbers = {name: inputs.number(name).to_numpy(np.float64) for name in self.present}
        columns = dict(numbers)
        columns |= {f"log_{name}": np.log1p(values) for name, values in numbers.items()}
        if "views" in numbers:
            views = np.maximum(numbers["views"], 1)
            columns |= {f"{name}_per_view": values / views for name, values in numbers.items() if name != "views"}
        if not columns:
            return no_columns(inputs)
        return make_table(np.stack(list(columns.values()), axis=1), list(columns), inputs)

    def meaning(self, column: str) -> str:
        if column.startswith("log_"):
            return f"LEAKY: log1p of the {column.removeprefix('log_')} the post got [log]"
        if column.endswith("_per_view"):
            return f"LEAKY: the {column.removesuffix('_per_view')} the post got for each view [ratio]"
        return f"LEAKY: the {column} the post got [count]"
