"""The table that CatBoost reads, and its contract: features.json and features.npz hold all that makes it again.

features.json: the parts with what they fitted, the columns in their order. features.npz: their arrays. Neither is code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from engage_cli.core.atomic import read_json, replacing, write_json
from engage_cli.core.errors import EngageError
from engage_cli.core.folds import Folds
from engage_cli.core.given import Given
from engage_cli.core.table_parts import LEAKY_PARTS, PARTS, PartOptions, TablePart
from engage_cli.core.table_parts.columns import CATEGORY, NUMBER

CONTRACT_FILE, ARRAYS_FILE = "features.json", "features.npz"


class FeatureTable:
    """Posts to columns."""

    def __init__(self, parts: Sequence[str], options: PartOptions) -> None:
        self.options = options
        self.parts: dict[str, TablePart] = {name: PARTS.load(name)(options) for name in PARTS if name in parts}
        self.columns: dict[str, list[str]] = {}  # of each part
        self.categorical: list[str] = []

    @property
    def is_leaky(self) -> bool:
        return any(name in LEAKY_PARTS for name in self.parts)

    @property
    def names(self) -> list[str]:
        return [column for columns in self.columns.values() for column in columns]

    @property
    def groups(self) -> dict[str, str]:
        """Column -> its group."""
        return {column: self.parts[part].group for part, columns in self.columns.items() for column in columns}

    @property
    def further_columns(self) -> dict[str, str]:
        """Columns of the posts, beside cover and texts, that it reads: each a number or a category."""
        read = [name for part in self.parts.values() for name in part.reads_columns]
        return {**dict.fromkeys(read, NUMBER), **self.options.columns}

    @property
    def blocks(self) -> list[str]:
        """The blocks whose vectors it reads."""
        return list(dict.fromkeys(block for part in self.parts.values() for block in part.blocks))

    @property
    def reads_pictures(self) -> bool:
        return any(part.reads_pictures for part in self.parts.values())

    def labels(self) -> dict[str, str]:
        """Column -> what people call it, of those that mean something one by one."""
        found = {column: self.parts[part].label(column) for part, columns in self.columns.items() for column in columns}
        return {column: label for column, label in found.items() if label is not None}

    def meanings(self) -> dict[str, str]:
        """Column -> what it is."""
        return {column: self.parts[part].meaning(column) for part, columns in self.columns.items() for column in columns}

    def fit(
        self, given: Given, truth: np.ndarray, folds: Folds, *, advance: Callable[[str], None] = lambda part: None
    ) -> pd.DataFrame:
        """Fit every part on training rows and return their table."""
        found = {}
        for name, part in self.parts.items():
            found[name] = part.fit(given, truth.astype(np.float64), folds)
            advance(part.group)
        self.columns = {name: list(table.columns) for name, table in found.items()}
        table = _join(list(found.values()))
        if not any(table[name].nunique(dropna=False) > 1 for name in table.columns):
            what = ", ".join(self.parts)
            raise EngageError(f"the posts have nothing of what --features asks for, or all have the same ({what})")
        self.categorical = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
        return table

    def transform(self, given: Given) -> pd.DataFrame:
        """Return the same columns, in the same order, for any posts."""
        table = _join([part.transform(given) for part in self.parts.values()])
        assert list(table.columns) == self.names, f"the table differs from {CONTRACT_FILE}"
        return table

    def save(self, folder: Path, **more: Any) -> None:
        """Write the contract; `more` goes into it as it is."""
        states = {name: part.state() for name, part in self.parts.items()}
        arrays = {f"{name}.{key}": array for name, (_, some) in states.items() for key, array in some.items()}
        with replacing(folder / ARRAYS_FILE) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        write_json(
            folder / CONTRACT_FILE,
            {
                **more,
                "leaky": self.is_leaky,
                "further_columns": self.further_columns,
                "options": {**vars(self.options), "columns": dict(self.options.columns)},
                "categorical": self.categorical,
                "parts": {
                    name: {
                        "group": part.group,
                        "columns": {column: part.meaning(column) for column in self.columns[name]},
                        "fitted": states[name][0],
                    }
                    for name, part in self.parts.items()
                },
            },
        )


def _join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the columns beside each other, categories as objects: CatBoost knows no other strings of pandas."""
    table = pd.concat(list(tables), axis=1)
    categories = [name for name, dtype in table.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    for name in categories:
        table[name] = table[name].astype(object)
    return table


def load_table(folder: Path) -> FeatureTable:
    """Read a contract; raise EngageError where its files are damaged."""
    try:
        return _load_table(folder)
    except (OSError, ValueError, LookupError, TypeError, AssertionError, EOFError, BadZipFile):
        raise EngageError(f"{folder}: {CONTRACT_FILE} or {ARRAYS_FILE} is damaged; train again") from None


def _load_table(folder: Path) -> FeatureTable:
    contract = read_json(folder / CONTRACT_FILE)
    table = FeatureTable(list(contract["parts"]), PartOptions(**contract["options"]))
    with np.load(folder / ARRAYS_FILE, allow_pickle=False) as stored:
        for name, part in table.parts.items():
            own = {key.removeprefix(f"{name}."): stored[key] for key in stored.files if key.startswith(f"{name}.")}
            part.restore(contract["parts"][name]["fitted"], own)
    table.columns = {name: list(contract["parts"][name]["columns"]) for name in table.parts}
    table.categorical = list(contract["categorical"])
    return table


def kinds_of(posts: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return each column with what it holds: numbers or categories."""
    return {name: NUMBER if pd.api.types.is_numeric_dtype(posts[name]) else CATEGORY for name in columns}
