"""What must be said beside a run's answers: too few posts, and no better than a guess."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engage_cli.errors import EngageError
from engage_cli.evaluation.evidence import (
    list_warnings,
    score_warnings,
    warn_of_few,
    warnings_of,
    warnings_of_few,
    weigh_evidence,
)
from engage_cli.evaluation.results import Score
from engage_cli.io.records import parse
from engage_cli.metrics.paired_bootstrap import compare
from engage_cli.runs.records import Evidence, RunMetrics
from engage_cli.runs.run_folder import Run


def evidence(**changed: Any) -> Evidence:
    usual = {"posts": 4791, "held_out": 599, "method": "validation posts", "metric": "r2"}
    return Evidence(**{**usual, "value": 0.4, "low": 0.33, "high": 0.46, **changed})


def test_a_run_of_many_posts_that_is_better_than_a_guess_has_no_warning() -> None:
    assert list_warnings(evidence()) == []


def test_what_is_said_of_few_posts() -> None:
    (none,) = list_warnings(evidence(posts=8, held_out=1, value=-3.0, low=None, high=None))
    assert none == "8 posts: no interval can be computed; treat this as a coin toss; aim for several hundred posts"
    (untold,) = list_warnings(evidence(posts=24, held_out=27, low=None, high=None))
    assert untold.startswith(
        "24 posts: the run is not shown to be better than a guess (27 posts held out from training are too few"
    )
    (guess,) = list_warnings(evidence(posts=48, held_out=54, value=0.05, low=-0.12, high=0.21))
    assert guess == (
        "48 posts: the run is not shown to be better than a guess (on 54 posts that it had not seen R² is 0.050, interval "
        "−0.120 to 0.210; a guess has 0); treat this as a coin toss; aim for several hundred posts"
    )
    (few,) = list_warnings(evidence(posts=160, held_out=90, method="cross-validation"))
    assert few.startswith("160 posts to train on are few: intervals are wide")
    (many,) = list_warnings(evidence(low=0.0))
    assert "not shown to be better than a guess" in many


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_evidence_is_weighed_on_held_out_posts(kind: str) -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=200) if kind == "value" else random.integers(0, 5, 200)
    good = true + 0.3 * random.normal(size=200) if kind == "value" else np.eye(5)[true] * 0.6 + 0.08
    noise = 0.1 * random.normal(size=200) if kind == "value" else random.dirichlet(np.ones(5), 200)
    better = weigh_evidence(kind, true, good, posts=900, method="cross-validation")
    guess = weigh_evidence(kind, true, noise, posts=900, method="cross-validation")
    assert better.is_better_than_guess
    assert better.low < better.value < better.high or kind == "classes"
    assert not guess.is_better_than_guess
    few = weigh_evidence(kind, true[:6], good[:6], posts=48, method="validation posts")
    assert (few.low, few.high, few.held_out) == (None, None, 6)
    assert not few.is_better_than_guess  # a bootstrap of six posts tells nothing


def test_the_warnings_of_a_run_are_those_of_what_it_keeps() -> None:
    assert warnings_of(Run(Path("runs/old"), None, None, RunMetrics())) == []
    few = evidence(posts=8, held_out=1, low=None, high=None)
    assert warnings_of(Run(Path("runs/one"), None, None, RunMetrics(evidence=few))) == list_warnings(few)


@pytest.mark.parametrize(
    "changed",
    [
        {"posts": -1},
        {"posts": "many"},
        {"held_out": None},
        {"value": None},
        {"value": "high"},
        {"low": float("nan")},
        {"high": [1]},
        {"metric": 3},
    ],
)
def test_damaged_evidence_is_one_sentence(changed: dict[str, Any]) -> None:
    saved = {"evidence": {**dataclasses.asdict(evidence()), **changed}}
    with pytest.raises(EngageError, match=rf"^metrics\.json: evidence\.{next(iter(changed))}.*; train again$"):
        parse(saved, RunMetrics, where="metrics.json", again="train again")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((4000, 500, 500), []),
        ((160, 20, 20), ["180 posts to learn from are few: weights and intervals", "20 posts to test on: too few to tell"]),
        ((48, 6, 6), ["54 posts to learn from are few", "6 posts to test on"]),
        ((8, 1, 1), ["9 posts to learn from: treat this as a coin toss", "1 post to test on"]),
    ],
)
def test_prepare_says_what_few_posts_mean(rows: tuple[int, int, int], words: list[str]) -> None:
    said = warn_of_few(dict(zip(("train", "validation", "test"), rows, strict=True)))
    assert len(said) == len(words)
    assert all(one.startswith(start) for one, start in zip(said, words, strict=True))
    assert all("several hundred" in one for one in said)


def test_no_verdict_from_a_bootstrap_of_six_posts() -> None:
    true = np.arange(6.0)
    found = compare("value", true, ("run", true + 0.01), ("guess", np.full(6, 2.5)), num_resamples=100)
    assert found.verdict == "6 posts are too few to tell it from guess"
    assert (found.is_better, found.is_worse) == (False, False)
    assert (found.to_json()["low"], found.to_json()["high"]) == (None, None)
    many = np.arange(60.0)
    assert compare("value", many, ("run", many), ("guess", np.full(60, 30.0)), num_resamples=100).is_better


def test_few_test_posts_are_told_of_together_with_cross_validated_ones() -> None:
    def score(rows: int, low: float) -> Score:
        found = {"r2": {"value": 0.3, "low": low, "high": 0.5}}
        said = tuple(score_warnings("r2", found["r2"], rows, "cross-validated" if rows > 30 else "test"))
        none = np.zeros(0)
        return Score(
            name="run", kind="value", target="views", unit="", metrics=found, warnings=said,
            places=np.zeros(rows, int), predicted=none, true=np.zeros(rows),
        )  # fmt: skip

    assert warnings_of_few(score(20, 0.1), score(110, 0.13)) == (
        "20 test posts alone are too few to judge it (that takes 30); on 110 posts, each predicted by models trained "
        "without it, R² is 0.300 (95 %: 0.130 to 0.500), better than a guess",
    )
    both = warnings_of_few(score(20, 0.1), score(110, -0.1))
    assert [one.split(":")[0] for one in both] == ["20 test posts", "110 cross-validated posts"]


def test_a_score_on_test_posts_is_doubted_too() -> None:
    assert score_warnings("r2", {"value": 0.9, "low": 0.9, "high": 0.9}, 6, "test") == [
        "6 test posts: too few to show whether it is better than a guess; that takes at least 30"
    ]
    assert score_warnings("r2", {"value": 0.3, "low": 0.1, "high": 0.5}, 300, "test") == []
    (said,) = score_warnings("kappa", {"value": 0.1, "low": -0.1, "high": 0.3}, 90, "test")
    assert said.startswith("90 test posts: the run is not shown to be better than a guess")
