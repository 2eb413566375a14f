"""Metrics, each computed once over a whole split, and their bootstrap intervals.

A metric is one function and one line. Where it is not defined (a constant prediction has no rank correlation) it is 0,
and its docstring says so. scipy and scikit-learn are loaded where they are used: a prediction needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from engage_cli.config.general import CLASS_NAMES
from engage_cli.metrics._resampled import RESAMPLED
from engage_cli.metrics.bootstrap import resample, with_bounds
from engage_cli.registry import Registry

VALUE_METRICS = Registry(
    "metric",
    {
        "r2": "engage_cli.metrics.metrics:r2",
        "mae": "engage_cli.metrics.metrics:mae",
        "rmse": "engage_cli.metrics.metrics:rmse",
        "spearman": "engage_cli.metrics.metrics:spearman",
        "kendall": "engage_cli.metrics.metrics:kendall",
        "pairwise_accuracy": "engage_cli.metrics.metrics:pairwise_accuracy",
        "ndcg_at_100": "engage_cli.metrics.metrics:ndcg_at_100",
        "precision_at_10pct": "engage_cli.metrics.metrics:precision_at_10pct",
    },
)
CLASS_METRICS = Registry(
    "metric",
    {
        "accuracy": "engage_cli.metrics.metrics:accuracy",
        "majority_lift": "engage_cli.metrics.metrics:majority_lift",
        "macro_f1": "engage_cli.metrics.metrics:macro_f1",
        "weighted_f1": "engage_cli.metrics.metrics:weighted_f1",
        "kappa": "engage_cli.metrics.metrics:kappa",
        "ordinal_mae": "engage_cli.metrics.metrics:ordinal_mae",
        "median_kappa": "engage_cli.metrics.metrics:median_kappa",
        "median_ordinal_mae": "engage_cli.metrics.metrics:median_ordinal_mae",
        "ece": "engage_cli.metrics.metrics:ece",
        **{
            f"recall_{name.lower().replace(' ', '_')}": f"engage_cli.metrics.metrics:recall_{k}"
            for k, name in enumerate(CLASS_NAMES)
        },
    },
)
METRICS = {"value": VALUE_METRICS, "classes": CLASS_METRICS}
PRIMARY = {"value": "r2", "classes": "kappa"}
NUM_CLASSES = len(CLASS_NAMES)
NUM_BINS = 15
MOST_SORTED = 5_000  # rows of which every draw is taken apart and ranked anew

Metric = Callable[[np.ndarray, np.ndarray], float]  # (true (n,), predicted (n,) or (n, 5)) -> score


def compute_metrics(
    kind: str, true: np.ndarray, predicted: np.ndarray, names: Sequence[str] | None = None
) -> dict[str, float]:
    """Return the named metrics of a kind, or every one; `predicted` is values (n,) or probabilities (n, 5)."""
    chosen = METRICS[kind] if names is None else names
    return {name: METRICS[kind].load(name)(true, predicted) for name in chosen}


def bootstrap_metrics(
    kind: str,
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    num_resamples: int,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> dict[str, dict[str, float]]:
    """Return name -> value, and low and high: the 2.5th and 97.5th percentile over resampled rows.

    `names` None: every metric of the kind. Of more than MOST_SORTED rows a draw is computed from the counts of its rows.
    """
    point = compute_metrics(kind, true, predicted, names)
    counted = RESAMPLED[kind](true, predicted) if len(true) > MOST_SORTED and num_resamples else None
    known = counted.metrics if counted is not None else {}
    draws: dict[str, list[float]] = {name: [] for name in point}
    for rows in resample(len(true), num_resamples, seed=seed):
        if counted is not None:
            counted.draw(np.bincount(rows, minlength=len(true)))
        for name, found in draws.items():
            found.append(known[name]() if name in known else METRICS[kind].load(name)(true[rows], predicted[rows]))
    return {name: with_bounds(value, draws[name]) for name, value in point.items()}


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    """1 - squared error over squared deviation from this split's own mean; 0 where the truth is constant."""
    # The mean of equal numbers may differ from them in a last digit.
    spread = 0.0 if _is_constant(true) else float(((true - true.mean()) ** 2).sum())
    return 1.0 - float(((true - predicted) ** 2).sum()) / spread if spread > 0 else 0.0


def mae(true: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.abs(true - predicted).mean())


def rmse(true: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.sqrt(((true - predicted) ** 2).mean()))


def spearman(true: np.ndarray, predicted: np.ndarray) -> float:
    """Rank correlation; 0 where a side is constant."""
    if _is_constant(true) or _is_constant(predicted):
        return 0.0
    from scipy import stats

    return float(np.corrcoef(stats.rankdata(true), stats.rankdata(predicted))[0, 1])


def kendall(true: np.ndarray, predicted: np.ndarray) -> float:
    """Kendall's tau-b; 0 where a side is constant."""
    if _is_constant(true) or _is_constant(predicted):
        return 0.0
    from scipy import stats

    return float(stats.kendalltau(true, predicted).statistic)


def pairwise_accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share of pairs with different truths that are put in the right order; a tie in the prediction counts half."""
    pairs = len(true) * (len(true) - 1) / 2
    differing_true, differing_predicted = pairs - _tied_pairs(true), pairs - _tied_pairs(predicted)
    if differing_true == 0:
        return 0.5
    # tau-b = (concordant - discordant) / sqrt(pairs untied in one side x pairs untied in the other)
    excess = kendall(true, predicted) * np.sqrt(differing_true * differing_predicted)
    return float(0.5 + excess / (2 * differing_true))


def ndcg_at_100(true: np.ndarray, predicted: np.ndarray) -> float:
    """Discounted gain of the 100 highest predictions over the best possible; gain = rank of the truth, 0 to 1."""
    from scipy import stats
    from sklearn import metrics as sk

    if len(true) < 2:
        return 1.0
    gain = (stats.rankdata(true) - 1) / (len(true) - 1)
    return float(sk.ndcg_score(gain[None], np.asarray(predicted, np.float64)[None], k=100))


def precision_at_10pct(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the tenth predicted highest whose truth is at least that of the true highest tenth.

    Where predictions tie at the edge each counts in part, so that a constant is right by chance only.
    """
    num = max(1, round(len(true) / 10))
    edge = np.partition(true, -num)[-num]
    return float(_membership_of_top(predicted, num)[true >= edge].sum() / num)


def accuracy(true: np.ndarray, predicted: np.ndarray) -> float:
    return float((predicted.argmax(axis=1) == true).mean())


def majority_lift(true: np.ndarray, predicted: np.ndarray) -> float:
    """Accuracy minus that of always naming this split's most frequent class."""
    return accuracy(true, predicted) - float(np.bincount(true, minlength=NUM_CLASSES).max() / len(true))


def macro_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn import metrics as sk

    return float(sk.f1_score(true, predicted.argmax(axis=1), average="macro", zero_division=0))


def weighted_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn import metrics as sk

    return float(sk.f1_score(true, predicted.argmax(axis=1), average="weighted", zero_division=0))


def kappa(true: np.ndarray, predicted: np.ndarray) -> float:
    """Quadratic weighted kappa; 0 where truth and prediction are one and the same single class."""
    return _kappa(true, predicted.argmax(axis=1))


def ordinal_mae(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean distance, in classes, between the predicted class and the true one."""
    return float(np.abs(predicted.argmax(axis=1) - true).mean())


def median_kappa(true: np.ndarray, predicted: np.ndarray) -> float:
    """Kappa of the probabilities' median class: read as an order, which the most probable class is not."""
    return _kappa(true, median_classes(predicted))


def median_ordinal_mae(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean distance, in classes, between the median class and the true one; no other class has a smaller expected one."""
    return float(np.abs(median_classes(predicted) - true).mean())


def median_classes(probabilities: np.ndarray) -> np.ndarray:
    """Return (n,) int64: the first class at which half of the probability is reached."""
    reached = probabilities.cumsum(axis=1) >= 0.5 * probabilities.sum(axis=1, keepdims=True)
    return np.asarray(reached.argmax(axis=1), np.int64)


def _kappa(true: np.ndarray, labels: np.ndarray) -> float:
    seen = np.zeros((NUM_CLASSES, NUM_CLASSES))
    np.add.at(seen, (true, labels), 1)
    weights = (np.arange(NUM_CLASSES)[:, None] - np.arange(NUM_CLASSES)[None]) ** 2
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / len(true)
    chance = float((weights * expected).sum())
    return 1.0 - float((weights * seen).sum()) / chance if chance > 0 else 0.0


def ece(true: np.ndarray, predicted: np.ndarray) -> float:
    """Expected calibration error of the named class's probability, 15 equal bins (Guo et al. 2017)."""
    confidence = predicted.max(axis=1)
    right = predicted.argmax(axis=1) == true
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(true))


def _recall_of(label: int) -> Metric:
    def recall(true: np.ndarray, predicted: np.ndarray) -> float:
        """Share of this class's posts that are named so; 0 where the split has none."""
        rows = true == label
        return float((predicted.argmax(axis=1)[rows] == label).mean()) if rows.any() else 0.0

    return recall


recall_0, recall_1, recall_2, recall_3, recall_4 = (_recall_of(label) for label in range(NUM_CLASSES))


def true_of(kind: str, scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return scores if kind == "value" else classes


def better(kind: str, scores: Mapping[str, float], best: float | None) -> bool:
    """Is the primary metric (R², or quadratic kappa) higher than the best so far?"""
    return best is None or scores[PRIMARY[kind]] > best


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _tied_pairs(values: np.ndarray) -> float:
    counts = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1) / 2).sum())


def _membership_of_top(values: np.ndarray, num: int) -> np.ndarray:
    """1 for values certainly among the `num` highest, a share for those tied at the edge, else 0."""
    edge = np.partition(values, -num)[-num]
    above, tied = values > edge, values == edge
    return above + tied * ((num - above.sum()) / tied.sum())
