"""Train CatBoost on a table of features, and say what its predictions rest on."""

from __future__ import annotations

import dataclasses
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import LEAKY, EncoderConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target, require_variety
from engage_cli.errors import WrongCallError
from engage_cli.features.selection import parse_features, parse_pca
from engage_cli.features.table import FeatureTable
from engage_cli.io.csv_cells import csv_of_table
from engage_cli.io.files import remove_tree, write_text
from engage_cli.io.own_folders import own_run
from engage_cli.io.records import file_hash
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.boosting.fit import OF_VALUES, Rows, boost, load_model, loss_of, predict_table, save_model
from engage_cli.models.boosting.predictor import MODEL_FILE
from engage_cli.models.boosting.shap import UNIT_OF_CLASSES, Attribution, attribute
from engage_cli.plots.importance import draw_importance
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.lifecycle import clear_stage, finish_run, open_run
from engage_cli.runs.model_table import CATBOOST
from engage_cli.runs.records import GroupShare, RunMeta, RunMetrics, Why
from engage_cli.runs.run_folder import Run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._calibrate import calibrate
from engage_cli.steps.train._catboost_inputs import Inputs, make_inputs
from engage_cli.steps.train._cross_fit import cross_fit
from engage_cli.steps.train._cross_validate import cross_validate, plan_folds, predict_fold
from engage_cli.steps.train._run_inputs import data_of, encoders_of, kind_of
from engage_cli.steps.train.neural import TrainSummary

COMMAND = "train-catboost"
KINDS = ("classes", "value")
MODEL_NOTE = "model.hash"  # in the folder of work: of the model that stands in the run's folder
WORK = "work"  # snapshots of what is being trained; gone from a finished run
MOST_EXPLAINED = 1000  # posts whose predictions are attributed
NOTE = "stopped early on these rows: optimistic; `engage evaluate` reads the test split"
NEARLY = 0.95  # of all trees that were asked for: so late a best one is hardly the last
HISTORY_FILE, IMPORTANCE_FILE = "history.jsonl", "importance.csv"


def train_catboost(
    config: CatBoostConfig,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder; a killed training goes on where it was."""
    reporter = reporter or SilentReporter()
    _check(config)
    choice = parse_features(config.features, dataset.posts.columns, dataset.source_names)
    if choice.is_leaky:  # the study's own way, in this too
        encoders = encoders.settled(is_own=True)
    target = dataset.target(config.target)
    marks = (*dataset.marks, *((LEAKY,) if choice.is_leaky else ()))
    for mark in marks:
        reporter.say(mark)
    inputs = make_inputs(config, choice, dataset, encoders, target, reporter)
    train, validation = inputs.parts["train"], inputs.parts["validation"]
    require_variety(inputs.truth(train, target, config.kind), config.kind, target.name)
    plan = plan_folds(config, inputs, target)
    meta = _meta(config, dataset, inputs, marks)
    with open_run(run, runs_dir, meta=meta, target=target, say=reporter.say) as (folder, goes_on):
        if not goes_on:
            clear_stage(folder)
        reporter.say(f"{'continuing' if goes_on else 'training'} {folder}")
        started, work = time.monotonic(), own_run(folder).place(WORK)
        table = inputs.new_table()
        with reporter.stage("features", len(table.parts)) as stage:
            fitted = inputs.fit_rows(table, train, target, config.kind, lambda part: stage.advance(note=part))
        stopping = inputs.rows(table, validation, target, config.kind)
        table.save(folder, marks=marks)
        model = _train(config, table, fitted, stopping, folder, work, reporter, leaky=choice.is_leaky)
        folds = cross_validate(config, plan, inputs, folder, work, reporter) if plan else None
        why = _explain(config, table, model, stopping, target, reporter)
        _write_why(folder, why, table, target, LEAKY if choice.is_leaky else "")
        predicted = predict_table(model, stopping.table, config.kind)
        ran = len((folder / HISTORY_FILE).read_text().splitlines())
        remove_tree(work)
        trained = Run(folder, meta, target)
        held_out = cross_fit(
            partial(predict_fold, config, inputs, target),
            kind=config.kind,
            dataset=dataset,
            target=target,
            folder=folder,
            reporter=reporter,
        )
        evidence = calibrate(trained, dataset, source_of(trained, dataset, reporter), reporter, held_out=held_out)
        finished = finish_run(
            folder,
            RunMetrics(
                note=NOTE,
                best_iteration=int(model.tree_count_),
                rows={part: len(places) for part, places in inputs.parts.items()},
                metrics=compute_metrics(config.kind, stopping.truth, predicted.main),
                evidence=evidence,
                folds=folds,
                features=len(table.names),
                why=Why(
                    loss=why.loss,
                    unit=why.unit,
                    rows=why.rows,
                    groups=tuple(GroupShare(**dataclasses.asdict(share)) for share in why.groups),
                ),
                seconds=round(time.monotonic() - started, 1),
                leaky=choice.is_leaky,
                marks=marks,
            ),
        )
    warnings = list(marks)
    if ran == config.iterations and model.tree_count_ > NEARLY * ran:
        warnings.append(
            f"it was still getting better near its last tree: more --iterations than {config.iterations:,} may help"
        )
    return TrainSummary(run=finished, went_on=goes_on, warnings=tuple(warnings))


def _check(config: CatBoostConfig) -> None:
    if config.kind not in KINDS:
        raise WrongCallError(f"unknown --as '{config.kind}'; there are: {', '.join(KINDS)}")
    if config.objective not in OF_VALUES:
        raise WrongCallError(f"unknown --objective '{config.objective}'; there are: {', '.join(OF_VALUES)}")
    if config.kind == "classes" and config.objective != CatBoostConfig.objective:
        raise WrongCallError(f"--objective {config.objective} is for --as value")
    parse_pca(config.pca)
    if config.folds == 1:
        raise WrongCallError("--folds 1: cross-validation needs two or more; 0 does none")


def _meta(config: CatBoostConfig, dataset: Dataset, inputs: Inputs, marks: tuple[str, ...]) -> RunMeta:
    table = inputs.new_table()
    return RunMeta(
        command=COMMAND,
        model=CATBOOST,
        kind=kind_of(config.kind),
        config=dataclasses.asdict(config),
        data=data_of(dataset),
        encoders=encoders_of(inputs.encoders),
        blocks=tuple(table.blocks),
        reads_images=table.reads_images,
        leaky=inputs.choice.is_leaky,
        marks=marks,
    )


def _train(
    config: CatBoostConfig,
    table: FeatureTable,
    fitted: Rows,
    stopping: Rows,
    folder: Path,
    work: Path,
    reporter: Reporter,
    *,
    leaky: bool,
) -> Any:
    """Return the model: the one that stands in the folder, of a run that was killed later, or a new one."""
    note = work / MODEL_NOTE
    is_whole = note.is_file() and (folder / MODEL_FILE).is_file() and note.read_text() == file_hash(folder / MODEL_FILE)
    if is_whole and (done := load_model(folder / MODEL_FILE)) is not None:
        return done
    with reporter.stage(f"boosting on {len(table.names):,} features", config.iterations) as stage:
        model = boost(config, fitted, stopping, table.categorical, work=work / "main", stage=stage)
    if leaky:
        model.get_metadata()["leaky"] = LEAKY
    write_text(folder / HISTORY_FILE, _history(model.get_evals_result(), leaky=leaky))
    save_model(model, folder / MODEL_FILE)
    write_text(note, file_hash(folder / MODEL_FILE))
    remove_tree(work / "main")
    return model


def _explain(
    config: CatBoostConfig, table: FeatureTable, model: Any, rows: Rows, target: Target, reporter: Reporter
) -> Attribution:
    places = np.random.default_rng(config.seed).permutation(len(rows.truth))[:MOST_EXPLAINED]
    some = Rows(table=rows.table.iloc[places], truth=rows.truth[places])
    with reporter.stage(f"computing feature contributions on {len(places):,} validation posts", 1) as stage:
        why = attribute(
            model,
            some,
            table.categorical,
            table.groups,
            loss=loss_of(config).name,
            unit=str(target.formula) if config.kind == "value" else UNIT_OF_CLASSES,
            labelled=table.labels(),
        )
        stage.advance()
    return why


def _write_why(folder: Path, why: Attribution, table: FeatureTable, target: Target, mark: str) -> None:
    """Write importance.csv and the two plots."""
    meanings = table.meanings()
    rows = pd.DataFrame([dataclasses.asdict(share) for share in why.features])
    rows.insert(2, "meaning", [meanings[name] for name in rows["name"]])
    if mark:
        rows["leaky"] = True
    write_text(folder / IMPORTANCE_FILE, csv_of_table(rows.rename(columns={"name": "feature"})))
    draw_importance(folder, why.for_people(table.labels()), title=f"{folder.name}: {target.name}", mark=mark)


def _history(evals: dict[str, dict[str, list[float]]], *, leaky: bool) -> str:
    columns = {f"{part}_{name}": values for part, losses in evals.items() for name, values in losses.items()}
    lines = zip(*columns.values(), strict=True)
    more = {"leaky": True} if leaky else {}
    return "".join(
        json.dumps({"iteration": number, **dict(zip(columns, values, strict=True)), **more}) + "\n"
        for number, values in enumerate(lines, start=1)
    )
