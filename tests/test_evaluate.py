"""`engage evaluate`: what it writes, groups of posts, and ensembles that are runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.evaluation.baselines import MOST_LEARNED
from engage_cli.evaluation.results import Score
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.evaluate import evaluate
from engage_cli.steps.train.ensemble import combine
from tests.calls import answer, engage
from tests.test_cli import files_in


@pytest.fixture
def runs(world: Path, tmp_path: Path) -> Path:
    """Copies of the world's runs, to write into."""
    shutil.copytree(world / "runs", tmp_path / "runs", ignore=shutil.ignore_patterns(".*"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def second(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another run of the target of catboost-value, to be stacked with it."""
    run = tmp_path_factory.mktemp("second") / "words"
    more = ["--as", "value", "--target", "views", "--features", "title_statistics,tags", "--iterations", 20]
    answer("train-catboost", "--data", world / "data", *more, "--run", run)
    return run


@pytest.mark.usefixtures("pixels")
def test_one_run_gets_a_page_plots_and_a_card_of_its_own(world: Path, runs: Path) -> None:
    run = runs / "regressor"
    before = files_in(run)
    found = answer("evaluate", run, "--data", world / "data", "--resamples", 10, "--by", "title")
    assert found["written"] == [str(run / "report.html"), str(run / "README.md")]
    plots = {f"plots/evaluation-{name}.png" for name in ("predicted", "misses", "coverage", "slices")}
    assert files_in(run) - before == {"report.html", "README.md", "test.json", *plots}
    card, page = (run / "README.md").read_text(), (run / "report.html").read_text()
    r2 = found["runs"][0]["metrics"]["r2"]["value"]
    for text in (card, page):
        assert f"{r2:.3f}".replace("-", "−") in text
        assert "tf-idf + ridge" in text
    assert "http://" not in page
    assert "<script" not in page


def test_several_runs_share_a_page_and_validation_writes_no_card(world: Path, runs: Path, tmp_path: Path) -> None:
    both = [runs / "regressor", runs / "classifier"]
    before = [files_in(run) for run in both]
    call = ["evaluate", *both, "--data", world / "data", "--resamples", 5]
    found = answer(*call, "--split", "validation")
    assert found["written"] == [str(runs / "report-validation.html")]
    named = ["--split", "validation", "--report", tmp_path / "deep" / "page.html"]
    assert answer(*call[:2], *call[3:], *named)["written"] == [str(tmp_path / "deep" / "page.html")]
    assert [files_in(run) for run in both] == before
    refused = engage(*call, "--report", tmp_path)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert ": name an .html file" in refused.stderr


def test_groups_of_posts_are_scored_by_their_own_rows(world: Path) -> None:
    dataset = load_dataset(world / "data")
    found = evaluate([world / "runs" / "regressor"], dataset=dataset, by=["tag", "image"], num_resamples=5)
    (score,) = found.runs
    posts = dataset.posts.iloc[score.places]
    by = {name: [one for one in score.slices if one.by == name] for name in ("tag", "image", "prediction")}
    assert {one.name: one.rows for one in by["tag"]} == posts["tags"].value_counts().to_dict()
    for slices in by.values():
        assert sum(one.rows for one in slices) == score.rows
    with_cover = next(one for one in by["image"] if one.name == "with a cover")
    rows = (posts["image_hash"] != "").to_numpy()
    true, predicted = score.true[rows], score.predicted[rows]
    r2 = 1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    assert with_cover.metrics["r2"]["value"] == pytest.approx(r2)
    refused = engage("evaluate", world / "runs" / "regressor", "--data", world / "data", "--by", "moon", "--no-report")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "unknown --by 'moon'; give one of: tag, author" in refused.stderr


def test_coverage_is_of_the_intervals_that_predict_gives(world: Path) -> None:
    dataset = load_dataset(world / "data")
    (score,) = evaluate([world / "runs" / "regressor"], dataset=dataset, num_resamples=0).runs
    assert set(score.intervals) == {"80"}  # 15 validation posts do not support more
    for share in score.intervals:
        low, high = score.intervals[share]
        inside = ((low <= score.true) & (score.true <= high)).mean()
        assert score.metrics[f"coverage_{share}"]["value"] == pytest.approx(inside)
        assert score.metrics[f"width_{share}"]["value"] == pytest.approx((high - low).mean())
    row = int(np.flatnonzero((dataset.posts.iloc[score.places]["image_problem"] == "").to_numpy())[0])
    post = dataset.posts.iloc[score.places[row]]
    texts = ["--title", post["title"], "--tags", post["tags"], "--description", post["description"]]
    image = Path(str(dataset.images_of(post["source"]))) / post["image"]
    (said,) = answer("predict", image, *texts, "--run", world / "runs" / "regressor")["posts"]
    assert said["interval_80"] == pytest.approx([float(end[row]) for end in score.intervals["80"]], abs=1e-2)


def test_an_ensemble_is_a_run_that_needs_no_other(world: Path, second: Path, pixelrec: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(world / "runs" / "catboost-value", first)
    members, data = [first, second], world / "data"
    found = answer(
        "evaluate", *members, "--ensemble", "--run", tmp_path / "both", "--data", data, "--resamples", 20, "--no-report"
    )
    assert [score["run"] for score in found["runs"]] == [*map(str, members), str(tmp_path / "both")]
    saved = json.loads((tmp_path / "both" / "ensemble.json").read_text())
    assert list(saved["weights"]) == ["1-first", "2-words"]
    assert all(weight >= 0 for weight in saved["weights"].values())
    scores = {score["run"]: score for score in found["runs"]}
    ensemble = _evaluate(tmp_path / "both", data)
    parts = [_evaluate(member, data) for member in members]
    expected = saved["offset"] + sum(w * part.predicted for w, part in zip(saved["weights"].values(), parts, strict=True))
    np.testing.assert_allclose(ensemble.predicted, expected)
    assert scores[str(tmp_path / "both")]["metrics"]["coverage_80"]["value"] > 0.5
    shutil.rmtree(first)
    image = pixelrec / "cover" / "i5.jpg"
    call = ["predict", image, "--title", "the best pizza", "--run", tmp_path / "both"]
    (post,) = answer(*call, "--explain")["posts"]
    assert post["interval_80"][0] < post["value"] < post["interval_80"][1]
    assert {part["part"] for part in post["explanation"]["without"]} == {"image", "title"}
    assert len(post["explanation"]["neighbours"]) == 5
    assert "Next" in engage("evaluate", tmp_path / "both", "--data", data, "--resamples", 5).stdout
    card = (tmp_path / "both" / "README.md").read_text()
    assert "ensemble" in card


def _evaluate(run: Path, data: Path) -> Score:
    return evaluate([run], dataset=load_dataset(data), num_resamples=0).runs[0]


def test_an_ensemble_of_classes_predicts_probabilities(world: Path, tmp_path: Path) -> None:
    members = [world / "runs" / "classifier", world / "runs" / "catboost"]
    run = combine(members, dataset=load_dataset(world / "data"), run=tmp_path / "both")
    weights = json.loads((tmp_path / "both" / "ensemble.json").read_text())["weights"]
    assert min(weights.values()) >= 0 < max(weights.values())
    assert run.kind == "classes"
    score = _evaluate(tmp_path / "both", world / "data")
    np.testing.assert_allclose(score.predicted.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["regressor"], "name two or more"),
        (["regressor", "regressor"], "name two or more"),
        (["regressor", "classifier"], "only runs of one target and kind"),
        (["regressor", "catboost-value"], "only runs of one target and kind"),
    ],
)
def test_ensembles_that_make_no_sense_are_refused(world: Path, tmp_path: Path, names: list[str], words: str) -> None:
    members = [world / "runs" / name for name in names]
    result = engage("evaluate", *members, "--ensemble", "--run", tmp_path / "run", "--data", world / "data", "--no-report")
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_ensemble_carries_the_mark_of_a_leaky_member(world: Path, checkpoints: dict[str, str], tmp_path: Path) -> None:
    leaky, clip = tmp_path / "leaky", ["--vision", checkpoints["clip"], "--text", checkpoints["clip"]]
    common = ["--data", world / "data", "--as", "value", "--target", "views", "--iterations", 10]
    answer("train-catboost", *common, "--features", "study", *clip, "--run", leaky)
    assert load_run(leaky).leaky
    run = combine([world / "runs" / "catboost-value", leaky], dataset=load_dataset(world / "data"), run=tmp_path / "both")
    assert run.leaky
    assert any("LEAKY" in mark for mark in run.marks)
    page = tmp_path / "page.html"
    result = engage("evaluate", tmp_path / "both", "--data", world / "data", "--resamples", 5, "--report", page)
    assert "LEAKY" in result.stdout
    assert "LEAKY" in page.read_text()
    assert "LEAKY" in (tmp_path / "both" / "README.md").read_text()


def test_wrong_calls_of_evaluate() -> None:
    for arguments, words in (
        (
            ["a", "--run", "b"],
            "--run names the folder of a new ensemble and needs --ensemble; to score runs, name them without --run",
        ),
        (["a", "--report", "b.html", "--no-report"], "--report and --no-report exclude each other; give one"),
    ):
        result = engage("evaluate", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr


def test_of_several_paths_those_that_are_no_finished_run_are_passed_over(world: Path, runs: Path) -> None:
    """As `runs/*` gives them, once a page lies there too."""
    (runs / "report.html").write_text("a page")
    (runs / "unfinished").mkdir()
    (runs / "unfinished" / "run.json").write_text('{"command": "train-gp"}')
    paths = [runs / "gp", runs / "report.html", runs / "unfinished", runs / "." / "gp"]
    result = engage("evaluate", *paths, "--data", world / "data", "--resamples", 2, "--no-report", "--json")
    assert [run["run"] for run in json.loads(result.stdout)["runs"]] == [str(runs / "gp")]
    assert "report.html (no run)" in result.stderr
    assert "unfinished (an unfinished run)" in result.stderr
    assert engage("evaluate", runs / "report.html", runs / "unfinished", "--data", world / "data").exit_code == 1


def test_validation_posts_do_not_tell_how_sure_a_run_may_be(world: Path) -> None:
    call = [
        "evaluate",
        world / "runs" / "gp",
        "--data",
        world / "data",
        "--split",
        "validation",
        "--resamples",
        2,
        "--no-report",
    ]
    found = answer(*call)
    assert not {"coverage_80", "pair_ece"} & set(found["runs"][0]["metrics"])
    assert "optimistic figures" in found["note"]
    assert "optimistic figures" in engage(*call).stdout


def test_baselines_that_learned_from_some_posts_alone_say_so(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_LEARNED, "value", 50)
    call = ["evaluate", world / "runs" / "gp", "--data", world / "data", "--resamples", 2, "--no-report"]
    assert "learned from 50 of the" in answer(*call)["note"]
    monkeypatch.setitem(MOST_LEARNED, "value", 10_000)
    assert answer(*call)["note"] is None
