"""A trainer and a predictor from outside, through the table of models alone: the life of their run is that of every run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset
from engage_cli.errors import EngageError
from engage_cli.io.files import write_text
from engage_cli.models.held_out import load_held_out
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import Predictor, Sources, extra_columns, load_predictor
from engage_cli.models.trainer import WORK, Trainer, make_problem
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.model_table import MODELS, PREDICTORS, ModelKind
from engage_cli.runs.records import DataOf, RunMeta, RunMetrics
from engage_cli.runs.run_folder import Run, load_run
from engage_cli.steps.train.training import train_run
from engage_cli.uncertainty.forecast import load_uncertainty

FILE = "mean.json"


class MeanPredictor(Predictor):
    """Predicts the mean of the training posts, and reads nothing of others."""

    def __init__(self, run: Run) -> None:
        self.mean = float(json.loads(run.open(FILE).read_text()))

    @staticmethod
    def choose_source(run: Run, sources: Sources) -> None:
        return None

    def predict(self, posts: pd.DataFrame, source: None) -> Predictions:
        return Predictions(value=np.full(len(posts), self.mean))

    def vectors(self, posts: pd.DataFrame, source: None) -> None:
        return None


class MeanTrainer(Trainer):
    def __init__(self, target: str, encoders: EncoderConfig, dataset: Dataset, reporter: Reporter) -> None:
        self.problem = make_problem(dataset, dataset.target(target), "value")
        self.refit = partial(MeanTrainer, target, encoders)
        data = DataOf(fingerprint=dataset.fingerprint, split=dataset.meta.split.method)
        self.meta = RunMeta(command="train-mean", model="mean", kind="value", data=data)

    def fit(self, folder: Path, reporter: Reporter) -> None:
        note = folder / WORK / "mean"
        if not note.is_file():
            write_text(note, str(self.problem.train.truth.mean()))
        self.mean = float(note.read_text())

    def save(self, folder: Path) -> None:
        write_text(folder / FILE, str(self.mean))

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        return RunMetrics(note="a mean")


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "mean", ModelKind(f"{__name__}:MeanPredictor", "mean"))
    monkeypatch.setitem(PREDICTORS._entries, "mean", f"{__name__}:MeanPredictor")


def test_its_run_is_fitted_calibrated_and_finished(dataset: Dataset, tmp_path: Path) -> None:
    done = train_run(MeanTrainer, "views", dataset=dataset, encoders=EncoderConfig(), run=tmp_path / "run")
    run, train = done.run, dataset.rows("train", done.run.target)
    assert not done.went_on
    mean = run.target.score(dataset.posts.iloc[train]).mean()
    assert load_predictor(run).predict(dataset.posts, None).main == pytest.approx(np.full(len(dataset.posts), mean))
    validation = dataset.rows("validation", run.target)
    assert run.done.rows == {"train": len(train), "validation": len(validation)}
    assert run.done.metrics["r2"] <= 0
    assert (run.done.note, extra_columns(run)) == ("a mean", {})
    assert {FILE, "calibration.json"} <= set(run.done.files)
    assert load_uncertainty(run).calibration.rows == len(validation)
    assert not (run.folder / WORK).exists()


def test_it_is_fitted_again_on_parts_of_few_posts(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engage_cli.steps.train._cross_fit.ENOUGH_VALIDATION", 50)
    run = train_run(MeanTrainer, "views", dataset=dataset, encoders=EncoderConfig(), run=tmp_path / "run").run
    kept = load_held_out(run.folder, dataset)
    assert kept is not None
    assert 1 < len(np.unique(kept.predictions.main)) < 10  # a mean of each fold
    assert load_predictor(run).mean not in kept.predictions.main
    assert load_uncertainty(run).calibration.rows == len(kept.places)


@pytest.mark.parametrize("step", ["save", "report"])
def test_killed_it_goes_on_with_what_it_had(
    step: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*how: object) -> None:
        raise KeyboardInterrupt

    train = partial(train_run, MeanTrainer, "views", dataset=dataset, encoders=EncoderConfig(), run=tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(MeanTrainer, step, killed)
        with pytest.raises(KeyboardInterrupt):
            train()
    with pytest.raises(EngageError, match="did not finish; give its `engage train-mean` command again"):
        load_run(tmp_path / "run")
    write_text(tmp_path / "run" / WORK / "mean", "7.5")
    done = train()
    assert done.went_on
    assert load_predictor(done.run).mean == 7.5


def test_the_posts_of_a_part_and_their_arrays_stand_in_one_order(dataset: Dataset) -> None:
    problem = make_problem(dataset, dataset.target("views"), "classes")
    for part in (problem.train, problem.validation):
        assert part.posts["id"].tolist() == dataset.posts["id"].iloc[part.places].tolist()
        np.testing.assert_array_equal(part.scores, problem.target.score(part.posts))
        np.testing.assert_array_equal(part.truth, problem.target.classes(part.scores))
    some = problem.part(np.array([5, 2]))
    assert some.posts["id"].tolist() == dataset.posts["id"].iloc[[5, 2]].tolist()
