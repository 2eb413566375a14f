"""Metrics equal scikit-learn's and scipy's, and have a value where those have none."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from engage_cli.metrics import metrics
from engage_cli.metrics._resampled import RESAMPLED
from engage_cli.metrics.bootstrap import resample, with_bounds

RNG = np.random.default_rng(0)
TRUE = np.round(RNG.normal(size=200), 1)  # rounded: ties
PREDICTED = np.round(TRUE + RNG.normal(size=200), 1)
LABELS = RNG.integers(0, 5, 300)
PROBABILITIES = RNG.dirichlet(np.ones(5), 300)
NAMED = PROBABILITIES.argmax(axis=1)


def test_values_equal_the_libraries() -> None:
    found = metrics.compute_metrics("value", TRUE, PREDICTED)
    assert found["r2"] == pytest.approx(sk.r2_score(TRUE, PREDICTED))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(TRUE, PREDICTED))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(TRUE, PREDICTED))
    assert found["spearman"] == pytest.approx(stats.spearmanr(TRUE, PREDICTED).statistic)
    assert found["kendall"] == pytest.approx(stats.kendalltau(TRUE, PREDICTED).statistic)


def test_pairwise_accuracy_counts_pairs() -> None:
    points = [
        1.0 if (a - b) * (p - q) > 0 else 0.5 if p == q else 0.0
        for (a, p), (b, q) in itertools.combinations(zip(TRUE, PREDICTED, strict=True), 2)
        if a != b
    ]
    assert metrics.pairwise_accuracy(TRUE, PREDICTED) == pytest.approx(np.mean(points))


def test_classes_equal_the_libraries() -> None:
    found = metrics.compute_metrics("classes", LABELS, PROBABILITIES)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(LABELS, NAMED))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(LABELS, NAMED, average="macro"))
    assert found["weighted_f1"] == pytest.approx(sk.f1_score(LABELS, NAMED, average="weighted"))
    assert found["kappa"] == pytest.approx(sk.cohen_kappa_score(LABELS, NAMED, weights="quadratic"))
    assert found["ordinal_mae"] == pytest.approx(np.abs(LABELS - NAMED).mean())
    assert found["recall_medium"] == pytest.approx(sk.recall_score(LABELS, NAMED, labels=[2], average="macro"))
    assert found["majority_lift"] == pytest.approx(found["accuracy"] - np.bincount(LABELS).max() / 300)


def values_of(case: str, num: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(num)
    true = random.normal(size=num)
    predicted = true + random.normal(size=num)
    if case == "ties":
        return true.round(), predicted.round()
    if case == "constant predictions":
        return true, np.full(num, 0.3)
    if case == "constant truth":  # the mean of these is not quite 0.3
        return np.full(num, 0.3), predicted
    if case == "both constant":
        return np.full(num, 0.3), np.full(num, 0.1)
    return true, predicted


def classes_of(case: str, num: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(num)
    true, shares = random.integers(0, 5, num), random.dirichlet(np.ones(5), num)
    if case == "ties":
        return true, random.integers(1, 3, (num, 5)) / 10
    if case == "constant predictions":
        return true, np.tile([0.1, 0.2, 0.4, 0.2, 0.1], (num, 1))
    if case == "constant truth":
        return np.full(num, 3), shares
    if case == "both constant":
        return np.full(num, 3), np.tile(np.eye(5)[3], (num, 1))
    return true, shares


CASES = {"value": values_of, "classes": classes_of}


def pairs_in_order(true: np.ndarray, predicted: np.ndarray) -> float:
    found = [
        (np.sign(a - b) * np.sign(p - q) + 1) / 2
        for (a, p), (b, q) in itertools.combinations(zip(true, predicted, strict=True), 2)
        if a != b
    ]
    return float(np.mean(found)) if found else 0.5


def gain_by_hand(true: np.ndarray, predicted: np.ndarray) -> float:
    """A place's gain is the mean of those that tie for it."""
    if len(true) < 2:
        return 1.0
    gain = (stats.rankdata(true) - 1) / (len(true) - 1)
    discount = 1 / np.log2(np.arange(len(true))[:100] + 2)
    of = np.array([gain[predicted == one].mean() for one in np.sort(predicted)[::-1]])
    return float((discount * of[:100]).sum() / (discount * np.sort(gain)[::-1][:100]).sum())


def top_by_hand(true: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over all orders in which ties may stand."""
    num = max(1, round(len(true) / 10))
    is_top = true >= np.sort(true)[::-1][num - 1]
    order = np.sort(predicted)[::-1][:num]
    return float(np.mean([is_top[predicted == one].mean() for one in order]))


def scores_by_class(true: np.ndarray, named: np.ndarray) -> Iterator[tuple[float, int]]:
    """F1 and number of posts of each class that is true of one or named for one."""
    for label in np.union1d(true, named):
        hits = ((true == label) & (named == label)).sum()
        yield 2 * hits / ((true == label).sum() + (named == label).sum()), int((true == label).sum())


def gaps_by_hand(true: np.ndarray, shares: np.ndarray) -> float:
    total, sure, right = 0.0, shares.max(axis=1), shares.argmax(axis=1) == true
    for number in range(15):
        rows = (sure >= number / 15) & ((sure < (number + 1) / 15) | (number == 14))
        if rows.any():
            total += rows.mean() * abs(right[rows].mean() - sure[rows].mean())
    return total


def median_of(shares: np.ndarray) -> np.ndarray:
    return np.array([int(np.flatnonzero(np.cumsum(row) >= 0.5 * row.sum())[0]) for row in shares])


def kappa_of(true: np.ndarray, named: np.ndarray) -> float:
    return sk.cohen_kappa_score(true, named, weights="quadratic", labels=range(5))


def recall_of(label: int) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda true, shares: sk.recall_score(
        true, shares.argmax(axis=1), labels=[label], average="macro", zero_division=0
    )


LIBRARIES: dict[str, dict[str, Callable[[np.ndarray, np.ndarray], float]]] = {
    "value": {
        # scikit-learn divides by rounding errors where the mean of equal truths is not quite their value.
        "r2": lambda true, predicted: sk.r2_score(true, predicted) if np.ptp(true) else 0.0,
        "mae": sk.mean_absolute_error,
        "rmse": sk.root_mean_squared_error,
        "spearman": lambda true, predicted: stats.spearmanr(true, predicted).statistic,
        "kendall": lambda true, predicted: stats.kendalltau(true, predicted).statistic,
        "pairwise_accuracy": pairs_in_order,
        "ndcg_at_100": gain_by_hand,
        "precision_at_10pct": top_by_hand,
    },
    "classes": {
        "accuracy": lambda true, shares: sk.accuracy_score(true, shares.argmax(axis=1)),
        "majority_lift": lambda true, shares: (
            sk.accuracy_score(true, shares.argmax(axis=1)) - (true == stats.mode(true).mode).mean()
        ),
        "macro_f1": lambda true, shares: np.mean([one for one, _ in scores_by_class(true, shares.argmax(axis=1))]),
        "weighted_f1": lambda true, shares: (
            sum(one * num for one, num in scores_by_class(true, shares.argmax(axis=1))) / len(true)
        ),
        "kappa": lambda true, shares: kappa_of(true, shares.argmax(axis=1)),
        "ordinal_mae": lambda true, shares: sk.mean_absolute_error(true, shares.argmax(axis=1)),
        "median_kappa": lambda true, shares: kappa_of(true, median_of(shares)),
        "median_ordinal_mae": lambda true, shares: sk.mean_absolute_error(true, median_of(shares)),
        "ece": gaps_by_hand,
        **{
            f"recall_{name}": recall_of(label)
            for label, name in enumerate(("very_low", "low", "medium", "high", "very_high"))
        },
    },
}


def test_every_metric_is_compared() -> None:
    assert {kind: set(table) for kind, table in metrics.METRICS.items()} == {
        kind: set(table) for kind, table in LIBRARIES.items()
    }


@pytest.mark.parametrize("case", ["random", "ties", "constant predictions", "constant truth", "both constant"])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in LIBRARIES.items() for name in table])
def test_every_metric_on_random_and_degenerate_rows(kind: str, name: str, case: str) -> None:
    """Where a library has no value, ours is 0."""
    for num in (1, 2, 7, 60, 150):
        true, predicted = CASES[kind](case, num)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.nan_to_num(LIBRARIES[kind][name](true, predicted))
        assert metrics.METRICS[kind].load(name)(true, predicted) == pytest.approx(expected, abs=1e-9), num


def test_the_median_class_reads_probabilities_as_an_order() -> None:
    shares = np.array([[0.4, 0.0, 0.3, 0.3, 0.0], [0.5, 0.0, 0.0, 0.0, 0.5], [0.1, 0.1, 0.1, 0.3, 0.4], [0, 0, 0, 0, 1.0]])
    assert metrics.median_classes(shares).tolist() == [2, 0, 3, 4]  # the most probable ones are 0, 0, 4, 4
    found = metrics.compute_metrics("classes", LABELS, PROBABILITIES)
    median = np.array(
        [int(np.flatnonzero(np.cumsum(row) >= 0.5)[0]) for row in PROBABILITIES / PROBABILITIES.sum(1)[:, None]]
    )
    assert found["median_kappa"] == pytest.approx(sk.cohen_kappa_score(LABELS, median, weights="quadratic"))
    assert found["median_ordinal_mae"] == pytest.approx(np.abs(LABELS - median).mean())


def test_a_constant_prediction() -> None:
    found = metrics.compute_metrics("value", TRUE, np.full(200, TRUE.mean()))
    assert found["r2"] == pytest.approx(0.0)
    assert found["spearman"] == found["kendall"] == 0.0
    assert found["pairwise_accuracy"] == 0.5
    assert metrics.precision_at_10pct(np.arange(200.0), np.zeros(200)) == pytest.approx(0.1)


def test_a_perfect_prediction() -> None:
    found = metrics.compute_metrics("value", TRUE, TRUE)
    assert found["r2"] == found["precision_at_10pct"] == 1.0
    assert found["pairwise_accuracy"] == pytest.approx(1.0)
    assert found["ndcg_at_100"] == pytest.approx(1.0)
    sure = metrics.compute_metrics("classes", LABELS, np.eye(5)[LABELS])
    assert sure["accuracy"] == sure["kappa"] == sure["macro_f1"] == 1.0
    assert sure["ece"] == 0.0


@pytest.mark.parametrize("kind", metrics.METRICS)
def test_one_row_and_one_class_have_values(kind: str) -> None:
    true = np.array([1.5]) if kind == "value" else np.array([2])
    predicted = np.array([1.0]) if kind == "value" else np.eye(5)[[2]]
    assert np.isfinite(list(metrics.compute_metrics(kind, true, predicted).values())).all()


def test_ece_by_hand() -> None:
    probabilities = np.tile([0.6, 0.4, 0, 0, 0], (10, 1))
    true = np.array([0] * 3 + [1] * 7)
    assert metrics.ece(true, probabilities) == pytest.approx(0.3)


def test_bootstrap_brackets_the_value() -> None:
    found = metrics.bootstrap_metrics("value", TRUE, PREDICTED, num_resamples=100)
    for name in ("r2", "mae", "spearman"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found == metrics.bootstrap_metrics("value", TRUE, PREDICTED, num_resamples=100)


def test_the_bootstrap_draws_equal_rows_for_equal_seeds_and_takes_percentiles() -> None:
    draws, again = (np.stack(list(resample(7, 40, seed=3))) for _ in range(2))
    assert draws.shape == (40, 7)
    assert np.array_equal(draws, again)
    assert set(np.unique(draws)) == set(range(7))
    assert with_bounds(5.0, np.arange(101.0)) == {"value": 5.0, "low": 2.5, "high": 97.5}
    assert with_bounds(5.0, []) == {"value": 5.0, "low": 5.0, "high": 5.0}


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_metrics_of_a_draw_follow_from_the_counts_of_its_rows(kind: str) -> None:
    true, predicted = (TRUE, PREDICTED) if kind == "value" else (LABELS, PROBABILITIES)
    counted = RESAMPLED[kind](true, predicted)
    for rows in resample(len(true), 20):
        counted.draw(np.bincount(rows, minlength=len(true)))
        found = {name: metric() for name, metric in counted.metrics.items()}
        wanted = metrics.compute_metrics(kind, true[rows], predicted[rows])
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            # Concordant pairs are known to first order: what is left is a fraction 1 / n.
            tolerance = 0.03 if name in ("kendall", "pairwise_accuracy") else 1e-9
            assert found[name] == pytest.approx(value, abs=tolerance), name


def test_concordant_pairs_are_first_order_in_the_counts_and_exact_of_all_rows() -> None:
    counted = RESAMPLED["value"](TRUE, PREDICTED)
    counted.draw(np.ones(len(TRUE), np.int64))
    signs = np.sign(TRUE[:, None] - TRUE[None]) * np.sign(PREDICTED[:, None] - PREDICTED[None])
    np.testing.assert_array_equal(counted._concordance, signs.sum(axis=1))
    big = np.random.default_rng(1)
    true = big.normal(size=6_000)
    predicted = true + 2 * big.normal(size=6_000)
    counted = RESAMPLED["value"](true, predicted)
    for rows in resample(6_000, 3):
        counted.draw(np.bincount(rows, minlength=6_000))
        found = counted.metrics["pairwise_accuracy"]()
        assert found == pytest.approx(metrics.pairwise_accuracy(true[rows], predicted[rows]), abs=1e-3)


@pytest.mark.parametrize("kind", ["value", "classes"])
def test_intervals_of_many_rows_are_those_of_few(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true, predicted = (TRUE, PREDICTED) if kind == "value" else (LABELS, PROBABILITIES)
    few = metrics.bootstrap_metrics(kind, true, predicted, num_resamples=200)
    monkeypatch.setattr(metrics, "MOST_SORTED", 100)
    many = metrics.bootstrap_metrics(kind, true, predicted, num_resamples=200)
    for name, bounds in few.items():
        assert many[name] == pytest.approx(bounds, abs=0.01 if name in ("kendall", "pairwise_accuracy") else 1e-9), name


def test_a_draw_of_equal_rows_has_no_order() -> None:
    counted = RESAMPLED["value"](TRUE, PREDICTED)
    counted.draw(np.eye(1, len(TRUE), 7, dtype=np.int64)[0] * 9)
    found = {name: metric() for name, metric in counted.metrics.items()}
    assert (found["r2"], found["spearman"], found["kendall"], found["pairwise_accuracy"]) == (0.0, 0.0, 0.0, 0.5)
