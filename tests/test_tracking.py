"""A tracker is told of parameters, epochs, figures and plots; MLflow's and Trackio's own readers find them again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engage_cli.errors import EngageError
from engage_cli.runs.run_folder import load_run
from engage_cli.tracking import TRACKERS
from tests import forked
from tests.calls import answer, engage


class Recorder:
    """A tracker of this test, in the table beside the others."""

    runs: ClassVar[list[Recorder]] = []
    breaks_at: ClassVar[int | None] = None

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        self.name, self.parameters, self.epochs, self.ended = name, dict(parameters), {}, ""
        Recorder.runs.append(self)

    def log(self, figures: Mapping[str, float], *, step: int) -> None:
        if step == Recorder.breaks_at:
            raise EngageError("the recorder is broken")
        self.epochs[step] = dict(figures)

    def finish(self, figures: Mapping[str, float], tags: Mapping[str, str], plots: Sequence[Path]) -> None:
        self.figures, self.tags, self.plots, self.ended = dict(figures), dict(tags), list(plots), "finished"

    def fail(self) -> None:
        self.ended = "failed"


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setitem(TRACKERS._entries, "recorder", "tests.test_tracking:Recorder")
    monkeypatch.setattr(Recorder, "runs", [])
    monkeypatch.setattr(Recorder, "breaks_at", None)
    return Recorder


def training(world: Path, encoders: Any, run: Path, tracker: str, *more: object) -> list[object]:
    common = ["--data", world / "data", "--vision", encoders.vision, "--text", encoders.text, "--run", run]
    return ["train-regressor", *common, "--epochs", 2, "--seed", 5, "--track", tracker, *more]


def test_a_training_is_told_as_it_goes(recorder: type[Recorder], world: Path, encoders: Any, tmp_path: Path) -> None:
    answer(*training(world, encoders, tmp_path / "run", "recorder"))
    (told,) = recorder.runs
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    done = load_run(tmp_path / "run").done
    assert (told.name, told.ended) == ("run", "finished")
    assert (told.parameters["epochs"], told.parameters["seed"], told.parameters["target"]) == (2, 5, "popularity")
    assert [told.epochs[line["epoch"]]["loss/train"] for line in history] == [line["train_loss"] for line in history]
    assert told.epochs[2]["validation/r2"] == history[1]["validation"]["r2"]
    assert told.figures["final/r2"] == done.metrics["r2"]
    assert told.tags["data"] == load_run(tmp_path / "run").meta.data.fingerprint
    assert told.tags["marks"] == "none"
    assert told.plots
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in told.plots)


def test_a_tracker_that_breaks_does_not_end_the_training(
    recorder: type[Recorder], world: Path, encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "breaks_at", 1)
    result = engage(*training(world, encoders, tmp_path / "run", "recorder"))
    assert result.exit_code == 0
    assert result.stderr.count("warning: the recorder is broken; the training goes on untracked") == 1
    assert load_run(tmp_path / "run").done.epochs == 2
    assert recorder.runs[0].ended == ""


def test_a_training_that_fails_is_closed_as_such(
    recorder: type[Recorder], world: Path, encoders: Any, tmp_path: Path
) -> None:
    result = engage(*training(world, encoders, tmp_path / "run", "recorder", "--target", "nonsense"))
    assert result.exit_code == 2
    assert [one.ended for one in recorder.runs] in ([], ["failed"])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    assert engage(*training(world, encoders, tmp_path / "taken", "recorder")).exit_code == 1
    assert recorder.runs[-1].ended == "failed"


@pytest.mark.parametrize("name", ["mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_is_one_sentence(
    name: str, world: Path, encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, name, None)
    result = engage(*training(world, encoders, tmp_path / "run", name))
    assert result.exit_code == 1
    assert f"install it with: pip install 'engage-cli[{name}]'" in result.stderr
    assert not (tmp_path / "run").exists()


def test_mlflow_finds_the_run_again(world: Path, encoders: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    answer(*training(world, encoders, tmp_path / "run", "mlflow"))
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("engage").experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["epochs"] == "2"
    assert found.data.metrics["final/r2"] == load_run(tmp_path / "run").done.metrics["r2"]
    assert [one.step for one in client.get_metric_history(found.info.run_id, "loss/train")] == [1, 2]
    assert [one.path for one in client.list_artifacts(found.info.run_id, "plots")]


def test_trackio_finds_the_run_again(world: Path, encoders: Any, tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    # In a process of its own, for Trackio asks once where to write.
    where = {"TRACKIO_DIR": str(tmp_path / "trackio")}
    done = forked.run(forked.command, *map(str, training(world, encoders, tmp_path / "run", "trackio")), environment=where)
    assert done.returncode == 0, done.stderr
    read = forked.run(read_trackio, environment=where)
    found = json.loads(read.stdout)
    assert found["name"] == "run"
    assert found["config"]["epochs"] == 2
    assert found["r2"] == load_run(tmp_path / "run").done.metrics["r2"]
    assert found["losses"] == 2


def read_trackio() -> None:
    import trackio

    (run,) = list(trackio.Api().runs("engage"))
    lines = trackio.sqlite_storage.SQLiteStorage.get_logs("engage", run.name)
    last = next(line for line in lines if "final/r2" in line)
    losses = sum("loss/train" in line for line in lines)
    print(json.dumps({"name": run.name, "config": dict(run.config), "r2": last["final/r2"], "losses": losses}))
