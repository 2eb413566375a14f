"""`engage predict`: one post, variants, a table, lines; what it says of how sure it is."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from openpyxl import load_workbook
from typer.testing import CliRunner

from engage_cli.config.general import CLASS_NAMES, EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.schema import OWN
from engage_cli.data.table_format import NUMBER, ColumnFormat
from engage_cli.errors import WrongCallError
from engage_cli.main import app
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.predict import MOST_VARIANTS, SURE_ENOUGH, answer_json
from engage_cli.steps.predict import _files as prediction_files
from engage_cli.steps.predict import table as step
from engage_cli.steps.predict._files import COUNTS, write_predictions
from engage_cli.steps.predict.lines import answer_lines
from engage_cli.steps.predict.requests import Reads, make_posts
from engage_cli.steps.predict.table import predict_table
from engage_cli.steps.predict.table_posts import predict_rows
from engage_cli.uncertainty.neighbours import Neighbours
from tests import forked
from tests.calls import answer, engage
from tests.damage import flip
from tests.test_bad_images import IMAGES

RUNS = ("regressor", "classifier", "catboost", "catboost-value", "gp")
SCHEMA = json.loads((Path(__file__).parent.parent / "engage_cli" / "schemas" / "predict.json").read_text())


@pytest.fixture(scope="module")
def covers(pixelrec: Path) -> list[Path]:
    return [pixelrec / "cover" / f"i{number}.jpg" for number in (5, 6, 7)]


def names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), [name for name, _ in pairs]
    return dict(pairs)


def test_the_types_of_the_answer_are_those_of_the_schema() -> None:
    parts = SCHEMA["$defs"]
    explained = parts["explanation"]["properties"]
    for typed, schema in (
        (answer_json.AnswerJson, SCHEMA),
        (answer_json.RankedJson, SCHEMA["properties"]["ranking"]["items"]),
        (answer_json.PostJson, parts["post"]),
        (answer_json.ExplanationJson, parts["explanation"]),
        (answer_json.PartJson, explained["without"]["items"]),
        (answer_json.WordJson, explained["words"]["items"]),
        (answer_json.NeighbourJson, explained["neighbours"]["items"]),
        (answer_json.ContributionsJson, explained["contributions"]),
    ):
        assert set(typed.__annotations__) == set(schema["required"]), typed


@pytest.mark.parametrize("run", RUNS)
def test_json_follows_the_schema(world: Path, covers: list[Path], run: str) -> None:
    folder = world / "runs" / run
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    json.loads(engage("predict", "--json-schema").stdout, object_pairs_hook=names_once)
    for more in (["--title", "a pizza"], ["--title", "a pizza", "--explain"], []):
        jsonschema.validate(answer("predict", covers[0], *more, "--run", folder), SCHEMA)
    variants = answer("predict", *covers[:2], "--title", "a pizza", "--title", "a cat", "--run", folder)
    jsonschema.validate(variants, SCHEMA)
    assert json.loads(engage("predict", "--json-schema").stdout) == SCHEMA


def test_the_schema_refuses_what_is_no_answer(world: Path, covers: list[Path]) -> None:
    found = answer("predict", covers[0], "--title", "a pizza", "--run", world / "runs" / "regressor")
    for key in ("interval_80", "interval_95", "value", "count", "neighbour_distance", "percentile", "explanation"):
        posts = [{name: value for name, value in found["posts"][0].items() if name != key}]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**found, "posts": posts}, SCHEMA)
    for path, wrong in ((("posts", 0, "class"), "Huge"), (("posts", 0, "percentile"), 101), (("kind",), "both")):
        broken = json.loads(json.dumps(found))
        place = broken
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


@pytest.mark.parametrize("run", RUNS)
def test_what_is_said_of_a_post_hangs_together(world: Path, covers: list[Path], run: str) -> None:
    (post,) = answer("predict", covers[0], "--title", "a pizza", "--run", world / "runs" / run)["posts"]
    assert sum(post["probabilities"].values()) == pytest.approx(1.0)
    if post["value"] is None:
        assert post["class"] == max(post["probabilities"], key=post["probabilities"].get)
        assert post["count"] is post["interval_80"] is post["interval_95"] is None
        return
    assert post["interval_95"] is None  # 15 validation posts do not support it
    low, high = post["interval_80"]
    assert low <= post["value"] <= high
    assert post["count"] == pytest.approx(max(0.0, np.expm1(post["value"])))


def test_variants_are_every_image_with_every_title_and_equal_single_answers(world: Path, covers: list[Path]) -> None:
    run = world / "runs" / "regressor"
    titles = ["a pizza", "the craziest cat EVER"]
    found = answer("predict", *covers, "--title", titles[0], "--title", titles[1], "--run", run)
    assert [(post["image"], post["title"]) for post in found["posts"]] == [
        (str(cover), title) for cover in covers for title in titles
    ]
    for post in found["posts"]:
        (alone,) = answer("predict", post["image"], "--title", post["title"], "--run", run)["posts"]
        assert alone["value"] == pytest.approx(post["value"], abs=1e-3)
        assert alone["interval_80"] == pytest.approx(post["interval_80"], abs=1e-3)


@pytest.mark.parametrize("run", RUNS)
def test_a_ranking_is_in_the_order_of_the_predictions(world: Path, covers: list[Path], run: str) -> None:
    found = answer("predict", *covers, "--title", "a pizza", "--title", "a cat", "--run", world / "runs" / run)
    posts = [found["posts"][entry["post"]] for entry in found["ranking"]]
    scores = [post["percentile"] if post["value"] is None else post["value"] for post in posts]
    assert scores == sorted(scores, reverse=True)
    assert sum(entry["p_best"] for entry in found["ranking"]) == pytest.approx(1.0)
    beats = np.array(found["beats"])
    np.testing.assert_allclose(beats + beats.T, 1.0)
    assert found["too_close_to_call"] == (beats[0, 1] < SURE_ENOUGH)
    assert ("too close to call" in found["verdict"]) == found["too_close_to_call"]
    shown = engage("predict", *covers, "--title", "a pizza", "--title", "a cat", "--run", world / "runs" / run)
    assert "6 variants" in shown.stdout
    assert ("Too close to call" in shown.stdout) == found["too_close_to_call"]


def test_a_post_unlike_all_training_posts_is_a_guess(world: Path, pixelrec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """15 validation posts cannot tell which distances are usual: no post is called far by them, only farther."""
    posts = load_dataset(world / "data").posts
    post = posts[(posts["split"] == "train") & (posts["image_problem"] == "") & (posts["title"] != "")].iloc[0]
    known = ["--title", post["title"], "--tags", post["tags"], "--description", post["description"]]
    strange = ["--title", "0x7f 0x45 0x4c 0x46 " * 20, *known[2:]]
    call = ["predict", pixelrec / "cover" / post["image"], "--run", world / "runs" / "regressor"]
    ((near,), (unsaid,)) = (answer(*call, *texts)["posts"] for texts in (known, strange))
    assert near["unlike_training_posts"] == unsaid["unlike_training_posts"] == []
    assert unsaid["neighbour_distance"] > near["neighbour_distance"]
    assert "A GUESS" not in engage(*call, *strange).stdout
    monkeypatch.setattr(Neighbours, "far", lambda self, vectors: {"title": np.array([True])})
    (far,) = answer(*call, *strange)["posts"]
    assert far["unlike_training_posts"] == ["title"]
    target = load_run(world / "runs" / "regressor").target
    low, high = far["interval_80"]
    assert low <= np.quantile(target.quantiles, 0.1) + 1e-6  # it holds what all training posts earned
    assert high >= np.quantile(target.quantiles, 0.9) - 1e-6
    assert (
        "A GUESS: its title is unlike the training posts, so the intervals were widened" in engage(*call, *strange).stdout
    )


def test_an_image_on_stdin_is_as_good_as_its_file(world: Path, covers: list[Path]) -> None:
    run = ["--title", "a pizza", "--run", str(world / "runs" / "regressor"), "--json"]
    piped = CliRunner().invoke(app, ["predict", "-", *run], input=covers[0].read_bytes())
    assert piped.exit_code == 0, piped.stderr
    (ours,), (theirs,) = json.loads(piped.stdout)["posts"], json.loads(engage("predict", covers[0], *run).stdout)["posts"]
    assert (ours.pop("image"), theirs.pop("image")) == ("-", str(covers[0]))
    assert ours == theirs
    for data, problem in ((b"", "empty"), (b"nothing", "not an image")):
        wrong = CliRunner().invoke(app, ["predict", "-", *run], input=data)
        assert (wrong.exit_code, wrong.stdout) == (1, "")
        assert f"the image on stdin: {problem}" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name an image"),
        (["a.jpg", "--table", "b.csv"], "--table and an image do not go together"),
        (["--table", "b.csv", "--title", "t"], "--table and --title do not go together"),
        (["--table", "b.csv"], "--table needs --out"),
        (["--tags", "food"], "name an image"),
        (["--table", "b.csv", "--serve-stdin"], "give one"),
        (["a.jpg", "--out", "c.csv"], "--out goes with --table"),
        (["a.jpg", "--engine", "ray"], "--engine and --workers go with --table"),
        (["--serve-stdin", "--explain"], "--serve-stdin and --explain do not go together"),
        (["a.jpg", "b.jpg", "--explain"], "--explain takes one post, and there are"),
        (["a.jpg", "--overlay", "o.png"], "--overlay needs --explain; give both"),
        (["a.jpg", "--title", "t", "--title", "t"], "given twice"),
        ([f"{number}.jpg" for number in range(MOST_VARIANTS + 1)], "variants"),
    ],
)
def test_wrong_calls(arguments: list[str], words: str) -> None:
    result = engage("predict", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


# --- tables ---


@pytest.fixture
def table(pixelrec: Path, tmp_path: Path) -> Path:
    """The sample's posts under other column names, with counters that no model may see."""
    posts = pd.read_csv(next(pixelrec.rglob("*item_info*.csv")), dtype=str, keep_default_na=False)
    posts = posts.rename(columns={"item_id": "post", "title": "headline", "view_number": "views"})
    posts[["post", "headline", "tag", "description", "views"]].to_csv(tmp_path / "posts.csv", index=False)
    return tmp_path / "posts.csv"


@pytest.mark.parametrize("run", RUNS)
def test_a_table_gives_what_single_posts_give(world: Path, pixelrec: Path, table: Path, run: str, tmp_path: Path) -> None:
    folder, out = world / "runs" / run, tmp_path / "out.parquet"
    call = ["--table", table, "--map", "id=post,title=headline", "--images-dir", pixelrec / "cover", "--run", folder]
    summary = answer("predict", *call, "--out", out)
    found, posts = pd.read_parquet(out), pd.read_csv(table, dtype=str, keep_default_na=False)
    assert summary["rows"] == len(found) == len(posts) == 150
    assert found["id"].tolist() == posts["post"].tolist()
    value = run in ("regressor", "catboost-value", "gp")
    bounds = [f"{share}_{end}" for share in (80, 95) for end in ("low", "high")]
    shares = [f"p_{name.lower().replace(' ', '_')}" for name in CLASS_NAMES]
    assert list(found.columns) == [
        "id", "title", "count", *(f"count_{bound}" for bound in bounds), "is_guess", "value", "percentile",
        *(f"interval_{bound}" for bound in bounds), "class", *shares, "neighbour_distance", "problem",
    ]  # fmt: skip
    assert found["title"].tolist() == posts["headline"].tolist()
    for name in ("count", "count_80_low", "count_80_high", "value", "interval_80_low", "interval_80_high"):
        assert found[name].notna().all() == found[name].notna().any() == value
    assert found[["count_95_low", "interval_95_high"]].isna().all(axis=None)  # too few validation posts
    assert found["is_guess"].sum() == len(found.query("is_guess")) == summary["far"]
    if value:
        for counts, values in (
            ("count", "value"),
            ("count_80_low", "interval_80_low"),
            ("count_80_high", "interval_80_high"),
        ):
            np.testing.assert_allclose(found[counts], np.maximum(0, np.expm1(found[values])), rtol=1e-9)
    for row in (4, 12):
        post = posts.iloc[row]
        more = ["--tags", post["tag"], "--description", post["description"], "--run", folder]
        (alone,) = answer("predict", pixelrec / "cover" / f"{post['post']}.jpg", "--title", post["headline"], *more)[
            "posts"
        ]
        assert found["percentile"][row] == pytest.approx(alone["percentile"], abs=0.3)
        assert bool(found["is_guess"][row]) == bool(alone["unlike_training_posts"])
        assert found[shares].iloc[row].tolist() == pytest.approx(list(alone["probabilities"].values()), abs=5e-3)
        if value:
            assert found["value"][row] == pytest.approx(alone["value"], abs=2e-3)
    as_csv = answer("predict", *call, "--out", tmp_path / "out.csv")
    read = pd.read_csv(as_csv["out"], keep_default_na=False)
    np.testing.assert_allclose(read["percentile"], found["percentile"], rtol=1e-4)
    assert list(read.columns) == list(found.columns)
    if not value:
        assert (read[["count", "value", "interval_80_low", "count_95_high"]] == "").all(axis=None)


def test_counters_in_a_table_change_nothing(world: Path, pixelrec: Path, table: Path, tmp_path: Path) -> None:
    run, images = world / "runs" / "catboost-value", pixelrec / "cover"
    posts = pd.read_csv(table, dtype=str, keep_default_na=False)
    posts.assign(views="7", likes="9").to_csv(tmp_path / "other.csv", index=False)
    posts.drop(columns="views").to_csv(tmp_path / "without.csv", index=False)
    found = []
    for path in (table, tmp_path / "other.csv", tmp_path / "without.csv"):
        out = tmp_path / f"{path.stem}-out.csv"
        predict_table(path, out=out, images_dir=images, mapping={"id": "post", "title": "headline"}, run=run)
        found.append(out.read_text())
    assert found[0] == found[1] == found[2]


@pytest.fixture
def bad_images(tmp_path: Path) -> Path:
    """A folder with every image of IMAGES."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, (data, _) in IMAGES.items():
        if name and name not in ("missing.jpg", "link.jpg", "circle.jpg"):
            (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    return folder


@pytest.mark.parametrize("run", RUNS)
def test_bad_images_are_rows_with_a_problem_and_every_row_is_predicted(
    world: Path, bad_images: Path, run: str, tmp_path: Path
) -> None:
    names, problems = list(IMAGES), [problem for _, problem in IMAGES.values()]
    rows = pd.DataFrame({"id": [f"p{n}" for n in range(len(names))], "image": names, "title": "a pizza"})
    rows.to_csv(tmp_path / "posts.csv", index=False)
    call = ["--table", tmp_path / "posts.csv", "--images-dir", bad_images, "--run", world / "runs" / run]
    summary = answer("predict", *call, "--out", tmp_path / "out.csv")
    found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert found["problem"].tolist() == problems
    assert np.isfinite(found["percentile"]).all()
    without = found["percentile"][[bool(problem) for problem in problems]]
    assert without.nunique() == 1  # each is predicted as a post without a cover
    listed = pd.read_csv(summary["problems_file"])
    expected = [(n + 1, f"p{n}", f"image: {problem}") for n, problem in enumerate(problems) if problem]
    assert list(listed.itertuples(index=False, name=None)) == expected
    assert summary["problems"] == len(expected)


@pytest.mark.parametrize("name", [name for name, (_, problem) in IMAGES.items() if problem and name])
def test_one_bad_image_is_one_sentence(world: Path, bad_images: Path, name: str) -> None:
    if name in ("../outside.jpg", "link.jpg"):
        return  # a path that the user gives may lie anywhere
    result = engage("predict", bad_images / name, "--title", "a", "--run", world / "runs" / "regressor")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


def killed_in_the_second_part(rows: str, *arguments: str) -> None:
    predict_rows, parts = step.predict_rows, iter(range(1, 4))

    def predict_or_die(*given: Any) -> pd.DataFrame:
        if next(parts) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return predict_rows(*given)

    step.PART_ROWS, step.predict_rows = int(rows), predict_or_die
    forked.command(*arguments)


def test_a_killed_table_goes_on_and_gives_the_same(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, run = 20, world / "runs" / "catboost-value"
    posts = pd.DataFrame(
        {"id": [f"p{n}" for n in range(3 * rows)], "title": [f"part {n} of a cat" for n in range(3 * rows)]}
    )
    posts.to_csv(tmp_path / "posts.csv", index=False)
    monkeypatch.setattr(step, "PART_ROWS", rows)
    call = [rows, "predict", "--table", "posts.csv", "--out", "out.csv", "--run", run]
    ended = forked.run(killed_in_the_second_part, *call, cwd=tmp_path)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (tmp_path / ".out.csv.parts" / "part-00000.json").is_file()
    assert not (tmp_path / "out.csv").exists()
    again = predict_table(tmp_path / "posts.csv", out=tmp_path / "out.csv", run=run)
    assert again.went_on == rows
    whole = predict_table(tmp_path / "posts.csv", out=tmp_path / "whole.csv", run=run)
    assert whole.went_on == 0
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not (tmp_path / ".out.csv.parts").exists()


@pytest.mark.parametrize("damage", ["a byte", "cut", "the record", "another's record"])
def test_a_damaged_part_is_predicted_anew(
    damage: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "posts.csv").write_text("title\n" + "".join(f"title {number} of a cat\n" for number in range(6)))
    run, table, asked = world / "runs" / "catboost-value", tmp_path / "posts.csv", list[int]()
    monkeypatch.setattr(step, "PART_ROWS", 2)
    predict_table(table, out=tmp_path / "whole.csv", run=run)

    def killed_in_the_third(asked_run: Any, posts: pd.DataFrame, images_dir: Path | None) -> pd.DataFrame:
        asked.append(len(posts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return predict_rows(asked_run, posts, images_dir)

    monkeypatch.setattr(step, "predict_rows", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        predict_table(table, out=tmp_path / "out.csv", run=run)
    part = tmp_path / ".out.csv.parts" / "part-00001.parquet"
    if damage == "a byte":
        flip(part, part.stat().st_size // 3, 2)
    elif damage == "cut":
        part.write_bytes(part.read_bytes()[:50])
    elif damage == "the record":
        part.with_suffix(".json").write_text("{")
    else:
        part.with_suffix(".json").write_bytes((part.parent / "part-00000.json").read_bytes())
    assert predict_table(table, out=tmp_path / "out.csv", run=run).went_on == 2
    assert len(asked) == 5
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not part.parent.exists()


def test_parts_of_another_table_are_not_gone_on_with(world: Path, tmp_path: Path) -> None:
    parts = tmp_path / ".out.csv.parts"
    parts.mkdir()
    (parts / "plan.json").write_text('{"call": "another"}')
    (parts / "part-00000.parquet").write_bytes(b"nothing")
    (tmp_path / "posts.csv").write_text("id,title\na,one title\n")
    summary = predict_table(tmp_path / "posts.csv", out=tmp_path / "out.csv", run=world / "runs" / "regressor")
    assert (summary.rows, summary.went_on) == (1, 0)


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("id,views\na,1\n", "posts.csv", "no column with an image or a text"),
        ("", "posts.csv", "is empty"),
        ("id,title\n,x\n", "posts.csv", "the id (column 'id') is empty in 1 of 1 rows, first in row 1"),
        ("id,title\na,x\n", "posts.xls", "unknown kind of table"),
    ],
)
def test_bad_tables_are_one_sentence(world: Path, tmp_path: Path, text: str, name: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    out = tmp_path / "out.csv"
    result = engage("predict", "--table", tmp_path / name, "--out", out, "--run", world / "runs" / "regressor")
    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert not out.exists()
    refused = engage(
        "predict", "--table", tmp_path / name, "--out", tmp_path / "out.txt", "--run", world / "runs" / "regressor"
    )
    assert refused.exit_code == 2
    assert "name the .csv or the .parquet" in refused.stderr


def test_nothing_of_the_users_is_written_over(world: Path, tmp_path: Path) -> None:
    table, run = tmp_path / "n.csv", world / "runs" / "regressor"
    table.write_text("id,title\na,one title\n")
    (tmp_path / "out.csv.problems.csv").write_text("mine\n")
    (tmp_path / "folder.csv").mkdir()
    twin = tmp_path / "x.csv.problems.csv"
    twin.write_text("id,title\na,one title\n")
    for path, out, words in (
        (table, table, "is the table itself and would be overwritten; name another file"),
        (twin, tmp_path / "x.csv", "is the table itself and would be overwritten; name another file"),
        (table, tmp_path / "out.csv", "is another file"),
        (table, tmp_path / "folder.csv", "file to write"),
    ):
        result = engage("predict", "--table", path, "--out", out, "--run", run)
        assert (result.exit_code, result.stdout) == (2, "")
        assert words in result.stderr
    assert table.read_text() == twin.read_text() == "id,title\na,one title\n"
    assert (tmp_path / "out.csv.problems.csv").read_text() == "mine\n"


def test_two_calls_do_not_write_one_output(world: Path, tmp_path: Path) -> None:
    (tmp_path / "posts.csv").write_text("id,title\na,one title\n")
    with FileLock(tmp_path / ".out.csv.lock"):
        result = engage(
            "predict", "--table", tmp_path / "posts.csv", "--out", tmp_path / "out.csv", "--run", world / "runs" / "gp"
        )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "another process is writing" in result.stderr


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "target.json", "calibration.json", "neighbours.safetensors"])
@pytest.mark.parametrize("content", ["", "{}", "[1", None])
def test_a_damaged_run_is_one_sentence(
    world: Path, covers: list[Path], name: str, content: str | None, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(world / "runs" / "regressor", run)
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_text(content)
    result = engage("predict", covers[0], "--title", "a", "--run", run)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(run) in result.stderr


def test_equal_variants_are_refused_however_they_are_written(world: Path, covers: list[Path]) -> None:
    result = engage("predict", covers[0], "--title", "a b", "--title", " a b", "--run", world / "runs" / "regressor")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "equal except for spaces" in result.stderr


@pytest.fixture(scope="module")
def mixed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """One table of titles that a spreadsheet would run, break on, or cut, as every kind of file that is written."""
    folder = tmp_path_factory.mktemp("mixed")
    titles = ["=1+1", "+4", "-2", "@SUM(A1)", "#N/A", "a bell\x07 and more", "x" * 40_000, "", "a plain one"]
    with (folder / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "title"), *((f"p{n}", title) for n, title in enumerate(titles))])
    found = {}
    for suffix in ("csv", "parquet", "xlsx", "jsonl"):
        out = folder / f"out.{suffix}"
        summary = predict_table(folder / "posts.csv", out=out, run=world / "runs" / "regressor")
        assert summary.rows == len(titles)
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}.get(suffix, read_jsonl)
        found[suffix] = read(out)
    found["titles"] = pd.DataFrame({"title": titles})
    found["sheet"] = load_workbook(folder / "out.xlsx")["predictions"]
    return found


def read_jsonl(path: Path) -> pd.DataFrame:
    lines = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(line["count_95_low"] is None for line in lines)
    return pd.DataFrame(lines)


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "jsonl"])
def test_every_kind_of_file_says_the_same(mixed: dict[str, pd.DataFrame], suffix: str) -> None:
    found, expected = mixed[suffix], mixed["parquet"]
    assert list(found.columns) == list(expected.columns)
    assert found["id"].tolist() == expected["id"].tolist()
    assert found["is_guess"].tolist() == expected["is_guess"].tolist()
    assert found["class"].tolist() == expected["class"].tolist()
    for name in ("value", "percentile", "interval_80_low", "p_high", "neighbour_distance"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)
    for name in ("count", "count_80_low", "count_80_high"):  # of four digits or more in .csv
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=1e-3)
    assert found[["count_95_low", "count_95_high", "interval_95_low"]].isna().all(axis=None)


def test_texts_in_a_sheet_are_texts(mixed: dict[str, Any]) -> None:
    sheet, titles = mixed["sheet"], mixed["titles"]["title"].tolist()
    head = [cell.value for cell in sheet[1]]
    column = head.index("title") + 1
    for row, title in enumerate(titles, start=2):
        cell = sheet.cell(row, column)
        shown = title.replace("\x07", "\ufffd")[:32_767] or None
        assert cell.value == shown
        assert cell.data_type == ("s" if shown else "n")  # "f" is a formula, "e" an error
        assert cell.quotePrefix == bool(shown)
    assert sheet.cell(2, head.index("count") + 1).number_format == "#,##0"
    assert sheet.freeze_panes == "B2"


def test_counts_in_a_csv_are_never_in_powers_of_ten(tmp_path: Path) -> None:
    counts = [1_234_567.8, 123_456_789.0, 7_512.34, 890.44, 0.5, 0.0, math.nan]
    rows = pd.DataFrame(dict.fromkeys(COUNTS, counts))
    write_predictions(tmp_path / "out.csv", rows)
    shown = [line.split(",")[0] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert shown == ["1234568", "123456789", "7512", "890.4", "0.5000", "0.000", ""]


def test_a_sheet_needs_its_extra_and_holds_so_many_rows(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "posts.csv").write_text("id,title\na,one\nb,two\n")
    call = ["predict", "--table", tmp_path / "posts.csv", "--out", tmp_path / "out.xlsx", "--run", world / "runs" / "gp"]
    monkeypatch.setattr(prediction_files, "MOST_SHEET_ROWS", 1)
    result = engage(*call)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "a sheet holds 1 rows, and there are 2; name a .csv" in result.stderr
    monkeypatch.setattr(prediction_files.importlib.util, "find_spec", lambda name: None)
    result = engage(*call)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("writing .xlsx needs openpyxl; install it with: pip install 'engage-cli[excel]'\n")
    assert [path.name for path in tmp_path.iterdir()] == ["posts.csv"]


# --- titles alone ---


@pytest.fixture(scope="module")
def of_texts(world: Path, encoders: EncoderConfig) -> Path:
    """A run that reads no cover."""
    names = ["--vision", encoders.vision, "--text", encoders.text, "--data", world / "data"]
    run = world / "runs" / "texts"
    answer("train-regressor", "--blocks", "title,context", "--epochs", 3, *names, "--run", run)
    return run


def test_titles_alone_are_compared_where_no_cover_was_seen(of_texts: Path, covers: list[Path]) -> None:
    titles = ["--title", "a pizza", "--title", "the craziest cat EVER", "--run", of_texts]
    found, with_cover = answer("predict", *titles), answer("predict", covers[0], *titles)
    jsonschema.validate(found, SCHEMA)
    assert [post["image"] for post in (*found["posts"], *found["ranking"])] == [None] * 4
    assert [post["value"] for post in found["posts"]] == [post["value"] for post in with_cover["posts"]]
    assert found["beats"] == with_cover["beats"]
    shown = engage("predict", *titles).stdout
    assert "2 variants" in shown
    assert "“a pizza”" in shown
    one = engage("predict", *titles[:2], "--explain", "--run", of_texts)
    assert one.exit_code == 0
    assert one.stdout.startswith("“a pizza”\n")
    lines = [{"title": "a pizza"}, {"titles": ["a pizza", "the craziest cat EVER"]}, {"tags": "food"}]
    alone, both, nothing = answer_lines(io.StringIO("\n".join(map(json.dumps, lines))), run=of_texts)
    # What a batch of one gives in bf16 differs in its last digits.
    assert alone["posts"][0]["value"] == pytest.approx(found["posts"][0]["value"], abs=1e-3)
    assert alone["ranking"] is alone["beats"] is alone["too_close_to_call"] is alone["verdict"] is None
    assert both == found
    assert nothing == {"error": "no image and no title is given; give an image file, title, or both"}


@pytest.mark.parametrize("run", RUNS)
def test_titles_alone_are_refused_by_a_run_that_has_seen_covers(world: Path, run: str) -> None:
    folder = world / "runs" / run
    result = engage("predict", "--title", "a pizza", "--run", folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"name an image: {folder} was trained on posts with covers" in result.stderr
    (line,) = answer_lines(io.StringIO('{"title": "a pizza"}'), run=folder)
    assert line["error"].startswith("name an image")


# --- lines ---


def test_lines_answer_lines(world: Path, covers: list[Path]) -> None:
    run = world / "runs" / "regressor"
    image = str(covers[0])
    requests = [
        {"id": 1, "image": image, "title": "a pizza"},
        {"id": "two", "images": [image, str(covers[1])], "titles": ["a", "b"]},
        {"id": 3, "image": "nowhere.jpg"},
        {"image": image, "unknown": 1},
        {"id": 5, "image": 7},
        {"id": float("inf"), "image": "a\0b"},
        ["no object"],
    ]
    lines = [*map(json.dumps, requests), "no json", "", "[" * 100_000]
    found = list(answer_lines(io.StringIO("\n".join(lines)), run=run))
    assert len(found) == 9
    (alone,) = answer("predict", image, "--title", "a pizza", "--run", run)["posts"]
    assert found[0].pop("id") == 1
    assert found[0]["posts"] == [alone]
    assert found[1]["id"] == "two"
    assert len(found[1]["ranking"]) == 4
    assert found[2] == {
        "id": 3,
        "error": "nowhere.jpg: no such file; check its name, and put a title of several words in quotes",
    }
    assert found[3]["error"].startswith("unknown field 'unknown'")
    assert found[4] == {"id": 5, "error": '"image" is a text'}
    assert "path with a NUL byte" in found[5]["error"]
    assert [one["error"] for one in found[6:]] == [
        "the line is not a JSON object; write one object a line",
        "the line is not JSON; write one object a line",
        "the line is not JSON; write one object a line",
    ]


def test_a_line_is_answered_before_the_next_is_given(world: Path, covers: list[Path], tmp_path: Path) -> None:
    (asked, asks), (answered, answers) = os.pipe(), os.pipe()
    call = ["predict", "--serve-stdin", "--run", world / "runs" / "regressor"]
    said = tmp_path / "stderr.txt"
    with open(said, "wb") as errors:
        process = forked.Forked(forked.command, *call, streams=(asked, answers, errors.fileno()))
    os.close(asked)
    os.close(answers)
    with open(answered) as told:
        with open(asks, "w") as asking:
            for number in range(3):
                print(json.dumps({"id": number, "image": str(covers[number]), "title": "a"}), file=asking, flush=True)
                answered_line = told.readline()
                assert answered_line, (
                    f"it ended with {process.wait()} before line {number} was answered: {said.read_text()}"
                )
                line = json.loads(answered_line)
                jsonschema.validate(line, SCHEMA)
                assert line["id"] == number
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("decimal", "given", "number"),
    [(",", "1,5", 1.5), (",", "1.234,5", 1234.5), (".", "1,234.5", 1234.5), (",", 1.5, 1.5), ("", "1.5", 1.5)],
)
def test_numbers_are_read_as_the_runs_own_table_was(decimal: str, given: str | float, number: float) -> None:
    posts = _with_length(decimal, given)
    assert posts[OWN + "length"].tolist() == [number]


def test_a_number_that_the_runs_own_table_would_not_have_is_refused() -> None:
    with pytest.raises(WrongCallError, match=r"is not a number with a comma before its decimals"):
        _with_length(",", "1.5")


def _with_length(decimal: str, given: str | float) -> pd.DataFrame:
    column = OWN + "length"
    table = {column: ColumnFormat(name="length", kind=NUMBER, decimal=decimal)}
    reads = Reads(run="r", columns={column: NUMBER}, date=False, table=table)
    texts = {"tags": "", "description": "", "posted_at": ""}
    return make_posts(reads, [("", "a title")], **texts, columns={"length": given}, reporter=SilentReporter())
