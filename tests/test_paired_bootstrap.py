"""The paired bootstrap: shared noise cancels, and a verdict is given only where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engage_cli.metrics.metrics import bootstrap_metrics, kappa, r2
from engage_cli.metrics.paired_bootstrap import Comparison, compare
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


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_the_same_predictions_are_no_different(kind: str) -> None:
    true = TRUE if kind == "value" else RNG.integers(0, 5, 400)
    said = FAIR if kind == "value" else RNG.dirichlet(np.ones(5), 400)
    found = compare(kind, true, ("a", said), ("b", said.copy()), num_resamples=50)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.verdict.startswith("no significant difference from b: +0.000 ")


def compare_pairs(num: int, noise: float) -> list[Comparison]:
    """Of simulated data sets: one's mistakes have deviation 1, the other's `noise`, and half of them are shared."""
    found = []
    for seed in range(num):
        random = np.random.default_rng(seed)
        true, shared = 2 * random.normal(size=150), random.normal(size=150)
        first, second = (
            true + size * (shared + own) / np.sqrt(2)
            for size, own in zip((1.0, noise), random.normal(size=(2, 150)), strict=True)
        )
        found.append(compare("value", true, ("first", first), ("second", second), num_resamples=200, seed=seed))
    return found


def test_the_interval_leaves_0_out_as_often_as_it_promises() -> None:
    """About once in twenty where there is no difference; nearly always where it is three standard errors wide."""
    equal = compare_pairs(300, noise=1.0)
    told = [not one.verdict.startswith("no significant difference") for one in equal]
    assert 0.02 <= np.mean(told) <= 0.09
    assert abs(np.mean([one.low > 0 for one in equal]) - np.mean([one.high < 0 for one in equal])) < 0.04
    planted = compare_pairs(200, noise=1.3)
    differences = [one.difference for one in planted]
    in_errors = np.mean(differences) / np.std(differences)
    assert in_errors == pytest.approx(3.0, abs=0.2)
    found = np.mean([one.verdict.startswith("better than second by ") for one in planted])
    assert found >= 0.75
    assert not any(one.verdict.startswith("worse") for one in planted)


def test_classes_are_compared_by_kappa() -> None:
    true = RNG.integers(0, 5, 300)
    sure = np.eye(5)[true] * 0.9 + 0.02
    constant = np.tile(np.eye(5)[2], (300, 1))
    found = compare("classes", true, ("a", sure), ("b", constant), num_resamples=50)
    assert (found.metric, found.difference) == ("kappa", pytest.approx(kappa(true, sure) - kappa(true, constant)))


def test_another_metric_may_be_named() -> None:
    """Three times the truth has its order, and not its R²."""
    true = np.random.default_rng(0).normal(size=200)
    rows = ("threefold", 3 * true), ("noisy", true + np.random.default_rng(1).normal(size=200))
    by_rank = compare("value", true, *rows, num_resamples=50, metric="spearman")
    assert (by_rank.metric, by_rank.low > 0) == ("spearman", True)
    assert compare("value", true, *rows, num_resamples=50).high < 0


def test_words() -> None:
    same = Comparison(first="a", second="b", metric="r2", difference=0.012, low=-0.01, high=0.034)
    assert same.verdict == "no significant difference from b: +0.012 r2, interval -0.010 to +0.034"


def test_evaluate_compares_with_the_best_baseline_and_with_each_other(world: Path) -> None:
    runs = [world / "runs" / name for name in ("catboost", "classifier", "catboost-value")]
    found = answer("evaluate", *runs, "--data", world / "data", "--no-report", "--resamples", 20)
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
    shown = engage("evaluate", *runs, "--data", world / "data", "--no-report", "--resamples", 20).stdout
    assert sum(one["verdict"].partition(one["second"])[0] in shown for one in found["comparisons"]) == 4
    assert "comparisons" in found
    assert answer("evaluate", runs[0], "--data", world / "data", "--no-report", "--resamples", 0)["comparisons"] == []
