"""The table that CatBoost reads, and its contract: features.json and features.npz hold all that makes it again.

features.json: the parts with what they fitted, the columns in their order. features.npz: their arrays. Neither is code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from engage_cli.data.folds import Folds
from engage_cli.errors import EngageError
from engage_cli.features._known_numbers import beyond_numbers
from engage_cli.features.groups import LEAKY_PARTS, PARTS, ColumnKind, PartOptions, TablePart
from engage_cli.features.groups.columns import CATEGORY, NUMBER
from engage_cli.features.inputs import PostInputs
from engage_cli.io.array_reading import Spec, load_arrays
from engage_cli.io.files import atomic_write
from engage_cli.io.ranges import UniqueNames
from engage_cli.io.records import check_file, file_hash, parse, record
from engage_cli.runs.records import AGAIN, Hash, read_run_record, write_run_record
from engage_cli.runs.run_folder import blaming

CONTRACT_FILE, ARRAYS_FILE, CONTRACT_KIND = "features.json", "features.npz", "run features"


@record
class SavedPart:
    group: str
    columns: dict[str, str]  # column -> what it is
    fitted: dict[str, object]  # of the part's own record


def _part(name: str) -> str:
    if name not in PARTS:
        raise ValueError(f"unknown group of features '{name[:40]}'; it must be one of: {', '.join(PARTS)}")
    return name


@record
class Contract:
    """features.json, and the hash of the arrays that belong to it."""

    marks: tuple[str, ...]
    leaky: bool
    further_columns: dict[str, ColumnKind]
    options: PartOptions
    categorical: UniqueNames
    parts: Annotated[dict[Annotated[str, AfterValidator(_part)], SavedPart], Field(min_length=1)]
    arrays: Hash


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
    def further_columns(self) -> dict[str, ColumnKind]:
        """Columns of the posts, beside cover and texts, that it reads: each a number or a category."""
        read = [name for part in self.parts.values() for name in part.reads_columns]
        return {**dict.fromkeys(read, NUMBER), **self.options.columns}

    @property
    def blocks(self) -> list[str]:
        """The blocks whose vectors it reads."""
        return list(dict.fromkeys(block for part in self.parts.values() for block in part.blocks))

    @property
    def reads_images(self) -> bool:
        return any(part.reads_images for part in self.parts.values())

    @property
    def reads_covers(self) -> bool:
        return any(part.reads_covers for part in self.parts.values())

    def labels(self) -> dict[str, str]:
        """Column -> what people call it, of those that mean something one by one."""
        found = {column: self.parts[part].label(column) for part, columns in self.columns.items() for column in columns}
        return {column: label for column, label in found.items() if label is not None}

    def meanings(self) -> dict[str, str]:
        """Column -> what it is."""
        return {column: self.parts[part].meaning(column) for part, columns in self.columns.items() for column in columns}

    def fit(
        self,
        inputs: PostInputs,
        truth: np.ndarray,
        folds: Folds,
        *,
        advance: Callable[[str], None] = lambda part: None,
        may_be_constant: bool = False,
    ) -> pd.DataFrame:
        """Fit every part on training rows and return their table."""
        found, truth = {}, truth.astype(np.float64)
        left = truth
        if any(part.fits_what_is_left for part in self.parts.values()):
            left = beyond_numbers(inputs.posts, truth, folds)
        for name, part in self.parts.items():
            found[name] = part.fit(inputs, left if part.fits_what_is_left else truth, folds)
            advance(part.group)
        self.columns = {name: list(table.columns) for name, table in found.items()}
        table = _join(list(found.values()))
        if not may_be_constant and not any(table[name].nunique(dropna=False) > 1 for name in table.columns):
            what = ", ".join(self.parts)
            raise EngageError(f"the posts have no values for --features, or all have the same ones ({what})")
        self.categorical = _categories(table)
        return table

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        """Return the same columns, in the same order, for any posts."""
        table = _join([part.transform(inputs) for part in self.parts.values()])
        categorical = _categories(table)
        if list(table.columns) != self.names or categorical != self.categorical:
            raise EngageError(f"{CONTRACT_FILE} of this run: its parts have other columns than it lists; {AGAIN}")
        return table

    def save(self, folder: Path, *, marks: Sequence[str] = ()) -> None:
        """Write the contract, and the arrays before it."""
        states = {name: part.state() for name, part in self.parts.items()}
        arrays = {f"{name}.{key}": array for name, (_, some) in states.items() for key, array in some.items()}
        with atomic_write(folder / ARRAYS_FILE) as beside, beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        contract = Contract(
            marks=tuple(marks),
            leaky=self.is_leaky,
            further_columns=self.further_columns,
            options=self.options,
            categorical=tuple(self.categorical),
            parts={
                name: SavedPart(
                    group=part.group,
                    columns={column: part.meaning(column) for column in self.columns[name]},
                    fitted=vars(states[name][0]),
                )
                for name, part in self.parts.items()
            },
            arrays=file_hash(folder / ARRAYS_FILE),
        )
        write_run_record(folder / CONTRACT_FILE, contract, CONTRACT_KIND)


def _join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the columns beside each other, categories as objects: CatBoost knows no other strings of pandas."""
    table = pd.concat(list(tables), axis=1)
    for name in _categories(table):
        table[name] = table[name].astype(object)
    return table


def _categories(table: pd.DataFrame) -> list[str]:
    return [str(name) for name, dtype in table.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]


def load_table(open_file: Callable[[str], Path]) -> FeatureTable:
    """Read a contract; `open_file` gives the path of a file of its run. Raise EngageError where its files are damaged."""
    path = open_file(CONTRACT_FILE)
    contract = read_run_record(path, Contract, CONTRACT_KIND)
    table = FeatureTable(list(contract.parts), contract.options)
    states: dict[str, object] = {
        name: parse(contract.parts[name].fitted, part.fitted, where=f"{path}: parts.{name}.fitted", again=AGAIN)
        for name, part in table.parts.items()
    }
    specs = {f"{name}.{key}": spec for name, part in table.parts.items() for key, spec in _own_specs(name, part)}
    arrays_path = check_file(open_file(ARRAYS_FILE), contract.arrays, again=AGAIN)
    arrays = load_arrays(arrays_path, specs, again=AGAIN)
    for name, part in table.parts.items():
        own = {key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(f"{name}.")}
        with blaming(arrays_path, name):
            part.restore(states[name], own)
    table.columns = {name: list(contract.parts[name].columns) for name in table.parts}
    table.categorical = list(contract.categorical)
    if contract.further_columns != table.further_columns or not set(table.categorical) <= set(table.names):
        raise EngageError(f"{path}: further_columns or categorical do not match its parts; {AGAIN}")
    if len(set(table.names)) < len(table.names):
        raise EngageError(f"{path}: parts lists a column twice; {AGAIN}")
    return table


def _own_specs(name: str, part: TablePart) -> Iterator[tuple[str, Spec]]:
    """The sizes of one part's arrays say nothing of another's."""
    for key, spec in part.specs().items():
        sides = tuple(f"{name} {side}" if isinstance(side, str) else side for side in spec.shape)
        yield key, dataclasses.replace(spec, shape=sides)


def kinds_of(posts: pd.DataFrame, columns: Sequence[str]) -> dict[str, ColumnKind]:
    """Return each column with what it holds: numbers or categories."""
    return {name: NUMBER if pd.api.types.is_numeric_dtype(posts[name]) else CATEGORY for name in columns}
