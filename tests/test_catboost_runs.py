"""train-catboost as a user gives it: folds without leaks, kills, damage, reasons, the study and its mark."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoost

from engage_cli.config.general import LEAKY, QUANTILE_LEVELS, EncoderConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.features.handcrafted import IMAGE_FEATURES
from engage_cli.features.selection import parse_features
from engage_cli.features.table import ARRAYS_FILE, load_table
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.models.boosting.fit import Rows
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.sample import write_sample
from engage_cli.steps.train import _cross_validate as cross_validate
from engage_cli.steps.train._catboost_inputs import Inputs, make_inputs
from engage_cli.steps.train._cross_validate import plan_folds
from engage_cli.steps.train.catboost import train_catboost
from tests import forked
from tests.calls import answer, engage

SILENT = SilentReporter()


def inputs_of(dataset: Dataset, encoders: EncoderConfig, **changes: object) -> Inputs:
    config = CatBoostConfig(**{"vision": encoders.vision, "text": encoders.text, **changes})
    choice = parse_features(config.features, dataset.posts.columns, dataset.source_names)
    return make_inputs(config, choice, dataset, encoders, dataset.target("popularity"), SILENT)


def test_embeddings_are_plain_floats(dataset: Dataset, encoders: EncoderConfig) -> None:
    """`embedding_features` fail on a GPU and take 25 times as long."""
    inputs = inputs_of(dataset, encoders)
    rows = inputs.fit_rows(inputs.new_table(), inputs.parts["train"], dataset.target("views"), "value")
    pool = rows.pool(["category", "title_script"])
    assert (pool.get_embedding_feature_indices(), pool.get_text_feature_indices()) == ([], [])
    assert len(pool.get_cat_feature_indices()) == 2
    numbers = rows.table.drop(columns=["category", "title_script"])
    assert set(numbers.dtypes) == {np.dtype(np.float32)}


def test_no_file_is_written_but_in_the_run_folder(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CatBoost leaves catboost_info where it is called."""
    monkeypatch.chdir(tmp_path)
    config = CatBoostConfig(iterations=8, features="title_statistics", vision=encoders.vision, text=encoders.text)
    train_catboost(config, dataset=dataset, encoders=encoders, run=tmp_path / "runs" / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert not (tmp_path / "runs" / "a" / "work").exists()


def fold_config(encoders: EncoderConfig, **changes: object) -> CatBoostConfig:
    config = {"target": "popularity", "kind": "value", "iterations": 15, "folds": 3, "pca": "4"}
    return CatBoostConfig(**{**config, "vision": encoders.vision, "text": encoders.text, **changes})


def test_nothing_of_a_held_out_post_is_in_its_fold(dataset: Dataset, encoders: EncoderConfig, tmp_path: Path) -> None:
    """Whatever the held-out posts earned or say, their fold's model, its target and its features are the same."""
    config = fold_config(encoders)
    inputs, target = inputs_of(dataset, encoders, pca="4"), dataset.target("popularity")

    def run() -> pd.DataFrame:
        plan = plan_folds(config, inputs, target)
        return cross_validate._run_fold(config, inputs, plan.folds[1], 1, plan.without, tmp_path, SILENT)

    before, out = run(), plan_folds(config, inputs, target).folds[1].held_out
    counters = ["views", "likes", "comments", "shares", "favorites"]
    inputs.posts.loc[out, counters] = inputs.posts.loc[out, counters].to_numpy()[::-1] * 7 + 1
    after = run()
    assert not np.array_equal(before["true"], after["true"])
    np.testing.assert_array_equal(before["value"], after["value"])
    # Their words: the model of the fold knows none of them, so those of other posts are predicted as before.
    inputs.given.posts.loc[out[1:], "title"] = "unheardof unheardof words"
    said = run()
    assert said["value"].iloc[0] == before["value"].iloc[0]
    assert not np.array_equal(said["value"].iloc[1:], before["value"].iloc[1:])


def test_the_authors_history_tells_nothing_of_held_out_posts(tmp_path: Path) -> None:
    """Of many authors each is in one fold; of one channel the history is left out, and that is said."""

    def run(name: str, authors: int, raised: frozenset[str] = frozenset()) -> tuple[str, pd.DataFrame]:
        rows = "".join(
            f"p{n},title {n % 7} {n},{(10 + n % 7 * 50 + n % 3) * (100 if f'p{n}' in raised else 1)},a{n % authors},"
            f"2024-01-01T{n // 60:02d}:{n % 60:02d}\n"
            for n in range(160)
        )
        table, data, folder = tmp_path / f"{name}.csv", tmp_path / f"data-{name}", tmp_path / f"run-{name}"
        table.write_text("id,title,views,author,posted_at\n" + rows)
        answer("prepare", "--table", table, "--no-images", "--data", data, "--no-dedupe", "--split", "random")
        found = answer(
            "train-catboost", "--data", data, "--target", "views", "--as", "value", "--iterations", 5, "--folds", 4,
            "--features", "title_statistics,author", "--run", folder,
        )  # fmt: skip
        assert "author_median_views" in load_table(folder.joinpath).names  # of the whole run
        return found["folds"]["note"], pd.read_parquet(folder / cross_validate.OUT_OF_FOLD).set_index("id")

    note, _ = run("many", 40)
    assert "nor another post of its author" in note
    assert "without the author" not in note
    note, before = run("one", 1)
    assert "nor another post of its author" not in note
    assert "without the author's earlier posts, which would tell of held-out ones" in note
    held_out = before.index[before["fold"] == 0]
    _, after = run("raised", 1, frozenset(held_out))
    assert (after.loc[held_out, "true"] > before.loc[held_out, "true"] + 4).all()
    np.testing.assert_array_equal(before.loc[held_out, "value"], after.loc[held_out, "value"])


def test_what_a_fold_fits_differs_from_what_all_rows_give(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    fit = Inputs.fit_rows

    def note(self: Inputs, table: object, places: np.ndarray, target: object, kind: str, *more: object) -> Rows:
        rows = fit(self, table, places, target, kind, *more)
        table.save(tmp_path / f"table-{len(seen)}")
        seen.append((set(places.tolist()), target, tmp_path / f"table-{len(seen)}" / ARRAYS_FILE))
        return rows

    monkeypatch.setattr(Inputs, "fit_rows", note)
    config = fold_config(encoders, iterations=10)
    summary = train_catboost(config, dataset=dataset, encoders=encoders, run=tmp_path / "run")
    assert len(seen) == 4
    assert len({target.formula.weights["likes"] for _, target, _ in seen}) == 4
    assert len({target.cuts for _, target, _ in seen}) == 4
    arrays = [np.load(path, allow_pickle=False) for *_, path in seen]
    for name in ("image_embedding.mean", "text_embedding.components", "words_score.coefficients", "title_topics.words_idf"):
        assert len({stored[name].tobytes() for stored in arrays}) == 4, name
    table = pd.read_parquet(summary.run.folder / cross_validate.OUT_OF_FOLD)
    everyone = inputs_of(dataset, encoders).posts
    assert sorted(table["id"]) == sorted(everyone["id"])  # each once; none of the test split
    assert not set(table["id"]) & set(dataset.posts["id"][dataset.posts["split"] == "test"])
    for number, (places, *_) in enumerate(seen[1:]):
        assert not set(everyone["id"].iloc[sorted(places)]) & set(table["id"][table["fold"] == number])
    folds = summary.run.done.folds
    scores = [
        compute_metrics("value", one["true"].to_numpy(), one["value"].to_numpy())["r2"] for _, one in table.groupby("fold")
    ]
    assert list(folds.metrics["r2"].folds) == pytest.approx(scores)
    assert folds.metrics["r2"].mean == pytest.approx(np.mean(scores))
    assert folds.metrics["r2"].std == pytest.approx(np.std(scores, ddof=1))


@pytest.mark.parametrize(("kind", "objective"), [("classes", "rmse"), ("value", "quantile")])
def test_out_of_fold_predictions_of_every_kind(
    dataset: Dataset, encoders: EncoderConfig, tmp_path: Path, kind: str, objective: str
) -> None:
    config = CatBoostConfig(
        target="views", kind=kind, objective=objective, iterations=6, features="title_statistics", folds=2
    )
    folder = train_catboost(config, dataset=dataset, encoders=encoders, run=tmp_path / "run").run.folder
    table = pd.read_parquet(folder / cross_validate.OUT_OF_FOLD)
    if kind == "classes":
        assert table.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(np.ones(len(table)))
        assert list(table.filter(like="p_")) == ["p_very_low", "p_low", "p_medium", "p_high", "p_very_high"]
    else:
        quantiles = table[[f"q_{level:g}" for level in QUANTILE_LEVELS]].to_numpy()
        assert (np.diff(quantiles, axis=1) >= 0).all()
    assert load_run(folder).done.folds.number == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folds", 1], "--folds 1: cross-validation needs two or more"),
        (["--pca", "many"], "--pca many: give a number of components from 1, or none"),
        (["--pca", "0"], "--pca 0: give a number"),
        (["--as", "value", "--objective", "mae"], "unknown --objective 'mae'; give one of: rmse, quantile"),
        (["--as", "classes", "--objective", "quantile"], "--objective quantile is for --as value"),
        (["--features", "study,honest"], "is the study's own set; it cannot be combined with other features"),
        (["--features", "time"], "the posts have no values for --features, or all have the same ones (time)"),
    ],
)
def test_wrong_calls(dataset: Dataset, tmp_path: Path, arguments: list, message: str) -> None:
    result = engage("train-catboost", "--data", dataset.folder, "--run", tmp_path / "run", *arguments)
    assert message in result.stderr
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert not (tmp_path / "run").exists()


KILLED = ["--iterations", 20, "--patience", 20, "--as", "value", "--target", "views", "--folds", 2]


def killed_in_boosting(waited: str, *arguments: str) -> None:
    """Snapshots are taken every tree; it dies ten trees later than the one that is waited for."""
    from engage_cli.models.boosting import fit as boosting
    from engage_cli.steps.train import _cross_fit

    _cross_fit.ENOUGH_VALIDATION = 0  # as in this process
    boosting.SECONDS_BETWEEN_SNAPSHOTS = 0
    step = boosting._Advance.after_iteration

    def after_iteration(self: boosting._Advance, info: Any) -> bool:
        if info.iteration > 10 and Path(waited).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, info)

    boosting._Advance.after_iteration = after_iteration  # type: ignore[method-assign]
    forked.command(*arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="it kills")
def test_a_killed_training_goes_on_to_the_same_model(
    world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while boosting, and again in a fold."""
    common = ["train-catboost", "--data", world / "data", "--vision", encoders.vision, "--text", encoders.text, *KILLED]
    for waited in ("work/main/snapshot", "work/fold-1/snapshot"):
        ended = forked.run(killed_in_boosting, tmp_path / "killed" / waited, *common, "--run", tmp_path / "killed")
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert (tmp_path / "killed" / waited).exists()
        assert not (tmp_path / "killed" / "metrics.json").exists()
    assert (tmp_path / "killed" / "work" / "fold-0.parquet").exists()
    refused = engage("evaluate", tmp_path / "killed", "--data", world / "data")
    assert "give its `engage train-catboost` command again to continue it" in refused.stderr

    again = engage(*common, "--run", tmp_path / "killed")
    assert again.exit_code == 0, again.stderr
    assert "continuing" in again.stderr
    answer(*common, "--run", tmp_path / "whole")
    models = [CatBoost().load_model(str(tmp_path / name / "model.cbm")) for name in ("killed", "whole")]
    assert models[0] == models[1]
    np.testing.assert_array_equal(models[0].get_leaf_values(), models[1].get_leaf_values())
    assert str(tmp_path).encode() not in (tmp_path / "whole" / "model.cbm").read_bytes()  # runs travel
    for name in ("history.jsonl", "importance.csv", cross_validate.OUT_OF_FOLD, ARRAYS_FILE, "features.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (tmp_path / "killed" / "work").exists()


@pytest.mark.parametrize("name", ["features.json", "features.npz", "model.cbm"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"junk \x00"])
def test_a_damaged_run_is_named(world: Path, pixelrec: Path, tmp_path: Path, name: str, damage: bytes) -> None:
    run = tmp_path / "run"
    shutil.copytree(world / "runs" / "catboost", run)
    (run / name).write_bytes(damage)
    for call in (["predict", pixelrec / "cover" / "i5.jpg", "--run", run], ["evaluate", run, "--data", world / "data"]):
        result = engage(*call)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{name} was changed or damaged: its hash differs; train again" in result.stderr


def test_what_an_unfinished_run_has_damaged_is_done_again(dataset: Dataset, tmp_path: Path) -> None:
    config = CatBoostConfig(target="views", kind="value", iterations=6, features="title_statistics", folds=2)
    encoders = EncoderConfig()
    whole = train_catboost(config, dataset=dataset, encoders=encoders, run=tmp_path / "whole").run.folder
    half = tmp_path / "half"
    half.mkdir()
    for name in ("run.json", "target.json"):
        shutil.copy(whole / name, half)
    (half / "model.cbm").write_bytes(b"junk")
    (half / "work").mkdir()
    (half / "work" / "fold-0.parquet").write_bytes(b"junk")
    train_catboost(config, dataset=dataset, encoders=encoders, run=half)
    out = cross_validate.OUT_OF_FOLD
    assert (half / out).read_bytes() == (whole / out).read_bytes()


def test_covers_that_are_gone_are_named_and_not_forgotten(pixelrec: Path, tmp_path: Path) -> None:
    shutil.copytree(pixelrec, tmp_path / "px")
    answer("prepare", "--pixelrec-dir", tmp_path / "px", "--data", tmp_path / "data")
    train = [
        "train-catboost", "--data", tmp_path / "data", "--features", "image_statistics", "--iterations", 5,
        "--run", tmp_path / "run",
    ]  # fmt: skip
    (tmp_path / "px" / "cover").rename(tmp_path / "px" / "elsewhere")
    result = engage(*train)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is gone or changed since `engage prepare`" in result.stderr
    (tmp_path / "px" / "elsewhere").rename(tmp_path / "px" / "cover")
    assert answer(*train)["features"] == len(IMAGE_FEATURES)
    measured = pd.read_parquet(tmp_path / "data" / "features" / "image_statistics.parquet")
    assert measured["image_brightness"].notna().mean() > 0.9
    assert engage(*train[:-1], tmp_path / "again").exit_code == 0  # from what was measured


def test_posts_of_which_most_share_a_title(tmp_path: Path) -> None:
    rows = "".join(f"p{n},{'untitled' if n % 2 else f'title {n}'},{n * 7 % 100},{n % 3}\n" for n in range(200))
    (tmp_path / "posts.csv").write_text("id,title,views,tags\n" + rows)
    answer("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data", "--split", "random")
    train = ["train-catboost", "--data", tmp_path / "data", "--target", "views", "--as", "value", "--iterations", 5]
    assert answer(*train, "--features", "words,category", "--run", tmp_path / "run")["features"] > 1


def test_what_catboost_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,title,views\n" + "".join(f"p{n},one and the same,{n}\n" for n in range(45)))
    answer(
        "prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data", "--split", "random",
        "--no-dedupe",
    )  # fmt: skip
    train = ["train-catboost", "--data", tmp_path / "data", "--target", "views", "--as", "value", "--run", tmp_path / "run"]
    result = engage(*train, "--features", "title_statistics")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the posts have no values for --features, or all have the same ones" in result.stderr
    result = engage(*train, "--folds", 50)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "50 folds cannot be made of 40 posts" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_category_is_given_as_prepare_cleans_it(tmp_path: Path, pixelrec: Path) -> None:
    moods = ("lo\r\nud", "calm")
    rows = "".join(f'p{n},title {n},{10 + n % 2 * 900},"{moods[n % 2]}"\n' for n in range(80))
    (tmp_path / "posts.csv").write_bytes(("id,title,views,mood\n" + rows).encode())
    answer("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data", "--keep", "mood")
    answer(
        "train-catboost", "--data", tmp_path / "data", "--target", "views", "--as", "value", "--iterations", 60,
        "--features", "title_statistics,mood", "--rsm", 1, "--run", tmp_path / "run",
    )  # fmt: skip
    ask = ["predict", pixelrec / "cover" / "i5.jpg", "--title", "title 4", "--run", tmp_path / "run"]
    loud = [answer(*ask, "--column", f"mood={text}")["posts"][0]["value"] for text in ("lo\nud", "lo\r\nud", "calm")]
    assert loud[0] == loud[1] != loud[2]
    assert engage(*ask, "--column", "mood=\udcff").exit_code == 0  # bytes of another encoding than UTF-8


def test_more_trees_are_advised_only_where_they_ran_out(dataset: Dataset, tmp_path: Path) -> None:
    warnings = {}
    for rate in (0.01, 1.0):
        config = CatBoostConfig(
            target="views", kind="value", features="title_statistics", iterations=40, learning_rate=rate, border_count=32
        )
        run = train_catboost(config, dataset=dataset, encoders=EncoderConfig(), run=tmp_path / str(rate))
        warnings[rate] = any("more --iterations than 40 may help" in warning for warning in run.warnings)
        trees = run.run.done.best_iteration
        assert warnings[rate] == (trees > 38), trees
    assert warnings == {0.01: True, 1.0: False}


def test_reasons_of_one_post_add_up(world: Path, pixelrec: Path) -> None:
    image = pixelrec / "cover" / "i5.jpg"
    ask = ["predict", image, "--title", "the best pizza", "--run", world / "runs" / "catboost-value", "--explain"]
    (post,) = answer(*ask)["posts"]
    assert post["explanation"]["note"] == "the model's view, not a cause"
    why = post["explanation"]["contributions"]
    assert why["start"] + sum(why["groups"].values()) == pytest.approx(post["value"], abs=1e-5)
    assert list(map(abs, why["groups"].values())) == sorted(map(abs, why["groups"].values()), reverse=True)
    assert why["values"]["title_characters"] == "14"
    shown = engage(*ask).stdout
    assert "Why (the model's view, not a cause)" in shown
    for name in list(why["groups"])[:3]:
        assert name in shown


def test_the_moment_of_publication_is_read_from_a_date(tmp_path: Path, pixelrec: Path) -> None:
    rows = "".join(
        f"p{n},title {n % 7},{10 + n % 7 * 50 + n % 3},2024-0{1 + n % 9}-{1 + n % 28:02d}T{n % 24:02d}:00\n"
        for n in range(120)
    )
    (tmp_path / "posts.csv").write_text("id,title,views,posted_at\n" + rows)
    answer("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data", "--no-dedupe")
    run = tmp_path / "run"
    answer(
        "train-catboost",
        "--data", tmp_path / "data", "--target", "views", "--as", "value", "--features", "title_statistics,time",
        "--iterations", 20, "--run", run,
    )  # fmt: skip
    assert load_table(run.joinpath).further_columns == {"hour": "number", "weekday": "number"}
    ask = ["predict", pixelrec / "cover" / "i5.jpg", "--title", "title 3", "--run", run]
    assert "not given: hour, weekday (the run was trained with them); give --posted-at" in engage(*ask).stderr
    named = answer(*ask, "--column", "hour=18", "--column", "weekday=1", "--explain")["posts"][0]
    for moment in ("2026-11-24T18:30", "2026-11-24 19:30+01:00"):
        result = engage(*ask, "--posted-at", moment, "--explain", "--json")
        assert "not given: hour" not in result.stderr
        assert json.loads(result.stdout)["posts"][0] == named
    midnight = answer(*ask, "--column", "hour=0", "--column", "weekday=1")["posts"][0]
    assert answer(*ask, "--posted-at", "2026-11-24T00:00")["posts"][0] == midnight
    assert (
        "not given: hour (the run was trained with them); give --posted-at"
        in engage(*ask, "--posted-at", "2026-11-24").stderr
    )
    assert "'someday' is not a date" in engage(*ask, "--posted-at", "someday").stderr


def test_the_studys_features_give_the_label_away_and_all_say_so(
    checkpoints: dict[str, str], pixelrec: Path, tmp_path: Path
) -> None:
    write_sample(tmp_path / "px", rows=800, seed=1, with_images=False)
    answer("prepare", "--pixelrec-dir", tmp_path / "px", "--no-images", "--data", tmp_path / "data")
    both = ["--vision", checkpoints["clip"], "--text", checkpoints["clip"]]
    data, run, honest = ["--data", tmp_path / "data"], tmp_path / "run", tmp_path / "honest"
    train = ["train-catboost", *data, *both, "--iterations", 40, "--learning-rate", 0.5]
    result = engage(*train, "--features", "study", "--folds", 2, "--run", run)
    assert result.exit_code == 0, result.stderr
    assert LEAKY in result.stderr
    assert LEAKY in result.stdout
    assert f"{run} LEAKY" in result.stdout
    answer(*train, "--run", honest)

    found = answer("evaluate", run, honest, *data, "--no-report", "--resamples", 10)
    leaky, clean = found["runs"]
    assert (leaky["leaky"], clean["leaky"]) == (True, False)
    assert leaky["metrics"]["accuracy"]["value"] >= 0.9
    assert clean["metrics"]["accuracy"]["value"] < 0.6
    shown = engage("evaluate", run, honest, *data, "--no-report", "--resamples", 0).stdout
    assert shown.count(LEAKY) == 1
    assert " LEAKY " in shown

    for name in ("run.json", "metrics.json", "features.json"):
        content = json.loads((run / name).read_text())
        assert content["leaky"] is True, name
        assert LEAKY in content["marks"], name
    assert all(json.loads(line)["leaky"] for line in (run / "history.jsonl").read_text().splitlines())
    assert pd.read_csv(run / "importance.csv")["leaky"].all()
    assert pd.read_parquet(run / cross_validate.OUT_OF_FOLD)["leaky"].all()
    assert CatBoost().load_model(str(run / "model.cbm")).get_metadata()["leaky"] == LEAKY

    ask = ["predict", pixelrec / "cover" / "i5.jpg", "--title", "a cat", "--run", run]
    (post,) = answer(*ask)["posts"]
    assert post["leaky"] is True
    assert LEAKY in post["marks"]
    shown = engage(*ask)
    assert LEAKY in shown.stdout
    assert "not given: views, likes, comments, shares, favorites" in shown.stderr
    posts = load_dataset(tmp_path / "data").posts
    best = posts.loc[load_run(run).target.score(posts).argmax(), ["views", "likes", "comments", "shares", "favorites"]]
    assert answer(*ask, *(f"--column={name}={n}" for name, n in best.items()))["posts"][0]["class"] == "Very High"


def test_the_mark_is_drawn_into_the_plots(tmp_path: Path, dataset: Dataset, encoders: EncoderConfig) -> None:
    from engage_cli.steps.train import catboost as step

    marks, draw = [], step.draw_importance

    def note(*arguments: object, mark: str, title: str) -> None:
        marks.append(mark)
        draw(*arguments, mark=mark, title=title)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "draw_importance", note)
        for features in ("study", "title_statistics"):
            config = CatBoostConfig(features=features, iterations=5, vision=encoders.vision, text=encoders.text)
            train_catboost(config, dataset=dataset, encoders=encoders, run=tmp_path / features)
    assert marks == [LEAKY, ""]


def test_permuting_the_counters_of_test_posts_changes_no_prediction(world: Path) -> None:
    """The honest default cannot see a counter, not even in its history columns or its reasons."""
    data, opened = load_dataset(world / "data"), load_run(world / "runs" / "catboost")
    posts = data.posts[data.posts["split"] == "test"]
    source, predictor = source_of(opened, data, SILENT), load_predictor(opened)
    counters = [
        name for name in posts if name in ("views", "likes", "comments", "shares", "favorites", "coins", "barrages")
    ]
    assert len(counters) == 7
    before = predictor.predict(posts, source).main
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(posts))
        mixed = posts.assign(**{name: posts[name].to_numpy()[order] for name in counters})
        np.testing.assert_array_equal(predictor.predict(mixed, source).main, before)
    without = posts.drop(columns=counters)
    np.testing.assert_array_equal(predictor.predict(without, source).main, before)
    assert not set(predictor.table.names) & {*counters, *(f"log_{name}" for name in counters)}
