"""What metrics are called and mean, and how figures and verdicts are written, for people who have not met them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engage_cli.config.general import CLASS_NAMES
from engage_cli.io.written_numbers import with_minus
from engage_cli.metrics.paired_bootstrap import Comparison

IN_THE_UNIT = ("mae", "rmse", "width_80", "width_95")
LOG_UNITS = ("log1p(", "log(")  # what the formula of such a target begins with
LARGEST_POWER = 16.0  # of e; a larger factor is written as a power of ten


@dataclass(frozen=True)
class Words:
    """A metric's name and meaning."""

    label: str
    meaning: str
    better: str  # "higher", "lower", or "" where neither is


_WORDS = {
    "r2": Words(
        "R²", "share of the differences between posts that is explained; 0 is a constant guess, 1 is perfect", "higher"
    ),
    "mae": Words(
        "mean absolute error", "how far predictions are from the truth on average; of a logarithm also as a factor", "lower"
    ),
    "rmse": Words("root mean squared error", "like the mean absolute error, but large misses weigh more", "lower"),
    "spearman": Words(
        "Spearman", "how well the order of the posts is predicted; 0 is chance, 1 is the true order", "higher"
    ),
    "kendall": Words("Kendall", "the same, counted in pairs; 0 is chance, 1 is the true order", "higher"),
    "pairwise_accuracy": Words(
        "pairs in the right order", "of two posts, how often the better one is put first; 0.5 is chance", "higher"
    ),
    "ndcg_at_100": Words(
        "nDCG at 100",
        "how good the 100 posts ranked first are, with the most weight on the very first; 1 is perfect",
        "higher",
    ),
    "precision_at_10pct": Words(
        "top tenth found", "share of the tenth predicted highest that truly is of the top tenth; 0.1 is chance", "higher"
    ),
    "coverage_80": Words("coverage of 80 % intervals", "share of true values inside their interval; it should be 0.80", ""),
    "width_80": Words(
        "width of 80 % intervals", "mean width; of a logarithm also as factors around the predicted count", "lower"
    ),
    "coverage_95": Words("coverage of 95 % intervals", "share of true values inside their interval; it should be 0.95", ""),
    "width_95": Words(
        "width of 95 % intervals", "mean width; of a logarithm also as factors around the predicted count", "lower"
    ),
    "accuracy": Words("accuracy", "share of posts whose class is predicted correctly", "higher"),
    "majority_lift": Words(
        "lift over the majority", "accuracy minus that of always predicting the most frequent class; 0 is no gain", "higher"
    ),
    "macro_f1": Words("macro F1", "precision and recall in one, averaged over classes with equal weight", "higher"),
    "weighted_f1": Words("weighted F1", "the same, but frequent classes count more", "higher"),
    "kappa": Words(
        "quadratic kappa", "agreement beyond chance, where near misses count partly; 0 is chance, 1 is perfect", "higher"
    ),
    "ordinal_mae": Words("mean class distance", "how many classes away from the true one on average", "lower"),
    "median_kappa": Words(
        "kappa of the median class", "quadratic kappa of the median class of the predicted probabilities", "higher"
    ),
    "median_ordinal_mae": Words(
        "distance of the median class", "how many classes the median class is away from the true one on average", "lower"
    ),
    "ece": Words(
        "calibration error", "mean gap between the probability of the predicted class and how often it is right", "lower"
    ),
    "pair_ece": Words(
        "calibration error of pairs",
        "of two posts, mean gap between the predicted chance that the first wins and how often it does",
        "lower",
    ),
    "r2_within_experiments": Words(
        "R² within experiments", "share of the differences between variants that is explained; 0 is none", "higher"
    ),
    "variant_pairs": Words(
        "pairs of variants", "of two variants of one post, how often the better one is put first; 0.5 is chance", "higher"
    ),
    "variant_pairs_significant": Words(
        "pairs that clearly differ", "the same, of pairs whose counts differ by more than 1.96 standard errors", "higher"
    ),
    "variant_gain": Words(
        "clicks gained", "how many percent more clicks the variant predicted best gets than one taken at random", "higher"
    ),
    "variant_gain_share": Words(
        "share of the possible gain", "the same, in percent of what the variant with the best counts gets", "higher"
    ),
    "variant_ece": Words(
        "calibration error of variants",
        "mean gap between the predicted chance that one variant beats another and how often the counts show it",
        "lower",
    ),
    **{
        f"recall_{name.lower().replace(' ', '_')}": Words(
            f"recall of {name}", "share of this class's posts that are predicted as such", "higher"
        )
        for name in CLASS_NAMES
    },
}


def words_of(metric: str) -> Words:
    """Return a metric's words; one that has none is called by its name."""
    return _WORDS.get(metric) or Words(metric.replace("_", " "), "", "")


def label_of(metric: str) -> str:
    return words_of(metric).label


def write_figure(value: float, metric: str = "") -> str:
    """Write three digits behind the point; of a metric in the target's unit, which may be tiny or huge, three in all."""
    if metric in IN_THE_UNIT or abs(value) >= 100:
        text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:#.3g}".rstrip(".")
    else:
        text = f"{value:.3f}"
    return with_minus(text)


def write_factor(value: float, metric: str, unit: str) -> str:
    """Write a figure in log units as what a prediction is multiplied with; "" of a figure in any other unit.

    An error of 0.98 is "×2.7". An interval's width reaches as far down as up: 1.6 is "÷2.2 to ×2.2".
    """
    if metric not in IN_THE_UNIT or not unit.startswith(LOG_UNITS):
        return ""
    is_width = metric.startswith("width_")
    power = value / 2 if is_width else value
    if power > LARGEST_POWER:
        factor = f"10^{power / math.log(10):.0f}"
    else:
        factor = f"{math.exp(power):.1f}" if math.exp(power) < 9.95 else f"{math.exp(power):,.0f}"
    return f"÷{factor} to ×{factor}" if is_width else f"×{factor}"


def say_verdict(comparison: Comparison, *, beside: str = "") -> str:
    """Return the verdict with the metric's label; `beside` is what the other is called, if not by its name."""
    words = comparison.verdict.replace(
        f" {comparison.metric}, interval ", f" {label_of(comparison.metric)}, 95 % interval "
    )
    return words.replace(comparison.second, beside) if beside else words
