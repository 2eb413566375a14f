"""What `engage evaluate` prints fits a terminal, and says in plain words how far an interval reaches."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engage_cli.cli.render.evaluate import show_evaluation
from engage_cli.cli.render.output import fold_name
from engage_cli.evaluation.results import Slice
from engage_cli.metrics.descriptions import write_factor
from engage_cli.runs.names import tail_names
from tests.scored import evaluation_of, value_score
from tests.test_evaluation_report import page_of

LONG = "engage-quickstart/runs/vie/ws"
LONGEST = "runs/train-views-of-all-channels-2026-11-28-182538-second-try"


def shown(name: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    score = replace(value_score(), name=name, slices=(Slice(by="prediction", name="lowest", rows=9, metrics={}),))
    width = {"value": 1.6, "low": 1.5, "high": 1.7}
    metrics = {f"{what}_{share}": width for what in ("coverage", "width") for share in ("80", "95")}
    score = replace(score, metrics={**score.metrics, **metrics, "pair_ece": width})
    show_evaluation(evaluation_of(score), [], "Next: nothing", with_intervals=True)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("name", [LONG, LONGEST])
def test_no_name_breaks_in_the_middle_of_a_word(
    name: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = shown(name, columns, capsys, monkeypatch)
    last = name.rsplit("/", maxsplit=1)[-1]
    table = printed.split("95 % interval")[0].splitlines()
    parts = re.findall(r"[^-]+-?", last)
    assert any(line.startswith(last) for line in table) or all(any(part in line for line in table) for part in parts)
    assert "engage-quickstart" not in printed
    rows = [line for line in printed.splitlines() if re.search(r"\d to |÷\d", line) and ":" not in line]
    assert len(rows) >= 4
    assert all(len(line) <= columns for line in rows)


def test_a_name_folds_after_its_signs() -> None:
    assert fold_name("engage-quickstart/runs/views", 12) == "engage-\nquickstart/\nruns/views"
    assert fold_name("tf-idf + ridge", 20) == "tf-idf + ridge"
    assert fold_name("abcdefghijklmnop", 8) == "abcdefghijklmnop"
    assert "".join(fold_name(LONGEST, 20).splitlines()) == LONGEST


def test_runs_are_called_by_as_many_folders_as_tell_them_apart() -> None:
    assert tail_names([LONG]) == {LONG: "ws"}
    assert tail_names(["runs/a", "runs/b", "runs/b"]) == {"runs/a": "a", "runs/b": "b"}
    assert tail_names(["x/runs/a", "y/runs/a"]) == {"x/runs/a": "x/runs/a", "y/runs/a": "y/runs/a"}
    assert tail_names(["a", "runs/a"]) == {"a": "a", "runs/a": "runs/a"}


@pytest.mark.parametrize(
    ("value", "metric", "unit", "words"),
    [
        (0.98, "mae", "log1p(views)", "×2.7"),
        (1.6, "width_80", "log1p(views)", "÷2.2 to ×2.2"),
        (4.8, "width_95", "log(views) - author_median_views", "÷11 to ×11"),
        (0.0, "width_95", "log1p(likes)", "÷1.0 to ×1.0"),
        (1000.0, "width_95", "log1p(likes)", "÷10^217 to ×10^217"),
        (0.98, "mae", "likes / max(views, 1)", ""),
        (0.98, "r2", "log1p(views)", ""),
    ],
)
def test_a_figure_in_log_units_is_told_as_a_factor(value: float, metric: str, unit: str, words: str) -> None:
    assert write_factor(value, metric, unit) == words


def test_terminal_and_page_say_the_reach_as_a_factor_and_json_keeps_the_logarithm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = shown("runs/views", 100, capsys, monkeypatch)
    assert "÷2.2 to ×2.2" in printed
    assert "reaches: from the predicted count divided by this number to the count times it" in printed
    score = replace(
        value_score(slices=False), metrics={**value_score().metrics, "width_80": {"value": 1.6, "low": 1.5, "high": 1.7}}
    )
    evaluation = evaluation_of(score)
    assert "<small>÷2.2 to ×2.2</small>" in page_of(evaluation)
    assert evaluation.to_json()["runs"][0]["metrics"]["width_80"]["value"] == 1.6


def test_the_bootstrap_is_explained_where_it_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = shown("runs/views", 80, capsys, monkeypatch)
    assert "random draws of these posts, with repeats (a bootstrap)" in " ".join(printed.split())
    assert "with repeats, and scored, again and again (a bootstrap)" in page_of(evaluation_of(value_score()))


def test_a_long_name_goes_on_after_a_sign_and_what_is_not_shown_is_not_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = shown("runs/train-popularity-2026-11-29-043448", 80, capsys, monkeypatch)
    firsts = [line.split("   ")[0].rstrip() for line in narrow.splitlines()]
    assert {"-", "8"}.isdisjoint(firsts)  # ends of a name that was broken anywhere
    assert {"11-29-043448", "29-043448", "043448"} & set(firsts)
    assert "mae: how far" not in narrow
    assert "mae: how far" in shown("runs/train-popularity-2026-11-29-043448", 100, capsys, monkeypatch)
