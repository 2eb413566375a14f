"""Metrics equal scikit-learn's and scipy's, and have a value where those have none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from engage_cli.core import metrics

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
