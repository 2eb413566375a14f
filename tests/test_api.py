"""The Python API: DataFrames in, arrays and DataFrames out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import engage_cli
from engage_cli import EngageError, EngagementClassifier, EngagementRegressor, TrainedRun, load_run, sample_posts
from engage_cli.config.general import CLASS_NAMES, EncoderConfig
from engage_cli.data.dataset import Dataset
from tests.calls import answer
from tests.test_architecture import HEAVY

NOTEBOOK = Path(__file__).parent.parent / "examples" / "quickstart.ipynb"
NAMES = (
    "EngageError", "EngagementClassifier", "EngagementRegressor", "TrainedRun", "embed", "evaluate", "load_run", "prepare",
    "sample_posts", "train",
)  # fmt: skip


@pytest.fixture(scope="module")
def posts() -> pd.DataFrame:
    return sample_posts(150, seed=3)


@pytest.fixture(scope="module")
def tiny(checkpoints: dict[str, str]) -> dict[str, Any]:
    return {"members": "gp", "vision": checkpoints["vit"], "text": checkpoints["bert"]}


@pytest.fixture(scope="module")
def regressor(posts: pd.DataFrame, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> EngagementRegressor:
    folder = tmp_path_factory.mktemp("api") / "work"
    return EngagementRegressor(folder=folder, **tiny).fit(posts, image_column="image")


@pytest.fixture(scope="module")
def classifier(posts: pd.DataFrame, tiny: dict[str, Any]) -> EngagementClassifier:
    return EngagementClassifier(target="engagement", **tiny).fit(posts, image_column="image")


@pytest.fixture(scope="module")
def files(posts: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The covers of the first posts as files, and their table."""
    folder = tmp_path_factory.mktemp("covers")
    for row, data in enumerate(posts["image"][:6]):
        (folder / f"{row}.jpg").write_bytes(data)
    table = posts.head(6).assign(image=[f"{row}.jpg" for row in range(6)])
    table.drop(columns=["views", "likes", "comments", "shares"]).to_csv(folder / "posts.csv", index=False)
    return folder


def test_the_package_shows_its_names_and_imports_nothing_heavy() -> None:
    code = (
        "import engage_cli, sys; assert set(engage_cli.__all__) <= set(dir(engage_cli)); "
        "print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)
    assert set(engage_cli.__all__) == {*NAMES, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'Regressor'"):
        engage_cli.Regressor  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found_and_says_what_it_does(name: str) -> None:
    found = getattr(engage_cli, name)
    public = [found] if not isinstance(found, type) else [found, *map(found.__dict__.get, vars(found))]
    assert found.__doc__
    assert len(found.__doc__) > 40
    for one in public:
        if callable(one) and not getattr(one, "__name__", "_").startswith("_"):
            assert one.__doc__, one
            assert found is EngageError or "Example:" in one.__doc__ or one is TrainedRun, one


@pytest.mark.usefixtures("few_trees")
@pytest.mark.usefixtures("few_steps")
def test_five_lines_go_from_a_table_of_300_posts_to_intervals_and_a_ranking(checkpoints: dict[str, str]) -> None:
    posts = sample_posts(300)
    model = EngagementRegressor(target="views", members="gp,catboost", vision=checkpoints["vit"], text=checkpoints["bert"])
    model.fit(posts, image_column="image")
    intervals = model.predict_interval(posts.head(8))
    ranking = model.rank(posts.head(8))

    assert intervals.shape == (8, 2)
    assert (intervals[:, 0] < intervals[:, 1]).all()
    assert ranking["p_best"].sum() == pytest.approx(1)
    assert ranking["value"].is_monotonic_decreasing


def test_predictions_are_those_of_the_command_line(regressor: EngagementRegressor, files: Path, tmp_path: Path) -> None:
    asked = pd.read_csv(files / "posts.csv", keep_default_na=False)
    out = tmp_path / "out.csv"
    answer("predict", "--table", files / "posts.csv", "--images-dir", files, "--run", regressor.run_.folder, "--out", out)
    theirs = pd.read_csv(out)
    ours = regressor.forecast(asked, images_dir=files)
    for name in ("value", "count", "percentile", "interval_80_low", "interval_80_high", "p_high", "neighbour_distance"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, err_msg=name)
    np.testing.assert_array_equal(regressor.predict(asked, images_dir=files), ours["value"])
    assert (ours["problem"] == "").all()


def test_an_open_run_answers_as_its_estimator(regressor: EngagementRegressor, posts: pd.DataFrame) -> None:
    run = load_run(regressor.run_.folder)
    some = posts.sample(5, random_state=0)
    np.testing.assert_array_equal(run.predict(some), regressor.predict(some))
    assert run.forecast(some).index.equals(some.index)
    assert (run.target, run.kind, run.unit) == ("views", "value", "log1p(views)")
    assert "views" in repr(run)
    assert all(isinstance(sentence, str) for sentence in run.warnings)


def test_intervals_hold_their_predictions(regressor: EngagementRegressor, posts: pd.DataFrame) -> None:
    value, (low, high) = regressor.predict(posts.head(20)), regressor.predict_interval(posts.head(20), level=0.8).T
    assert ((low <= value) & (value <= high)).all()
    with pytest.raises(ValueError, match=r"level=0\.5: there are intervals of 0\.8 and 0\.95"):
        regressor.predict_interval(posts.head(), level=0.5)
    with pytest.raises(ValueError, match="too few held-out posts"):  # 15 do not support it
        regressor.predict_interval(posts.head(), level=0.95)


def test_probabilities_add_up(
    regressor: EngagementRegressor, classifier: EngagementClassifier, posts: pd.DataFrame
) -> None:
    for model in (regressor, classifier):
        shares = model.predict_proba(posts.head(7))
        assert shares.shape == (7, 5)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert list(classifier.classes_) == list(CLASS_NAMES)
    np.testing.assert_array_equal(classifier.predict(posts.head(7)), classifier.classes_[shares.argmax(axis=1)])
    with pytest.raises(ValueError, match="classes, which have no interval"):
        classifier.run_.predict_interval(posts.head())


def test_counters_reach_no_model(regressor: EngagementRegressor, posts: pd.DataFrame) -> None:
    some = posts.head(6)
    other = some.assign(views=1.0, likes=10.0**9, comments=np.nan, shares=0.0)
    none = some.drop(columns=["views", "likes", "comments", "shares"])
    np.testing.assert_array_equal(regressor.predict(some), regressor.predict(other))
    np.testing.assert_array_equal(regressor.predict(some), regressor.predict(none))


def test_images_may_be_paths_bytes_or_images(regressor: EngagementRegressor, posts: pd.DataFrame, files: Path) -> None:
    given = posts.head(6)
    expected = regressor.predict(given)
    names = [f"{row}.jpg" for row in range(6)]
    np.testing.assert_array_equal(regressor.predict(given.assign(image=names), images_dir=files), expected)
    paths = [files / name for name in names]
    np.testing.assert_array_equal(regressor.predict(given.assign(image=paths)), expected)
    np.testing.assert_array_equal(regressor.predict(given.assign(image=[*paths[:3], *given["image"][3:]])), expected)
    images = [Image.open(io.BytesIO(data)) for data in given["image"]]
    np.testing.assert_array_equal(regressor.predict(given.assign(image=images)), expected)
    for picture in images:
        picture.load()  # decoded, it is written without loss; a file is decoded smaller, which differs a little
    np.testing.assert_allclose(regressor.predict(given.assign(image=images)), expected, atol=0.02)
    renamed = given.rename(columns={"image": "cover"})
    np.testing.assert_array_equal(regressor.predict(renamed, image_column="cover"), expected)
    assert not np.allclose(regressor.predict(given.drop(columns="image")), expected)


def test_a_missing_or_broken_image_is_said(regressor: EngagementRegressor, posts: pd.DataFrame) -> None:
    said = regressor.forecast(posts.head(3).assign(image=[b"no image", None, posts["image"][2]]))
    assert said["problem"].tolist() == ["not an image", "no image named", ""]
    said = regressor.forecast(posts.head(1).assign(image="/nowhere/a.jpg"))
    assert said["problem"].tolist() == ["no such file"]


def test_a_ranking_is_that_of_the_predictions(
    regressor: EngagementRegressor, classifier: EngagementClassifier, posts: pd.DataFrame
) -> None:
    variants = posts.iloc[20:25].set_axis(list("abcde"), axis=0)
    ranked = regressor.rank(variants)
    values = pd.Series(regressor.predict(variants), index=variants.index)
    assert list(ranked.index) == list(values.sort_values(ascending=False).index)
    np.testing.assert_allclose(ranked["value"], values[ranked.index], rtol=1e-6)
    assert ranked["rank"].tolist() == [1, 2, 3, 4, 5]
    assert ranked["p_best"].sum() == pytest.approx(1)
    assert ranked["title"].to_dict() == variants["title"].to_dict()
    assert classifier.rank(variants)["percentile"].is_monotonic_decreasing
    assert regressor.rank(variants.head(1))["p_best"].tolist() == [1.0]
    with pytest.raises(ValueError, match="at most 400"):
        regressor.rank(pd.concat([variants] * 81))


def test_an_explanation_is_of_one_post(regressor: EngagementRegressor, posts: pd.DataFrame) -> None:
    post = posts.iloc[[4]]
    found = regressor.explain(post)
    assert found.groupby("kind").size()[["region", "neighbour"]].tolist() == [36, 5]
    change = found[found["kind"] == "part"].set_index("name")["change"]
    without = regressor.predict(post)[0] - regressor.predict(post.assign(title=""))[0]
    assert change["title"] == pytest.approx(without, abs=1e-4)
    with pytest.raises(ValueError, match="these are 2"):
        regressor.explain(posts.head(2))


def test_a_score_is_of_the_posts_whose_outcome_is_known(
    regressor: EngagementRegressor, classifier: EngagementClassifier, posts: pd.DataFrame
) -> None:
    known = posts[posts["views"].notna()]
    truth, said = np.log1p(known["views"].to_numpy()), regressor.predict(known)
    expected = 1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert regressor.score(posts) == pytest.approx(expected, rel=1e-6)
    assert 0 <= classifier.score(posts) <= 1
    with pytest.raises(EngageError, match="column"):
        regressor.score(posts[["title", "image"]])


def test_an_evaluation_is_that_of_the_step(regressor: EngagementRegressor) -> None:
    figures = regressor.evaluate(resamples=0)
    own = figures[~figures["is_baseline"]].set_index("metric")["value"]
    held_out = regressor.dataset_.posts.query("split == 'test'")
    assert set(figures["rows"]) == {int(held_out["views"].notna().sum())}
    command = answer(
        "evaluate", regressor.run_.folder, "--data", regressor.dataset_.folder, "--resamples", 0, "--no-report"
    )
    assert own["r2"] == pytest.approx(command["runs"][0]["metrics"]["r2"]["value"])
    assert figures["is_baseline"].any()


def test_the_steps_are_functions(dataset: Dataset, pixelrec: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    same = engage_cli.prepare(pixelrec, tmp_path)
    assert same.fingerprint == dataset.fingerprint
    with pytest.raises(EngageError, match="finished data folder"):
        engage_cli.prepare(pixelrec, tmp_path)
    stores = engage_cli.embed(dataset, vision=encoders.vision, text=encoders.text).set_index("side")
    assert stores.loc[["vision", "text"], "dim"].gt(0).all()
    asked = {"kind": "classes", "target": "engagement", "members": "gp", "vision": encoders.vision, "text": encoders.text}
    run = engage_cli.train(dataset, folder=tmp_path / "run", **asked)
    assert (run.folder, run.kind) == (tmp_path / "run", "classes")
    figures = engage_cli.evaluate([run, tmp_path / "run"], dataset, resamples=0)
    assert figures.query("metric == 'kappa' and not is_baseline")["value"].between(-1, 1).all()
    with pytest.raises(ValueError, match="needs at least one run"):
        engage_cli.evaluate([], dataset)


def test_settings_go_round(tiny: dict[str, Any]) -> None:
    model = EngagementClassifier(target="likes", seed=7, **tiny)
    assert clone(model).get_params() == model.get_params() == {
        "target": "likes", "seed": 7, "split": "auto", "folder": None, "verbose": False, **tiny,
    }  # fmt: skip
    assert model.set_params(seed=8).seed == 8
    with pytest.raises(NotFittedError, match=r"call fit\(posts\) first"):
        model.predict(pd.DataFrame({"title": ["a"]}))


def test_posts_without_images_are_enough(posts: pd.DataFrame, tiny: dict[str, Any]) -> None:
    model = EngagementRegressor(**tiny).fit(posts.drop(columns="image"))
    titles = pd.DataFrame({"title": ["My cat in Oslo, week 3", "OMG 9 times the most AMAZING cat in Oslo!!"]})
    assert np.isfinite(model.predict(titles)).all()
    assert model.rank(titles)["p_best"].sum() == pytest.approx(1)


def test_a_temporary_folder_goes_with_its_estimator(posts: pd.DataFrame, tiny: dict[str, Any]) -> None:
    model = EngagementRegressor(**tiny).fit(posts.drop(columns="image"))
    folder = model.run_.folder
    assert folder.is_dir()
    del model
    assert not folder.exists()


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ([1, 2], TypeError, "pandas DataFrame"),
        (pd.DataFrame(), ValueError, "no rows"),
        (pd.DataFrame([["a", "b"]], columns=["title", "title"]), ValueError, "two columns are called 'title'"),
        (pd.DataFrame({1: ["a"]}), ValueError, "name of a column must be a text"),
        (pd.DataFrame({"title": ["a"], "image": [3]}), ValueError, "row 0: expected an image as a path, bytes or a PIL"),
        (pd.DataFrame({"title": ["a"], "cover": [b"a"]}), ValueError, "image_column='cover'"),
        (pd.DataFrame({"size": [3]}), EngageError, "no column with an image or a text"),
    ],
)
def test_what_are_no_posts_is_one_sentence(
    regressor: EngagementRegressor, wrong: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        regressor.run_.predict(wrong)


def test_wrong_settings_are_told_when_posts_are_there(posts: pd.DataFrame, tmp_path: Path) -> None:
    texts = posts.drop(columns="image")
    for wrong, words in (({"target": "fame"}, "unknown target 'fame'"), ({"members": "gp,llm"}, "unknown --members 'llm'")):
        with pytest.raises(EngageError, match=words):
            EngagementRegressor(**wrong).fit(texts)
    with pytest.raises(ValueError, match="no such column"):
        EngagementRegressor().fit(posts, image_column="cover")
    with pytest.raises(ValueError, match="no such folder"):
        EngagementRegressor().fit(posts, images_dir=tmp_path / "nowhere")
    with pytest.raises(EngageError, match="not a run folder"):
        load_run(tmp_path)


@pytest.mark.usefixtures("few_trees")
@pytest.mark.usefixtures("few_steps")
def test_the_notebook_runs(checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            for name, place in (("dinov2-small", checkpoints["vit"]), ("minilm", checkpoints["bert"])):
                source = source.replace(f'"{name}"', repr(place))
            exec(compile(source, str(NOTEBOOK), "exec"), names)
    assert isinstance(names["model"], EngagementRegressor)
    assert names["ranking"]["p_best"].sum() == pytest.approx(1)
