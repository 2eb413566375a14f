"""Plots of a run that names one of five classes: what is taken for what, and whether its probabilities come true."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from engage_cli.config.general import CLASS_NAMES
from engage_cli.evaluation.reliability import reliability
from engage_cli.evaluation.results import Score
from engage_cli.metrics.metrics import NUM_BINS, NUM_CLASSES
from engage_cli.plots._layout import dress, finish, make_frame, shades_of
from engage_cli.plots._reliability import draw_reliability
from engage_cli.plots._style import Palette, font

EVEN = 0.179  # a luminance on which black and white letters stand out as much


def count_confusions(true: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return (5, 5) int64: posts by true class (rows) and named class (columns)."""
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)
    np.add.at(counts, (true, probabilities.argmax(axis=1)), 1)
    return counts


def make_confusion_figure(score: Score, palette: Palette) -> Figure:
    """Counts in the cells, coloured by the share of the true class."""
    accuracy, kappa = (score.metrics[name]["value"] for name in ("accuracy", "kappa"))
    figure = make_frame(score, f"Predicted against true class: accuracy {accuracy:.3f}, kappa {kappa:.3f}", 4.6, palette)
    axes = figure.add_subplot()
    dress(axes, palette, x="named class", y="true class")
    counts = count_confusions(score.true, score.predicted)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    shades = shades_of(palette, palette.paper)
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.grid(False)
    for row, column in np.ndindex(counts.shape):
        if totals[row, 0] == 0:
            words = "none" if column == 2 else ""
        else:
            words = f"{counts[row, column]:,}\n{100 * shares[row, column]:.0f} %"
        is_dark = _luminance(shades(shares[row, column])[:3]) < EVEN
        axes.text(
            column, row, words, ha="center", va="center", color="white" if is_dark else "black", fontproperties=font(9)
        )
    axes.set_xticks(range(NUM_CLASSES), CLASS_NAMES)
    axes.set_yticks(range(NUM_CLASSES), CLASS_NAMES)
    finish(axes, palette)
    return figure


def make_reliability_figure(score: Score, palette: Palette) -> Figure:
    """How often the named class is the true one, by its probability; below, how many posts have such a one."""
    found = reliability(score.true, score.predicted)
    error = score.metrics["ece"]["value"]
    figure = make_frame(score, f"Probability of the predicted class: calibration error {error:.3f}", 4.6, palette)
    draw_reliability(
        figure,
        found,
        [int(one.name.partition("/")[0]) for _, one in found],
        NUM_BINS,
        palette,
        given="probability of the predicted class",
        true="predicted class is right",
        counted="posts",
    )
    return figure


def _luminance(colour: tuple[float, ...]) -> float:
    """Of sRGB, about as WCAG defines it."""
    red, green, blue = (part**2.2 for part in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
