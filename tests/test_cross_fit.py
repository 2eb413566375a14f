"""Few posts are predicted in turn by models without them: each once, what is kept is read back, an ensemble uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.io.sealed_table import write_sealed
from engage_cli.models.held_out import HELD_OUT_FILE, KIND, load_held_out
from engage_cli.models.predictor import members_of
from engage_cli.steps.train import _cross_fit as cross_fit
from engage_cli.steps.train import gaussian_process as train_process
from engage_cli.steps.train import pipeline as train_ensemble
from engage_cli.steps.train._cross_fit import FOLDS
from engage_cli.uncertainty.forecast import load_uncertainty
from tests.test_train import few_trees


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch, few_steps: None) -> None:
    monkeypatch.setattr(cross_fit, "ENOUGH_VALIDATION", 50)


def test_each_post_is_predicted_without_itself_and_a_killed_training_goes_on(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = GaussianProcessConfig(target="views", vision=encoders.vision, text=encoders.text)
    whole = train_process.train_process(config, dataset=dataset, encoders=encoders, run=tmp_path / "whole").run
    target = whole.target
    both = np.sort(np.concatenate([dataset.rows(part, target) for part in ("train", "validation")]))
    found = load_held_out(whole.folder, dataset)
    assert found is not None
    assert np.sort(found.places).tolist() == both.tolist()
    assert load_uncertainty(whole).calibration.rows == len(both)
    assert whole.done.evidence is not None
    assert (whole.done.evidence.held_out, whole.done.evidence.method) == (len(both), "cross-validation")
    assert len(warnings_of(whole)) == 1
    assert not (whole.folder / FOLDS).exists()

    asked: list[int] = []
    again = cross_fit.train_and_ask

    def killed(*how: Any) -> Any:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return again(*how)

    with monkeypatch.context() as patch:
        patch.setattr(cross_fit, "train_and_ask", killed)
        with pytest.raises(KeyboardInterrupt):
            train_process.train_process(config, dataset=dataset, encoders=encoders, run=tmp_path / "killed")
    assert len(list((tmp_path / "killed" / FOLDS).glob("*/metrics.json"))) == 2
    train_process.train_process(config, dataset=dataset, encoders=encoders, run=tmp_path / "killed")
    tables = [pd.read_parquet(tmp_path / name / HELD_OUT_FILE) for name in ("whole", "killed")]
    pd.testing.assert_frame_equal(*tables)


def test_an_ensemble_of_few_posts_learns_its_weights_from_all_of_them(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(train_ensemble.TRAINERS, "catboost", few_trees)
    config = EnsembleConfig(target="views", members="gp,catboost", vision=encoders.vision, text=encoders.text)
    run = train_ensemble.train_ensemble(config, dataset=dataset, encoders=encoders, run=tmp_path / "run").run
    num = sum(len(dataset.rows(part, run.target)) for part in ("train", "validation"))
    assert run.done.rows["held_out"] == num
    assert load_uncertainty(run).calibration.rows == num
    assert 0.5 < sum(run.done.weights.values()) < 1.5
    for member in members_of(run):
        kept = load_held_out(member.folder, dataset)
        assert kept is not None
        truth = run.target.score(dataset.posts.iloc[kept.places])
        assert abs(np.corrcoef(kept.predictions.main, truth)[0, 1]) < 0.95  # it had not seen them


@pytest.mark.parametrize("damage", ["gone", "noise", "one byte", "other posts", "a hole"])
def test_what_is_kept_is_not_read_where_it_is_damaged(damage: str, dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / HELD_OUT_FILE
    table = pd.DataFrame({"id": dataset.posts["id"].iloc[:4], "method": "cross-validation", "value": np.arange(4.0)})
    write_sealed(path, table, kind=KIND)
    assert load_held_out(tmp_path, dataset) is not None
    if damage == "gone":
        path.unlink()
    elif damage == "noise":
        path.write_bytes(b"\xff" * 100)
    elif damage == "one byte":
        whole = bytearray(path.read_bytes())
        whole[len(whole) // 2] ^= 1
        path.write_bytes(whole)
    elif damage == "other posts":
        write_sealed(path, table.assign(id="nobody"), kind=KIND)
    else:
        write_sealed(path, table.assign(value=np.nan), kind=KIND)
    assert load_held_out(tmp_path, dataset) is None
