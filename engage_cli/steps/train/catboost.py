"""Train CatBoost on a table of features, and say what its predictions rest on."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import LEAKY, EncoderConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target
from engage_cli.errors import WrongCallError
from engage_cli.features.groups import PARTS
from engage_cli.features.selection import parse_features, parse_pca
from engage_cli.features.table import FeatureTable
from engage_cli.io.csv_cells import csv_of_table
from engage_cli.io.files import remove_tree, write_text
from engage_cli.io.records import file_hash
from engage_cli.models.boosting.fit import OF_VALUES, Rows, boost, load_model, loss_of, save_model
from engage_cli.models.boosting.predictor import MODEL_FILE
from engage_cli.models.boosting.shap import UNIT_OF_CLASSES, Attribution, attribute
from engage_cli.models.trainer import WORK, Trainer, make_problem
from engage_cli.plots.importance import draw_importance
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.model_table import CATBOOST
from engage_cli.runs.records import GroupShare, RunMeta, RunMetrics, Why
from engage_cli.steps.train._catboost_inputs import make_inputs
from engage_cli.steps.train._cross_validate import cross_validate, plan_folds
from engage_cli.steps.train._run_inputs import data_of, encoders_of, parse_kind
from engage_cli.steps.train.training import train_run

COMMAND = "train-catboost"
MODEL_NOTE = "model.hash"  # in the folder of work: of the model that stands beside it
MOST_EXPLAINED = 1000  # posts whose predictions are attributed
NOTE = "stopped early on these rows: optimistic; `engage evaluate` reads the test split"
EMBEDDINGS = ("image_embedding", "text_embedding")  # what --pca reduces
NEARLY = 0.95  # of all trees that were asked for: so late a best one is hardly the last
HISTORY_FILE, IMPORTANCE_FILE = "history.jsonl", "importance.csv"


class CatBoostTrainer(Trainer):
    """Boosts on a table of features, and asks the model why. Its snapshots, the model and the folds lie in WORK."""

    table: FeatureTable  # these three after `fit`
    stopping: Rows
    model: Any

    def __init__(self, config: CatBoostConfig, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> None:
        _check(config)
        self.config = config
        choice = parse_features(config.features, dataset.posts.columns, dataset.source_names)
        if parse_pca(config.pca) is not None and not any(part in EMBEDDINGS for part in choice.parts):
            choice = dataclasses.replace(
                choice, parts=tuple(name for name in PARTS if name in (*choice.parts, *EMBEDDINGS))
            )
        if choice.is_leaky:  # the study's own way, in this too
            encoders = encoders.settled(is_own=True)
        target = dataset.target(config.target)
        self.problem = make_problem(dataset, target, parse_kind(config.kind))
        self.inputs = make_inputs(config, choice, dataset, encoders, target, reporter)
        self.plan = plan_folds(config, self.inputs, target)
        self.refit = partial(CatBoostTrainer, dataclasses.replace(config, folds=0), encoders)
        table = self.inputs.new_table()
        self.meta = RunMeta(
            command=COMMAND,
            model=CATBOOST,
            kind=self.problem.kind,
            config=dataclasses.asdict(config),
            data=data_of(dataset),
            encoders=encoders_of(self.inputs.encoders),
            blocks=tuple(table.blocks),
            reads_images=table.reads_images,
            reads_covers=table.reads_covers,
            leaky=choice.is_leaky,
            marks=(*dataset.marks, *((LEAKY,) if choice.is_leaky else ())),
        )

    def fit(self, folder: Path, reporter: Reporter) -> None:
        inputs, target, kind = self.inputs, self.problem.target, self.problem.kind
        self.table = inputs.new_table()
        with reporter.stage("features", len(self.table.parts)) as stage:
            fitted = inputs.fit_rows(self.table, inputs.parts["train"], target, kind, lambda part: stage.advance(note=part))
        self.stopping = inputs.rows(self.table, inputs.parts["validation"], target, kind)
        self.model = self._boost(fitted, folder, reporter)
        ran, most = len((folder / HISTORY_FILE).read_text().splitlines()), self.config.iterations
        if ran == most and self.model.tree_count_ > NEARLY * ran:
            self.warnings = (f"it was still getting better near its last tree: more --iterations than {most:,} may help",)

    def _boost(self, fitted: Rows, folder: Path, reporter: Reporter) -> Any:
        """Return the model: the one of a training that was killed later, or a new one."""
        config, table, work = self.config, self.table, folder / WORK
        path, note = work / MODEL_FILE, work / MODEL_NOTE
        is_whole = note.is_file() and path.is_file() and note.read_text() == file_hash(path)
        if is_whole and (done := load_model(path)) is not None:
            return done
        title = f"adding decision trees on {len(table.names):,} features (CatBoost)"
        with reporter.stage(title, config.iterations) as stage:
            model = boost(config, fitted, self.stopping, table.categorical, work=work / "main", stage=stage)
        if self.meta.leaky:
            model.get_metadata()["leaky"] = LEAKY
        write_text(folder / HISTORY_FILE, _history(model.get_evals_result(), leaky=self.meta.leaky))
        save_model(model, path)
        write_text(note, file_hash(path))
        remove_tree(work / "main")
        return model

    def save(self, folder: Path) -> None:
        self.table.save(folder, marks=self.meta.marks)
        save_model(self.model, folder / MODEL_FILE)

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        folds = None
        if self.plan is not None:
            folds = cross_validate(self.config, self.plan, self.inputs, folder, folder / WORK, reporter)
        why = self._explain(reporter)
        _write_why(folder, why, self.table, self.problem.target, LEAKY if self.meta.leaky else "")
        return RunMetrics(
            note=NOTE,
            best_iteration=int(self.model.tree_count_),
            folds=folds,
            features=len(self.table.names),
            why=Why(
                loss=why.loss,
                unit=why.unit,
                rows=why.rows,
                groups=tuple(GroupShare(**dataclasses.asdict(share)) for share in why.groups),
            ),
        )

    def _explain(self, reporter: Reporter) -> Attribution:
        rows, table, is_value = self.stopping, self.table, self.problem.kind == "value"
        places = np.random.default_rng(self.config.seed).permutation(len(rows.truth))[:MOST_EXPLAINED]
        with reporter.stage(f"measuring which features matter, on {len(places):,} validation posts", 1) as stage:
            why = attribute(
                self.model,
                Rows(table=rows.table.iloc[places], truth=rows.truth[places]),
                table.categorical,
                table.groups,
                loss=loss_of(self.config).name,
                unit=str(self.problem.target.formula) if is_value else UNIT_OF_CLASSES,
                labelled=table.labels(),
            )
            stage.advance()
        return why


def _check(config: CatBoostConfig) -> None:
    parse_kind(config.kind)
    if config.objective not in OF_VALUES:
        raise WrongCallError(f"unknown --objective '{config.objective}'; give one of: {', '.join(OF_VALUES)}")
    if config.kind == "classes" and config.objective != CatBoostConfig.objective:
        raise WrongCallError(f"--objective {config.objective} is for --as value")
    parse_pca(config.pca)
    if config.folds == 1:
        raise WrongCallError("--folds 1: cross-validation needs two or more; 0 does none")


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


train_catboost = partial(train_run, CatBoostTrainer)
