"""Intervals are fitted anew on recent outcomes: they hold again, in a new run, and the old one stays as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engage_cli.io.records import file_hash
from engage_cli.ledger.store import read
from engage_cli.models.predictions import Predictions
from engage_cli.runs.run_folder import MARKER, load_run, verify_run
from engage_cli.steps.ledger.log import Asked, log_forecast
from engage_cli.steps.ledger.recalibrate import LEAST
from engage_cli.uncertainty.conformal import Calibration, fit_calibration, recalibrate
from engage_cli.uncertainty.forecast import Forecast, load_uncertainty
from tests.calls import answer, engage


def covered(calibration: Calibration, values: np.ndarray, came: np.ndarray) -> float:
    low, high = calibration.interval(Predictions(value=values), 0.8)
    return float(np.mean((low <= came) & (came <= high)))


@pytest.mark.parametrize(("shift", "scale"), [(-0.5, 1.0), (2.0, 1.0), (0.3, 1.6), (0.0, 0.6)])
def test_intervals_hold_again_after_as_few_outcomes_as_the_docs_name(shift: float, scale: float) -> None:
    """The mean of many draws, for each is a matter of luck: within 75 to 85 %."""
    random = np.random.default_rng(1)
    values = random.normal(size=5000)
    old = fit_calibration(Predictions(value=values), values + random.standard_t(5, size=5000))
    found = []
    for _ in range(40):
        recent = random.normal(size=200)
        came = recent + shift + scale * random.standard_t(5, size=200)
        new = recalibrate(old, recent, np.ones(200), came)
        later = random.normal(size=2000)
        found.append(covered(new, later, later + shift + scale * random.standard_t(5, size=2000)))
    assert 0.75 < np.mean(found) < 0.85
    assert np.std(found) < 0.04


def test_values_move_by_the_median_error_and_their_order_stays() -> None:
    random = np.random.default_rng(2)
    values = random.normal(size=300)
    old = fit_calibration(Predictions(value=values), values + random.normal(size=300))
    new = recalibrate(old, values, np.ones(300), values - 0.7)
    assert new.shift == pytest.approx(-0.7)
    assert new.middle(Predictions(value=values)) == pytest.approx(values - 0.7)
    assert new.width(0.8) == pytest.approx(0, abs=1e-9)  # outcomes without an error
    assert (new.rows, old.rows) == (300, 300)


def test_the_models_values_are_found_again_from_its_intervals() -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=300)
    old = fit_calibration(Predictions(value=values), values * 1.5 + random.normal(size=300) * (1 + values**2))
    moved = dataclasses.replace(old, shift=0.4)
    point, spread = moved.placed(*moved.interval(Predictions(value=values), 0.8))
    assert point == pytest.approx(values)
    assert spread == pytest.approx(moved.spread(Predictions(value=values)))


def logged(run: Path, ledger: Path, num: int, *, start: int = 0) -> np.ndarray:
    """Log predictions of posts p0, p1, ..., and return the model's own values."""
    opened = load_run(run)
    random = np.random.default_rng(start)
    predictions = Predictions(value=random.normal(8, 1, size=num))
    forecast = load_uncertainty(opened).forecast(predictions)
    assert isinstance(forecast, Forecast)
    posts = [
        Asked(post=f"p{n}", title=f"title {n}", image_hash="", inputs_hash=f"{n:032x}") for n in range(start, start + num)
    ]
    log_forecast(opened, posts, forecast, ledger, time=f"2026-{1 + start // 100:02}-01T00:00:00+00:00")
    return predictions.main


def scored(ledger: Path, values: np.ndarray, *, start: int = 0) -> dict:
    """Score posts that got what the model said, with an error, times 0.02."""
    noise = np.random.default_rng(9).normal(0, 0.3, size=len(values))
    views = np.expm1(values + noise) * 0.02
    table = ledger.parent / "outcomes.csv"
    table.write_text("id,views\n" + "".join(f"p{n},{views[n - start]:.0f}\n" for n in range(start, start + len(values))))
    return answer("score", table, "--ledger", ledger)


def test_a_shift_is_noticed_and_mended_in_a_new_run(world: Path, pixelrec: Path, tmp_path: Path) -> None:
    run, ledger, image = world / "runs" / "gp", tmp_path / "ledger.sqlite", next((pixelrec / "cover").iterdir())
    before, marker = {path.name: file_hash(path) for path in run.iterdir() if path.is_file()}, file_hash(run / MARKER)
    (found,) = scored(ledger, logged(run, ledger, 100))["runs"]
    assert found["coverage"] < 0.6
    assert found["train_again"] is True
    entries = read(ledger)
    new = tmp_path / "runs" / "new"
    told = answer("recalibrate", "--run", run, "--ledger", ledger, "--out", new)
    assert (told["run"], told["outcomes"], told["train_again"]) == (str(new), 100, True)
    assert told["shift"] == pytest.approx(np.log(0.02), abs=0.1)
    assert told["e_value"] == found["e_value"]
    assert read(ledger) == entries
    assert before == {path.name: file_hash(path) for path in run.iterdir() if path.is_file()}
    assert verify_run(new).done.recalibration is not None

    # The new run says less, with the same model, and its intervals hold.
    post = ("predict", image, "--title", "a quiet lake", "--run")
    (old_answer,), (new_answer,) = (answer(*post, folder)["posts"] for folder in (run, new))
    assert new_answer["value"] == pytest.approx(old_answer["value"] + told["shift"])
    both = scored(ledger, logged(new, ledger, 100, start=100), start=100)["runs"]
    assert [one["outcomes"] for one in both] == [0, 100]
    assert 0.7 < both[1]["coverage"] < 0.95
    assert both[1]["train_again"] is False

    # Once more: outcomes of the same model count, whoever's intervals they had.
    again = answer("recalibrate", "--run", new, "--ledger", ledger, "--out", tmp_path / "runs" / "newer", "--last", 150)
    assert again["outcomes"] == 150
    assert verify_run(Path(again["run"])).done.recalibration.model == marker


def test_too_few_outcomes_and_classes_are_one_sentence(world: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    scored(ledger, logged(world / "runs" / "gp", ledger, LEAST - 1))
    result = engage("recalibrate", "--run", world / "runs" / "gp", "--ledger", ledger, "--out", tmp_path / "new")
    assert result.exit_code == 1
    assert "29 outcomes" in result.stderr
    assert "1 more are needed; add them with `engage score`" in result.stderr
    assert not (tmp_path / "new").exists()
    result = engage("recalibrate", "--run", world / "runs" / "catboost", "--ledger", ledger, "--out", tmp_path / "new")
    assert result.exit_code == 2
    assert "predicts classes, which have no intervals" in result.stderr
