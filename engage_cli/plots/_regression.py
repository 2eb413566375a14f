"""Plots of a run that predicts a value: predicted against true, misses, and whether its intervals keep their word."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from engage_cli.evaluation.reliability import FIFTHS, coverage_by_fifth, miss_bands
from engage_cli.evaluation.results import Score
from engage_cli.io.written_numbers import count_of
from engage_cli.metrics.descriptions import write_figure
from engage_cli.plots._layout import draw_cloud, draw_colour_bar, dress, finish, limits_of, make_frame
from engage_cli.plots._style import Palette

BARS = 36  # of the histogram
SERIES_GAP = 0.11  # from the middle to the 80 % intervals on one side and the 95 % ones on the other
LEVELS = ("80", "95")


def make_predicted_figure(score: Score, palette: Palette) -> Figure:
    """Both axes have one scale, so that the identity is the diagonal."""
    r2, spearman = (score.metrics[name]["value"] for name in ("r2", "spearman"))
    figure = make_frame(
        score, f"Predicted against true: R² {write_figure(r2)}, Spearman {write_figure(spearman)}", 4.6, palette
    )
    axes = figure.add_subplot()
    dress(axes, palette, x="true", y="predicted")
    limits = limits_of((score.true, score.predicted))
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.plot(limits, limits, color=palette.second, linewidth=1.3, zorder=4, label="where both are equal")
    if (cloud := draw_cloud(axes, score.true, score.predicted, palette)) is not None:
        draw_colour_bar(figure, axes, cloud, palette)
    finish(axes, palette, legend=1)
    return figure


def make_misses_figure(score: Score, palette: Palette) -> Figure:
    """The misses by prediction with their median and the middle 80 %, and beside it how often each size occurs."""
    misses = score.true - score.predicted
    figure = make_frame(score, f"Misses: {write_figure(score.metrics['mae']['value'], 'mae')} on average", 4.0, palette)
    grid = figure.add_gridspec(1, 2, width_ratios=(3.2, 1))
    left = figure.add_subplot(grid[0])
    right = figure.add_subplot(grid[1], sharey=left)
    dress(left, palette, x="predicted", y="true − predicted")
    dress(right, palette, x="posts")
    left.set(xlim=limits_of((score.predicted,)), ylim=limits_of((misses, np.zeros(1))))
    for axes in (left, right):
        axes.axhline(0, color=palette.ink, linewidth=1, zorder=2)
    is_dense = draw_cloud(left, score.predicted, misses, palette) is not None
    bands = miss_bands(score.predicted, misses)
    x = [band.predicted for band in bands]
    medians, lows, highs = ([getattr(band, key) for band in bands] for key in ("median", "low", "high"))
    if len(bands) > 1 and not is_dense:  # over the shades of a density it would be mud
        left.fill_between(x, lows, highs, color=palette.second, alpha=0.22, linewidth=0, zorder=4)
    elif len(bands) == 1:
        left.plot([x[0], x[0]], [lows[0], highs[0]], color=palette.second, alpha=0.5, linewidth=5, zorder=4)
    around = [withStroke(linewidth=4, foreground=palette.paper)] if is_dense else []
    for ends, label in ((lows, "the middle 80 %"), (highs, None)):
        left.plot(x, ends, color=palette.second, linewidth=1.3, zorder=5, label=label, path_effects=around)
    (line,) = left.plot(x, medians, color=palette.second, linewidth=2, zorder=6, label="median", path_effects=around)
    line.set(marker="o", markersize=4.5)
    right.hist(
        misses,
        bins=np.linspace(*left.get_ylim(), BARS + 1).tolist(),
        orientation="horizontal",
        color=palette.first,
        zorder=3,
    )
    right.xaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, min_n_ticks=1))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    right.tick_params(axis="y", labelleft=False)
    finish(left, palette, legend=2)
    finish(right, palette)
    return figure


def make_coverage_figure(score: Score, palette: Palette) -> Figure:
    """How many truths lie in their intervals, of all posts and by fifth of the prediction."""
    figure = make_frame(score, "How often the true value lies in the interval", 3.5, palette)
    axes = figure.add_subplot()
    dress(axes, palette, y="posts inside")
    names = ("all", *FIFTHS)
    lowest, rows = 1.0, {}
    present = [level for level in LEVELS if level in score.intervals]
    for level, colour, marker, side in zip(LEVELS, (palette.first, palette.second), "os", (-1, 1), strict=True):
        if level not in present:
            continue
        found = coverage_by_fifth(score.true, score.predicted, *score.intervals[level])
        lowest = min(lowest, int(level) / 100, *(one.low for one in found))
        rows = {one.name: one.rows for one in found}
        x = [_place(names.index(one.name)) + side * SERIES_GAP for one in found]
        y = [one.share for one in found]
        ends = [[one.share - one.low for one in found], [one.high - one.share for one in found]]
        axes.axhline(int(level) / 100, color=colour, linewidth=1.2, linestyle="--", zorder=2)
        axes.errorbar(
            x, y, ends, color=colour, fmt=marker, markersize=6, linewidth=1.6, zorder=4, label=f"{level} % intervals"
        )
    axes.axvline((_place(0) + _place(1)) / 2, color=palette.edge, linewidth=0.8)
    axes.set(xlim=(-0.6, _place(len(names) - 1) + 0.6), ylim=(max(-0.03, lowest - 0.04), 1.03))
    axes.grid(False, axis="x")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xticks(
        [_place(place) for place in range(len(names))],
        [f"{name}\n{rows.get(name, 0):,}" for name in names],
        parse_math=False,
    )
    axes.set_xlabel(f"fifths of the {count_of(score.rows)} by prediction, and how many posts each holds")
    axes.xaxis.label.set(color=palette.ink, size=9, fontfamily="DejaVu Sans")
    axes.plot([], [], color=palette.soft, linewidth=1.2, linestyle="--", label="what they promise")
    finish(axes, palette, legend=3)
    return figure


def _place(number: int) -> float:
    """All posts stand a little apart from the fifths."""
    return number + 0.35 * (number > 0)
