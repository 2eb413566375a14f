"""Cross-validation of a CatBoost run: everything, the target too, is fitted again in each fold."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.atomic import replacing
from engage_cli.core.boosting import boost, predict_table
from engage_cli.core.config import CLASS_NAMES, QUANTILE_LEVELS, CatBoostConfig
from engage_cli.core.folds import make_folds
from engage_cli.core.metrics import compute_metrics
from engage_cli.core.predictions import Predictions
from engage_cli.core.progress import Reporter
from engage_cli.core.targets import Target, fit_target
from engage_cli.steps.catboost_inputs import Inputs

FOLDS_DIR, OUT_OF_FOLD = "folds", "out_of_fold.parquet"
STOPPING_SHARE = 8  # one of so many parts of what a fold trains on stops the training early
NOTE = (
    "each post predicted by a model that saw neither it nor a near-duplicate nor another post of its author; "
    "features, target and early stopping fitted in the fold; the test split was not read"
)


def cross_validate(
    config: CatBoostConfig, inputs: Inputs, target: Target, folder: Path, work: Path, reporter: Reporter
) -> dict[str, Any]:
    """Train on all folds but one in turn; write out_of_fold.parquet; return the metrics, their means and deviations.

    A fold that is done stands in folds/, so that a killed run does not do it again.
    """
    folds = make_folds(inputs.posts, config.folds, seed=config.seed)
    tables = []
    for number in range(config.folds):
        path = folder / FOLDS_DIR / f"fold-{number}.parquet"
        if not path.exists():
            found = _run_fold(config, inputs, target, folds.fitted(number), folds.held_out(number), number, work, reporter)
            with replacing(path) as beside:
                found.to_parquet(beside, index=False, compression="zstd")
        tables.append(pd.read_parquet(path))
    table = pd.concat(tables, ignore_index=True)
    if inputs.choice.is_leaky:
        table["leaky"] = True
    with replacing(folder / OUT_OF_FOLD) as beside:
        table.to_parquet(beside, index=False, compression="zstd")
    scores = [compute_metrics(config.kind, *_read(config.kind, one)) for one in tables]
    shutil.rmtree(folder / FOLDS_DIR)
    return {
        "number": config.folds,
        "note": NOTE,
        "rows": len(table),
        "trees": [int(one["trees"].iloc[0]) for one in tables],
        "metrics": {
            name: {
                "mean": float(np.mean([score[name] for score in scores])),
                "std": float(np.std([score[name] for score in scores], ddof=1)),
                "folds": [score[name] for score in scores],
            }
            for name in scores[0]
        },
    }


def _run_fold(
    config: CatBoostConfig,
    inputs: Inputs,
    target: Target,
    training: np.ndarray,
    held_out: np.ndarray,
    number: int,
    work: Path,
    reporter: Reporter,
) -> pd.DataFrame:
    """Return the held-out posts' truth and predictions."""
    inner = make_folds(inputs.posts.iloc[training], STOPPING_SHARE, seed=config.seed + 1)
    fitted, stopping = training[inner.fitted(0)], training[inner.held_out(0)]
    if target.fit_on == "train":
        target = fit_target(target.name, inputs.posts.iloc[fitted], fit_on="train")
    table = inputs.new_table()
    name = f"fold {number + 1} of {config.folds}"
    with reporter.stage(f"{name}: features", len(table.parts)) as stage:
        rows = inputs.fit_rows(table, fitted, target, config.kind, lambda part: stage.advance(note=part))
    stop_rows, out_rows = (inputs.rows(table, places, target, config.kind) for places in (stopping, held_out))
    fold_work = work / f"fold-{number}"
    seeded = dataclasses.replace(config, seed=config.seed + number)
    with reporter.stage(name, config.iterations) as stage:
        model = boost(seeded, rows, stop_rows, table.categorical, work=fold_work, stage=stage)
    shutil.rmtree(fold_work, ignore_errors=True)
    columns = _columns(predict_table(model, out_rows.table, config.kind))
    return pd.DataFrame(
        {
            "id": inputs.posts["id"].to_numpy()[held_out],
            "fold": number,
            "trees": int(model.tree_count_),
            "true": out_rows.truth,
            **columns,
        }
    )


def _columns(predictions: Predictions) -> dict[str, np.ndarray]:
    if predictions.probabilities is not None:
        names = [f"p_{name.lower().replace(' ', '_')}" for name in CLASS_NAMES]
        return dict(zip(names, predictions.probabilities.T, strict=True))
    assert predictions.value is not None
    columns = {"value": predictions.value}
    if predictions.quantiles is not None:
        columns |= {f"q_{level:g}": predictions.quantiles[:, place] for place, level in enumerate(QUANTILE_LEVELS)}
    return columns


def _read(kind: str, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return truth, and what metrics are computed from."""
    if kind == "value":
        return table["true"].to_numpy(), table["value"].to_numpy()
    return table["true"].to_numpy(), table[[name for name in table.columns if name.startswith("p_")]].to_numpy()
