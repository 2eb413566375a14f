"""The paired bootstrap: shared noise cancels, and a verdict is given only where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engage_cli.core.comparison import Comparison, compare
from engage_cli.core.metrics import bootstrap_metrics, kappa, r2
from tests.calls import answer, engage

RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=400)
FAIR = TRUE * 0.5 + RNG.normal(size=400) * 0.6
GOOD = FAIR + 0.04 * (TRUE - FAIR)  # nearly the same mistakes, each a little smaller


def test_a_small_difference_is_seen_where_mistakes_are_shared() -> None:
    """Each one's own interval is far wider than their difference."""
    found = compare("value", TRUE, ("good", GOOD), ("fair", FAIR), num_resamples=300)
    assert found.difference == pytest.approx(r2(TRUE, GOOD) - r2(TRUE, FAIR))
    assert 0 < found.low < found.difference < found.high
    alone = [bootstrap_metrics("value", TRUE, some, num_resamples=300)["r2"] for some in (GOOD, FAIR)]
    assert alone[0]["low"] < alone[1]["value"]  # their intervals overlap
    assert found.high - found.low < 0.7 * (alone[0]["high"] - alone[0]["low"])
    assert found.verdict.startswith(f"better than fair by {found.difference:.3f} r2, interval +0.")
    back = compare("value", TRUE, ("fair", FAIR), ("good", GOOD), num_resamples=300)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    assert back.verdict.startswith("worse than good by ")


def test_chance_gives_no_verdict() -> None:
    """Of pairs of equally good predictions about one in twenty is told apart."""
    told = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        true = random.normal(size=150)
        both = [true + random.normal(size=150) for _ in range(2)]
        told += not compare("value", true, ("a", both[0]), ("b", both[1]), num_resamples=150).verdict.startswith("no diff")
    assert told <= 8


def test_classes_are_compared_by_kappa() -> None:
    true = RNG.integers(0, 5, 300)
    sure = np.eye(5)[true] * 0.9 + 0.02
    constant = np.tile(np.eye(5)[2], (300, 1))
    found = compare("classes", true, ("a", sure), ("b", constant), num_resamples=50)
    assert (found.metric, found.difference) == ("kappa", pytest.approx(kappa(true, sure) - kappa(true, constant)))


def test_words() -> None:
    same = Comparison(first="a", second="b", metric="r2", difference=0.012, low=-0.01, high=0.034)
    assert same.verdict == "no difference from b can be shown: +0.012 r2, interval -0.010 to +0.034"


def test_evaluate_compares_with_the_best_baseline_and_with_each_other(world: Path) -> None:
    runs = [world / "runs" / name for name in ("catboost", "classifier", "catboost-value")]
    found = answer("evaluate", *runs, "--data", world / "data", "--resamples", 20)
    pairs = [(one["first"], one["second"]) for one in found["comparisons"]]
    best = {}
    for kind, name in (("classes", "kappa"), ("value", "r2")):
        own = [one for one in found["baselines"] if one["kind"] == kind]
        best[kind] = max(own, key=lambda one: one["metrics"][name]["value"])["run"]
    first, second, third = map(str, runs)
    assert pairs == [(first, best["classes"]), (second, best["classes"]), (first, second), (third, best["value"])]
    scores = {one["run"]: one["metrics"] for one in (*found["runs"], *found["baselines"]) if one["kind"] == "classes"}
    for one in found["comparisons"][:3]:
        expected = scores[one["first"]]["kappa"]["value"] - scores[one["second"]]["kappa"]["value"]
        assert one["difference"] == pytest.approx(expected)
    shown = engage("evaluate", *runs, "--data", world / "data", "--resamples", 20).stdout
    assert sum(one["verdict"].partition(one["second"])[0] in shown for one in found["comparisons"]) == 4
    assert "comparisons" in found
    assert answer("evaluate", runs[0], "--data", world / "data", "--resamples", 0)["comparisons"] == []
