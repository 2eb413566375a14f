"""A reliability plot: how often something came true, by the probability that was given to it, and how many there were."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engage_cli.evaluation.reliability import Proportion
from engage_cli.plots._layout import dress, finish
from engage_cli.plots._style import Palette


def draw_reliability(
    figure: Figure,
    found: Sequence[tuple[float, Proportion]],
    places: Sequence[int],
    num_bins: int,
    palette: Palette,
    *,
    given: str,
    true: str,
    counted: str,
) -> None:
    """Fill a figure. `found` are each bin's mean probability and how often it came true, `places` the bins' numbers.

    `given` and `true` name the axes, `counted` what is counted.
    """
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    upper = figure.add_subplot(grid[0])
    lower = figure.add_subplot(grid[1], sharex=upper)
    dress(upper, palette, y=true)
    dress(lower, palette, x=given, y=counted)
    upper.plot((0, 1), (0, 1), color=palette.second, linewidth=1.3, label="where both are equal")
    x, y = [mean for mean, _ in found], [one.share for _, one in found]
    ends = [[one.share - one.low for _, one in found], [one.high - one.share for _, one in found]]
    label = f"{counted}, 95 % intervals"
    upper.errorbar(x, y, ends, color=palette.first, fmt="o", markersize=5.5, linewidth=1.5, label=label)
    upper.set(xlim=(0, 1), ylim=(-0.03, 1.03))
    middles = [(place + 0.5) / num_bins for place in places]  # a bar stands where its bin is, not at the bin's mean
    lower.bar(middles, [one.rows for _, one in found], width=0.9 / num_bins, color=palette.first, zorder=3)
    lower.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True, min_n_ticks=1))
    lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    upper.tick_params(axis="x", labelbottom=False)
    finish(upper, palette, legend=2)
    finish(lower, palette)
