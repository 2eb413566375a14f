"""Plot of a run's experiments: whether the chance that one variant beats another comes true."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engage_cli.evaluation.experiments import ECE, NUM_BINS
from engage_cli.evaluation.reliability import Proportion
from engage_cli.evaluation.results import ExperimentScore, Score
from engage_cli.plots._layout import dress, finish, make_frame
from engage_cli.plots._style import Palette


def reliability_of_variants(found: ExperimentScore) -> list[tuple[float, Proportion]]:
    """Return the mean chance and how often it came true, in ten bins; of an odd number of ties half a win is dropped."""
    assert found.chances is not None
    assert found.wins is not None
    bins = np.minimum((found.chances * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return [
        (
            float(found.chances[bins == place].mean()),
            Proportion(name=f"{place}", hits=int(found.wins[bins == place].sum()), rows=int((bins == place).sum())),
        )
        for place in np.unique(bins)
    ]


def make_variants_figure(score: Score, palette: Palette) -> Figure:
    """How often the counts show a variant ahead, by the chance that was given; below, how many pairs have such a one."""
    assert score.experiments is not None
    found = reliability_of_variants(score.experiments)
    error = score.metrics[ECE]["value"]
    figure = make_frame(score, f"Chance that a variant beats another: calibration error {error:.3f}", 4.6, palette)
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    dress(upper, palette, y="the counts show it")
    dress(lower, palette, x="chance that the counts show it", y="pairs")
    upper.plot((0, 1), (0, 1), color=palette.second, linewidth=1.3, label="where both are equal")
    x, y = [mean for mean, _ in found], [one.share for _, one in found]
    ends = [[one.share - one.low for _, one in found], [one.high - one.share for _, one in found]]
    upper.errorbar(x, y, ends, color=palette.first, fmt="o", markersize=5.5, linewidth=1.5, label="pairs, 95 % intervals")
    upper.set(xlim=(0, 1), ylim=(-0.03, 1.03))
    places = [(int(one.name) + 0.5) / NUM_BINS for _, one in found]
    lower.bar(places, [one.rows for _, one in found], width=0.9 / NUM_BINS, color=palette.first, zorder=3)
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True, min_n_ticks=1))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    upper.tick_params(axis="x", labelbottom=False)
    finish(upper, palette, legend=2)
    finish(lower, palette)
    return figure
