"""The traps of CatBoost, each with what it would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor

from engage_cli.config.general import CLASS_NAMES, QUANTILE_LEVELS
from engage_cli.config.training import CatBoostConfig
from engage_cli.errors import EngageError
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.boosting import fit as boosting
from engage_cli.models.boosting.fit import Rows, _with_share_and_borders, boost, loss_of, predict_table
from engage_cli.models.boosting.shap import attribute, contributions_of, learned_outputs, to_one
from engage_cli.progress.reporters import SilentReporter

SILENT = SilentReporter()
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.normal(size=(400, 6)).astype(np.float32), columns=list("abcdef"))
COLOURS = np.array(["red", "green", "<missing>"], dtype=object)[RNG.integers(0, 3, 400)]
TABLE = NUMBERS.assign(colour=pd.Series(COLOURS, dtype=object))
VALUES = (NUMBERS["a"] + NUMBERS["b"] * NUMBERS["c"] + 2 * (COLOURS == "red") + RNG.normal(size=400) / 2).to_numpy(float)
CLASSES = np.digitize(VALUES, np.quantile(VALUES, (0.2, 0.4, 0.6, 0.8))).astype(np.int64)
KINDS = [("classes", "rmse", CLASSES), ("value", "rmse", VALUES), ("value", "quantile", VALUES)]


def train(work: Path, kind: str, truth: np.ndarray, table: pd.DataFrame = TABLE, **changes: object) -> CatBoost:
    config = CatBoostConfig(**{"kind": kind, "iterations": 200, "learning_rate": 0.1, **changes})
    parts = [Rows(table=table.iloc[rows], truth=truth[rows]) for rows in (slice(0, 300), slice(300, 400))]
    with SILENT.stage("", 1) as stage:
        return boost(config, *parts, ["colour"], work=work, stage=stage)


@pytest.mark.parametrize(("kind", "objective", "truth"), KINDS)
def test_every_objective_learns_and_has_the_shape_of_predictions(
    kind: str, objective: str, truth: np.ndarray, tmp_path: Path
) -> None:
    """A multiclass model's own predict is (n, 1), and MultiClass with subsample needs a bootstrap type."""
    model = train(tmp_path, kind, truth, objective=objective)
    found = predict_table(model, TABLE.iloc[300:], kind)
    score = compute_metrics(kind, truth[300:], found.main)
    assert score["kappa" if kind == "classes" else "r2"] > 0.4
    assert found.main.shape == ((100, 5) if kind == "classes" else (100,))
    parameters = model.get_all_params()
    assert parameters["bootstrap_type"] == "Bernoulli"
    assert parameters["border_count"] == 128
    assert parameters["rsm"] == pytest.approx(0.3)


def test_of_many_features_few_are_tried_in_coarse_steps_unless_something_else_is_asked_for() -> None:
    many = _with_share_and_borders(CatBoostConfig(), 1_001)
    assert (many.rsm, many.border_count) == (0.1, 32)  # else they take five to ten times as long
    asked = _with_share_and_borders(CatBoostConfig(rsm=0.5, border_count=254), 1_001)
    assert (asked.rsm, asked.border_count) == (0.5, 254)


def test_a_class_that_no_training_post_has_keeps_its_column(tmp_path: Path) -> None:
    """String classes would sort by alphabet, and a fold without a class would have narrower probabilities."""
    truth = np.where(CLASSES == 2, 1, CLASSES)
    shares = predict_table(train(tmp_path, "classes", truth), TABLE, "classes").main
    assert shares.shape == (400, len(CLASS_NAMES))
    assert shares[:, 2].max() < 0.05
    for number in (0, 1, 3, 4):  # column k is class k
        assert shares[truth == number, number].mean() > 1.5 * shares[truth != number, number].mean()
    assert shares.sum(axis=1) == pytest.approx(np.ones(400))


def test_a_category_that_training_never_saw_is_no_error(tmp_path: Path) -> None:
    """A LabelEncoder would raise."""
    model = train(tmp_path, "value", VALUES)
    unseen = TABLE.iloc[:50].assign(colour=pd.Series(["ultraviolet"] * 50, dtype=object))
    assert np.isfinite(predict_table(model, unseen, "value").main).all()


def test_quantiles_that_cross_are_put_in_order(tmp_path: Path) -> None:
    model = train(tmp_path, "value", VALUES, objective="quantile", iterations=40, learning_rate=0.8, rsm=1.0)
    far = TABLE.assign(**{name: TABLE[name] * 4 for name in "abcdef"})
    raw = model.predict(far)
    assert (np.diff(raw, axis=1) < 0).any()  # the trap is real
    found = predict_table(model, far, "value")
    assert (np.diff(found.quantiles, axis=1) >= 0).all()
    np.testing.assert_array_equal(found.value, found.quantiles[:, QUANTILE_LEVELS.index(0.5)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("kind", "objective", "truth"), KINDS)
def test_on_a_gpu(kind: str, objective: str, truth: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bernoulli works there, rsm and callbacks do not; MultiQuantile stays on the CPU. It is not deterministic."""
    assert train(tmp_path / "few", kind, truth, objective=objective).get_all_params()["task_type"] == "CPU"
    monkeypatch.setattr(boosting, "FEWEST_ON_GPU", 0)
    model = train(tmp_path, kind, truth, objective=objective)
    assert model.get_all_params()["task_type"] == ("CPU" if objective == "quantile" else "GPU")
    score = compute_metrics(kind, truth[300:], predict_table(model, TABLE.iloc[300:], kind).main)
    assert score["kappa" if kind == "classes" else "r2"] > 0.5


def test_a_snapshot_that_does_not_fit_costs_its_trees_not_the_training(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", "value", VALUES)
    for name, damage in (("other", None), ("damaged", b"no snapshot")):
        train(tmp_path / name, "value", CLASSES.astype(float) * 3, iterations=20)
        if damage:
            (tmp_path / name / "snapshot").write_bytes(damage)
        again = train(tmp_path / name, "value", VALUES)
        np.testing.assert_array_equal(again.predict(TABLE), alone.predict(TABLE))


@pytest.mark.parametrize(("kind", "objective", "truth"), KINDS)
def test_contributions_add_up_and_loss_change_is_catboosts_own(
    kind: str, objective: str, truth: np.ndarray, tmp_path: Path
) -> None:
    model = train(tmp_path, kind, truth, objective=objective)
    rows = Rows(table=TABLE.iloc[300:], truth=truth[300:])
    groups = {name: "letters" if name in "abc" else "others" for name in TABLE}
    loss = loss_of(CatBoostConfig(kind=kind, objective=objective)).name
    why = attribute(model, rows, ["colour"], groups, loss=loss, unit="", labelled=["b", "colour"])
    theirs = dict(
        zip(TABLE, model.get_feature_importance(data=rows.pool(["colour"]), type="LossFunctionChange"), strict=True)
    )
    if objective != "quantile":  # whose loss CatBoost sums up otherwise
        assert {one.name: one.loss_change for one in why.features} == pytest.approx(theirs, abs=1e-6)
    assert {one.name for one in why.groups} == {"letters", "others"}
    contributions, start = contributions_of(model, rows.table, ["colour"])
    raw = np.asarray(model.predict(rows.table, prediction_type="RawFormulaVal"))
    expected = to_one(raw[..., None] if raw.ndim == 2 else raw[:, None], learned_outputs(raw)).reshape(-1)
    np.testing.assert_allclose(contributions.sum(axis=1) + start, expected, atol=1e-6)
    letters = next(one for one in why.groups if one.name == "letters")
    assert letters.mean_abs_shap == pytest.approx(np.abs(contributions[:, :3].sum(axis=1)).mean())
    assert set(why.shown) == {"b", "colour"}
    assert np.isnan(why.ranks[:, why.shown.index("colour")]).all()
    assert why.ranks[:, why.shown.index("b")].max() == pytest.approx(0.995)


def test_what_catboost_refuses_is_one_sentence(tmp_path: Path) -> None:
    plain = TABLE.assign(**{name: np.float32(1) for name in "abcdef"}, colour="red").astype({"colour": object})
    with pytest.raises(EngageError, match=r"^CatBoost cannot train on these posts: All features"):
        train(tmp_path, "value", VALUES, plain)


@pytest.mark.parametrize("names", [["a", "b"], ["a", "word", "b", "tag"], ["word"]])
@pytest.mark.parametrize("kind", ["value", "classes"])
def test_a_table_is_predicted_as_catboost_predicts_it(names: list[str], kind: str) -> None:
    random = np.random.default_rng(0)
    rows = 300
    table = pd.DataFrame(
        {
            "a": random.normal(size=rows),
            "word": random.choice(["cat", "dog", "größe", ""], rows).astype(object),
            "b": np.where(random.random(rows) < 0.2, np.nan, random.normal(size=rows)),
            "tag": random.choice(["x", "y"], rows).astype(object),
        }
    )
    truth = table["a"] + (table["word"] == "cat") - (table["tag"] == "x") + table["b"].fillna(0)
    categories = [name for name in names if name in ("word", "tag")]
    settings = {"iterations": 30, "cat_features": categories, "verbose": False, "allow_writing_files": False}
    if kind == "value":
        model = CatBoostRegressor(**settings).fit(table[names], truth)
        expected = model.predict(table[names])
    else:
        model = CatBoostClassifier(**settings, loss_function="MultiClass").fit(table[names], pd.qcut(truth, 5, False))
        expected = model.predict_proba(table[names])
    found = predict_table(model, table[names], kind)
    np.testing.assert_array_equal(found.main, expected)
    assert len(np.unique(found.main.round(6))) > 1
