"""A run is finished when its last file lies there, and equal commands find their own unfinished run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from engage_cli.data.targets.target import fit_target
from engage_cli.errors import EngageError
from engage_cli.runs import lifecycle as run_folders
from engage_cli.runs.lifecycle import find_killed_at_its_end, finish_run, open_run
from engage_cli.runs.records import DataOf, RunMeta, RunMetrics, write_run_record
from engage_cli.runs.run_folder import load_run, newest_run

TARGET = fit_target("views", pd.DataFrame({"views": [1.0, 2.0, 3.0]}), fit_on="train")
SAID: list[str] = []
DATA = DataOf(fingerprint="f", split="random")
META = RunMeta(command="train-x", model="catboost", kind="value", config={"seed": 0}, data=DATA)


def start(runs_dir: Path, folder: Path | None = None, **changes: object) -> tuple[Path, bool]:
    with open_run(folder, runs_dir, meta=replace(META, **changes), target=TARGET, say=SAID.append) as (path, goes_on):
        return path, goes_on


def test_equal_commands_go_on_and_others_do_not(tmp_path: Path) -> None:
    first, goes_on = start(tmp_path)
    assert not goes_on
    assert start(tmp_path) == (first, True)
    other, goes_on = start(tmp_path, config={"seed": 1})
    assert (other != first, goes_on) == (True, False)
    finish_run(first, RunMetrics())
    assert start(tmp_path)[0] not in (first, other)


def test_unfinished_is_not_loaded_and_not_the_newest(tmp_path: Path) -> None:
    first, _ = start(tmp_path)
    with pytest.raises(EngageError, match="did not finish; give its `engage train-x` command again"):
        load_run(first)
    with pytest.raises(EngageError, match=r"no finished run under .* \(1 unfinished\)"):
        newest_run(tmp_path)
    run = finish_run(first, RunMetrics(metrics={"r2": 0.1}))
    start(tmp_path, config={"seed": 1})
    assert newest_run(tmp_path).folder == first
    assert run.target == TARGET


def test_named_folders_are_never_overwritten(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(EngageError, match="holds other files"):
        start(tmp_path, foreign)
    named, _ = start(tmp_path, tmp_path / "named")
    assert start(tmp_path, named) == (named, True)
    with pytest.raises(EngageError, match="other settings or data"):
        start(tmp_path, named, config={"seed": 1})
    finish_run(named, RunMetrics())
    (named / "resume.safetensors").touch()  # a call that was killed as it ended left it
    with pytest.raises(EngageError, match="is a finished run"):
        start(tmp_path, named)
    assert not (named / "resume.safetensors").exists()


def test_a_command_that_was_killed_as_it_ended_trained_that_run(tmp_path: Path) -> None:
    first, _ = start(tmp_path)
    assert find_killed_at_its_end(tmp_path, meta=META) is None
    finish_run(first, RunMetrics())
    assert find_killed_at_its_end(tmp_path, meta=META) is None  # it ended: given again it trains another
    (first / "resume.safetensors").touch()
    with open_run(first.with_name("other"), tmp_path, meta=META, target=TARGET, say=SAID.append):
        assert find_killed_at_its_end(tmp_path, meta=replace(META, config={"seed": 1})) is None
        assert find_killed_at_its_end(tmp_path, meta=META) == first
    assert not (first / "resume.safetensors").exists()


def test_a_run_that_is_held_is_left_alone(tmp_path: Path) -> None:
    with open_run(None, tmp_path, meta=META, target=TARGET, say=SAID.append) as (held, _):
        assert start(tmp_path)[0] != held
        with pytest.raises(EngageError, match="another process is training"):
            start(tmp_path, held)


def test_run_json_is_written_first(tmp_path: Path) -> None:
    folder, _ = start(tmp_path)
    saved = json.loads((folder / "run.json").read_text())
    assert saved["command"] == "train-x"
    assert saved["config"] == {"seed": 0}
    assert {"python", "torch", "numpy"} <= set(saved["versions"])


def test_files_are_whole_or_absent_and_readable(tmp_path: Path) -> None:
    from engage_cli.io.files import atomic_write

    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "a" / "file") as beside:
        beside.write_text("whole")
        beside.chmod(0o600)
        assert not (tmp_path / "a" / "file").exists()
    assert (tmp_path / "a" / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def write_half() -> None:
        with atomic_write(tmp_path / "b") as beside:
            beside.write_text("half")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        write_half()
    assert {path.name for path in tmp_path.iterdir()} == {"plain", "a"}


def test_of_two_that_start_in_one_second_each_takes_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one holds its lock already, and has written nothing yet."""
    monkeypatch.setattr(run_folders, "_new_names", lambda folder, stem: iter([folder / "a", folder / "a-2"]))
    with FileLock(tmp_path / ".a.lock"):
        assert start(tmp_path) == (tmp_path / "a-2", False)


def test_what_is_refused_before_anything_is_done_leaves_no_folder(tmp_path: Path) -> None:
    def refuse(path: Path, work: bool) -> None:
        with open_run(path, tmp_path, meta=META, target=TARGET, say=SAID.append) as (folder, _):
            if work:
                (folder / "history.jsonl").touch()
            raise EngageError("no")

    for path, work in ((tmp_path / "none", False), (tmp_path / "some", True)):
        with pytest.raises(EngageError, match=r"^no$"):
            refuse(path, work)
        assert path.exists() == work


@pytest.mark.parametrize("has_target", [False, True])
@pytest.mark.parametrize("is_named", [False, True])
def test_a_beginning_that_was_killed_goes_on(
    is_named: bool, has_target: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between any two of its files, and within one: its temporary file stays."""

    def killed(path: Path, value: object, kind: str) -> None:
        if path.name == "run.json" or not has_target:
            (path.parent).mkdir(parents=True, exist_ok=True)
            (path.parent / f".{path.name}.12345.tmp").write_text("{")
            raise KeyboardInterrupt
        write_run_record(path, value, kind)

    named = tmp_path / "views-named" if is_named else None
    with monkeypatch.context() as patch:
        patch.setattr(run_folders, "write_run_record", killed)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path, named)
    (left,) = (entry for entry in tmp_path.iterdir() if entry.is_dir())
    assert sorted(entry.name for entry in left.iterdir() if entry.suffix != ".tmp") == ["target.json"] * has_target
    assert start(tmp_path, named) == (left, False)
    assert sorted(entry.name for entry in left.iterdir()) == ["run.json", "target.json"]
    assert start(tmp_path, named) == (left, True)


def test_temporary_files_of_others_are_not_ours(tmp_path: Path) -> None:
    for name in (".notes.12.tmp", ".run.json.tmp", "target.json"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).write_text("{}")
        with pytest.raises(EngageError, match="holds other files"):
            start(tmp_path, folder)
        assert (folder / name).read_text() == "{}"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"command": 7}', '{"format": "run 0"}'])
def test_a_damaged_unfinished_run_blocks_no_other_and_is_named(content: str, tmp_path: Path) -> None:
    SAID.clear()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text(content)
    first, goes_on = start(tmp_path)
    assert not goes_on
    (line,) = SAID
    assert line.startswith(f"warning: an unfinished run is ignored: {tmp_path / 'bad' / 'run.json'} ")
    assert start(tmp_path) == (first, True)
    finish_run(first, RunMetrics())
    assert newest_run(tmp_path).folder == first


def test_the_newest_run_is_damaged(tmp_path: Path) -> None:
    first, _ = start(tmp_path)
    finish_run(first, RunMetrics())
    (first / "metrics.json").write_text("{")
    with pytest.raises(EngageError, match=rf"{first}/metrics\.json is damaged: it is not valid JSON \(.*\); train again$"):
        newest_run(tmp_path)


def test_the_marker_holds_the_hash_of_what_carries_answers(tmp_path: Path) -> None:
    first, _ = start(tmp_path)
    for name in ("model.cbm", "a.safetensors", "README.md", "test.json", "history.jsonl", "resume.safetensors"):
        (first / name).write_text("x")
    run = finish_run(first, RunMetrics())
    assert sorted(run.done.files) == ["a.safetensors", "model.cbm", "run.json", "target.json"]
    (first / "model.cbm").write_text("y")
    assert run.open("a.safetensors") == first / "a.safetensors"
    with pytest.raises(EngageError, match=r"model\.cbm was changed or damaged: its hash differs; train again"):
        run.open("model.cbm")
    with pytest.raises(EngageError, match=r"README\.md is not recorded by this folder's marker; train again"):
        run.open("README.md")
