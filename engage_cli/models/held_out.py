"""Predictions of few posts that were held out in turn, kept in a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES, QUANTILE_LEVELS
from engage_cli.data.dataset import Dataset
from engage_cli.io.sealed_table import Check, read_sealed, write_sealed
from engage_cli.models.predictions import Predictions
from engage_cli.models.trainer import HeldOut
from engage_cli.runs.run_folder import Run

HELD_OUT_FILE, KIND = "held_out.parquet", "engage held-out predictions 1"


def load_held_out(folder: Path, dataset: Dataset) -> HeldOut | None:
    """Return what a run kept of its held-out posts; None where it kept none, or the file is damaged or of other posts."""
    layouts = (_class_columns(), ["value"], ["value", *_quantile_columns()])
    tables = (read_sealed(folder / HELD_OUT_FILE, kind=KIND, columns=_checks(numbers)) for numbers in layouts)
    table = next((table for table in tables if table is not None), None)
    if table is None or not len(table):
        return None
    places = pd.Index(dataset.posts["id"]).get_indexer(table["id"])
    if (places < 0).any():
        return None
    classes = [name for name in _class_columns() if name in table]
    quantiles = [name for name in _quantile_columns() if name in table]
    if len(classes) == len(CLASS_NAMES):
        predictions = Predictions(probabilities=table[classes].to_numpy(np.float64))
    else:
        predictions = Predictions(
            value=table["value"].to_numpy(np.float64),
            quantiles=table[quantiles].to_numpy(np.float64) if quantiles else None,
        )
    return HeldOut(places=np.asarray(places, np.int64), predictions=predictions, method=str(table["method"].iloc[0]))


def held_out_by_all(runs: Sequence[Run], dataset: Dataset) -> list[HeldOut] | None:
    """Return what each run kept, of the posts that all of them did, in one order; None where one kept nothing."""
    kept = [one for one in (load_held_out(run.folder, dataset) for run in runs) if one is not None]
    if len(kept) < len(runs):
        return None
    shared = kept[0].places
    for one in kept[1:]:
        shared = np.intersect1d(shared, one.places)
    if not len(shared):
        return None
    found = []
    for one in kept:
        order = np.argsort(one.places)
        rows = order[np.searchsorted(one.places, shared, sorter=order)]
        found.append(HeldOut(places=shared, predictions=one.predictions.take(rows), method=one.method))
    return found


def save_held_out(folder: Path, dataset: Dataset, found: HeldOut) -> None:
    """Keep predictions of posts that were held out in turn in a run's folder."""
    said = found.predictions
    columns: dict[str, Any] = {"id": dataset.posts["id"].to_numpy()[found.places], "method": found.method}
    if said.probabilities is not None:
        columns |= dict(zip(_class_columns(), said.probabilities.T, strict=True))
    else:
        columns["value"] = said.value
        if said.quantiles is not None:
            columns |= dict(zip(_quantile_columns(), said.quantiles.T, strict=True))
    write_sealed(folder / HELD_OUT_FILE, pd.DataFrame(columns), kind=KIND)


def _checks(numbers: Sequence[str]) -> dict[str, Check]:
    """Return the columns of the file, with what their values must be."""
    return {"id": _are_words, "method": _are_words, **dict.fromkeys(numbers, np.isfinite)}


def _are_words(column: pd.Series) -> pd.Series:
    return column.map(lambda value: isinstance(value, str))


def _class_columns() -> list[str]:
    return [f"p_{name.lower().replace(' ', '_')}" for name in CLASS_NAMES]


def _quantile_columns() -> list[str]:
    return [f"q_{level:g}" for level in QUANTILE_LEVELS]
