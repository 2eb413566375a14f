"""Cross-validation of a CatBoost run: everything, the target too, is fitted again in each fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from engage_cli.config.general import CLASS_NAMES, QUANTILE_LEVELS
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.folds import count_groups, make_folds
from engage_cli.data.targets.target import Target, fit_target, require_variety
from engage_cli.errors import EngageError
from engage_cli.io.files import atomic_write, remove_tree
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.boosting.fit import boost, predict_table
from engage_cli.models.predictions import Predictions
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.records import FoldFigure, Folds
from engage_cli.steps.train._catboost_inputs import Inputs

OUT_OF_FOLD = "out_of_fold.parquet"
STOPPING_SHARE = 8  # one of so many parts of what a fold trains on stops the training early


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Places of posts, and the target as fitted on the first of them."""

    fitted: np.ndarray
    stopping: np.ndarray
    held_out: np.ndarray
    target: Target


@dataclass(frozen=True, kw_only=True)
class Plan:
    folds: tuple[Fold, ...]
    note: str
    without: tuple[str, ...]  # parts of the table that would carry what held-out posts earned


def plan_folds(config: CatBoostConfig, inputs: Inputs, target: Target) -> Plan | None:
    """Deal the posts; raise EngageError where that cannot be done. None where no folds are asked for."""
    if not config.folds:
        return None
    posts = inputs.posts
    dealt = make_folds(posts, config.folds, seed=config.seed)
    folds = []
    for number in range(config.folds):
        training = dealt.fitted(number)
        parts = min(STOPPING_SHARE, count_groups(posts.iloc[training]))
        inner = make_folds(posts.iloc[training], parts, seed=config.seed + 1) if parts > 1 else None
        if inner is None or not len(inner.fitted(0)):
            raise EngageError(f"--folds {config.folds}: fold {number + 1} leaves too few posts to train on; ask for others")
        fitted, stopping = training[inner.fitted(0)], training[inner.held_out(0)]
        own = target if target.fit_on != "train" else fit_target(target.name, posts.iloc[fitted], fit_on="train")
        require_variety(inputs.truth(fitted, own, config.kind), config.kind, f"{target.name} in fold {number + 1}")
        folds.append(Fold(fitted=fitted, stopping=stopping, held_out=dealt.held_out(number), target=own))
    has_authors = "author" in posts and bool((posts["author"].fillna("") != "").any())
    without = () if dealt.by_author or "author" not in inputs.choice.parts or not has_authors else ("author",)
    return Plan(folds=tuple(folds), note=_note(target, has_authors, dealt.by_author, without), without=without)


def _note(target: Target, has_authors: bool, by_author: bool, without: Sequence[str]) -> str:
    saw = "neither it nor a near-duplicate" + (" nor another post of its author" if has_authors and by_author else "")
    fitted = "features, target and stopping" if target.fit_on == "train" else "features and stopping"
    notes = [f"each post predicted by a model that saw {saw}", f"{fitted} fitted in the fold"]
    if target.fit_on == "train":
        notes.append("the test split was not read")
    else:
        notes.append(f"the target was fitted on {target.fit_on} rows, as for the whole run")
    if has_authors and not by_author:
        notes.append("too few authors to keep each in one fold")
    if without:
        notes.append("without the author's earlier posts, which would tell of held-out ones")
    return "; ".join(notes)


def cross_validate(
    config: CatBoostConfig, plan: Plan, inputs: Inputs, folder: Path, work: Path, reporter: Reporter
) -> Folds:
    """Train on all folds but one in turn; write out_of_fold.parquet; return the metrics, their means and deviations.

    A fold that is done stands in `work`, so that a killed run does not do it again.
    """
    tables = []
    for number, fold in enumerate(plan.folds):
        path = work / f"fold-{number}.parquet"
        found = _read_fold(path)
        if found is None:
            found = _run_fold(config, inputs, fold, number, plan.without, work, reporter)
            with atomic_write(path) as beside:
                found.to_parquet(beside, index=False, compression="zstd")
        tables.append(found)
    table = pd.concat(tables, ignore_index=True)
    if inputs.choice.is_leaky:
        table["leaky"] = True
    with atomic_write(folder / OUT_OF_FOLD) as beside:
        table.to_parquet(beside, index=False, compression="zstd")
    scores = [compute_metrics(config.kind, *_read(config.kind, one)) for one in tables]
    return Folds(
        number=config.folds,
        note=plan.note,
        rows=len(table),
        trees=tuple(int(one["trees"].iloc[0]) for one in tables),
        metrics={
            name: FoldFigure(
                mean=float(np.mean([score[name] for score in scores])),
                std=float(np.std([score[name] for score in scores], ddof=1)),
                folds=tuple(score[name] for score in scores),
            )
            for name in scores[0]
        },
    )


def _run_fold(
    config: CatBoostConfig,
    inputs: Inputs,
    fold: Fold,
    number: int,
    without: Sequence[str],
    work: Path,
    reporter: Reporter,
) -> pd.DataFrame:
    """Return the held-out posts' truth and predictions."""
    table = inputs.new_table(without=without)
    name = f"fold {number + 1} of {config.folds}"
    with reporter.stage(f"{name}: features", len(table.parts)) as stage:
        rows = inputs.fit_rows(table, fold.fitted, fold.target, config.kind, lambda part: stage.advance(note=part))
    stop_rows, out_rows = (
        inputs.rows(table, places, fold.target, config.kind) for places in (fold.stopping, fold.held_out)
    )
    fold_work = work / f"fold-{number}"
    seeded = dataclasses.replace(config, seed=config.seed + number)
    with reporter.stage(name, config.iterations) as stage:
        model = boost(seeded, rows, stop_rows, table.categorical, work=fold_work, stage=stage)
    remove_tree(fold_work)
    columns = _columns(predict_table(model, out_rows.table, config.kind))
    return pd.DataFrame(
        {
            "id": inputs.posts["id"].to_numpy()[fold.held_out],
            "fold": number,
            "trees": int(model.tree_count_),
            "true": out_rows.truth,
            **columns,
        }
    )


def _read_fold(path: Path) -> pd.DataFrame | None:
    """Return a fold that is done; None where it is not, or its file is damaged: it is done again."""
    try:
        return pd.read_parquet(path) if path.is_file() else None
    except (pa.ArrowException, OSError, ValueError):
        return None


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
