"""What was not named and can be found: a run's own data folder, and a folder of runs below the working folder."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError
from engage_cli.runs.run_folder import newest_run
from engage_cli.steps.evaluate.data_folder import open_data
from tests.calls import engage


def test_a_run_is_evaluated_on_the_data_beside_its_folder(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = engage("evaluate", world / "runs" / "regressor", "--resamples", 0, "--no-report")
    assert result.exit_code == 0, result.stderr
    assert f"data: {world / 'data'} (what {world / 'runs' / 'regressor'} was trained on" in result.stderr


def test_data_that_the_run_was_not_trained_on_is_not_taken(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    run = tmp_path / "engage-quickstart" / "runs" / "regressor"
    shutil.copytree(world / "runs" / "regressor", run)
    with pytest.raises(EngageError, match="the data folder data does not exist"):
        open_data(Path("data"), run=run, say=said.append)
    with pytest.raises(EngageError, match="the data folder data does not exist"):
        open_data(Path("data"), run=None, say=said.append)
    assert engage("prepare", *_other_posts(), "--data", tmp_path / "engage-quickstart" / "data").exit_code == 0
    with pytest.raises(EngageError, match="the data folder data does not exist"):
        open_data(Path("data"), run=run, say=said.append)
    assert said == []
    shutil.copytree(world / "data", "data")  # the default fits: it is taken without a word
    assert open_data(Path("data"), run=run, say=said.append).folder == Path("data")
    assert said == []
    assert load_dataset(Path("data")).fingerprint != load_dataset(tmp_path / "engage-quickstart" / "data").fingerprint


def _other_posts() -> list[str]:
    words = [f"{'abcdefgh'[number % 8] * 5} {'klmno'[number // 8] * 4} story" for number in range(40)]
    rows = [f"{number},{words[number]},{number * 7 % 40}" for number in range(40)]
    Path("posts.csv").write_text("\n".join(["id,title,views", *rows]))
    return ["posts.csv", "--no-images"]


@pytest.mark.parametrize("place", ["engage-quickstart/runs", "my runs", "experiments/new"])
def test_a_folder_of_runs_is_named_so_that_it_can_be_pasted(
    world: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world / "runs" / "regressor", Path(place) / "regressor")
    for command in ("predict", "evaluate"):
        words = ["--title", "One title"] if command == "predict" else []
        result = engage(command, *words)
        assert result.exit_code == 1
        assert (
            f"no finished run under runs (none); add --runs {shlex.quote(place)}, which has 1 finished run" in result.stderr
        )
    words = shlex.split(result.stderr.partition("add ")[2].partition(", which")[0])
    assert newest_run(Path(words[1])).folder == Path(place) / "regressor"


def test_without_any_run_below_the_training_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".hidden" / "run").mkdir(parents=True)
    (tmp_path / ".hidden" / "run" / "metrics.json").touch()
    (tmp_path / "views" / "members" / "gp").mkdir(parents=True)
    (tmp_path / "views" / "members" / "gp" / "metrics.json").touch()
    (tmp_path / "a" / "b" / "c" / "run").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "run" / "metrics.json").touch()
    assert engage("predict", "--title", "One title").stderr == (
        "engage: no finished run under runs (none); create one with `engage train`, or name the folder with --runs\n"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["predict", "--title"], "--title has no value: nothing follows it. Write --title VALUE"),
        (["predict", "--title", "--tags", "DIY"], "--title has no value: the option --tags follows it"),
        (["predict", "a.jpg", "--title", "--explain"], "--title has no value: the option --explain follows it"),
        (["predict", "--run", "--title", "One title"], "--run has no value: the option --title follows it"),
        (["evaluate", "--by", "--no-report"], "--by has no value: the option --no-report follows it"),
        (["prepare", "--table"], "--table has no value: nothing follows it"),
        (["train", "--target", "--seed", "3"], "--target has no value: the option --seed follows it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_without_its_value_is_named(call: list[str], words: str) -> None:
    result = engage(*call)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", " ").split())


def test_a_title_may_begin_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no finished run" in engage("predict", "--title", "-- what a day --").stderr
