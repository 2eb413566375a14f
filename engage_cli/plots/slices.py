"""A run's score on some of the rows at a time: of one tag, one month, ..., as dots with their 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from engage_cli.evaluation.results import Score, Slice
from engage_cli.io.written_numbers import count_of, plain_number, with_minus
from engage_cli.metrics.descriptions import label_of
from engage_cli.metrics.metrics import PRIMARY
from engage_cli.plots._layout import dress, make_frame, write_rows
from engage_cli.plots._style import Palette, font, readable, shorten

MOST_SLICES = 12  # of each kind
ROW, AROUND, FOOT = 0.24, 0.34, 0.5  # inches
NAME, SIDE = 1.6, 1.5
WIDEST = 1.0  # below and above the score of all posts; R² of few posts has no lower end


def group_slices(slices: Sequence[Slice]) -> dict[str, list[Slice]]:
    """Return the slices by what they are of, in their order."""
    groups: dict[str, list[Slice]] = {}
    for one in slices:
        groups.setdefault(one.by, []).append(one)
    return groups


def drawn_slices(score: Score) -> dict[str, list[Slice]]:
    """Return the largest slices of each kind, in their order; none that is too small to have been scored."""
    found = {}
    for by, some in group_slices(score.slices).items():
        scored = [one for one in some if PRIMARY[score.kind] in one.metrics]
        if scored:
            least = sorted((one.rows for one in scored), reverse=True)[:MOST_SLICES][-1]
            found[by] = [one for one in scored if one.rows >= least][:MOST_SLICES]
    return found


def make_slices_figure(score: Score, palette: Palette) -> Figure:
    """The largest slices of each kind. What lies beyond the axis is an arrow at its end, and its number stands beside."""
    metric = PRIMARY[score.kind]
    groups = drawn_slices(score)
    of_all = score.metrics[metric]["value"]
    title = f"{label_of(metric)} by slice; dashed: all posts, {of_all:.3f}"
    figure = make_frame(score, title, FOOT + sum(len(some) * ROW + AROUND for some in groups.values()), palette)
    grid = figure.add_gridspec(len(groups), 1, height_ratios=[len(some) for some in groups.values()])
    found = [one.metrics[metric] for some in groups.values() for one in some]
    low = max(min(of_all, *(one["low"] for one in found)), of_all - WIDEST)
    high = min(max(of_all, *(one["high"] for one in found)), of_all + WIDEST)
    pad = 0.05 * (high - low) or 0.05
    for place, (by, some) in enumerate(groups.items()):
        axes = figure.add_subplot(grid[place])
        dress(axes, palette, x=label_of(metric) if place == len(groups) - 1 else "")
        axes.set_xlim(low - pad, high + pad)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=(1, 2, 5, 10)))
        axes.axvline(of_all, color=palette.ink, linewidth=1, linestyle="--", zorder=2)
        _draw_rows(axes, [one.metrics[metric] for one in some], palette)
        axes.grid(False, axis="y")
        write_rows(axes, [one.name or "(none)" for one in some], NAME, palette)
        sides = [f"{_number(one.metrics[metric]['value'])}, {count_of(one.rows)}" for one in some]
        write_rows(axes, sides, SIDE, palette, is_side=True)
        if place < len(groups) - 1:
            axes.tick_params(axis="x", labelbottom=False)
        heading = shorten(readable(by, "bold") or "…", NAME, font(9.5, "bold"))
        axes.set_title(heading, loc="left", color=palette.ink, fontproperties=font(9.5, "bold"), pad=4, parse_math=False)
    return figure


def _draw_rows(axes: Axes, found: Sequence[dict[str, float]], palette: Palette) -> None:
    low, high = axes.get_xlim()
    for row, one in enumerate(found):
        axes.plot([max(one["low"], low), min(one["high"], high)], [row, row], color=palette.first, linewidth=1.6, zorder=3)
        inside = low <= one["value"] <= high
        marker = "o" if inside else "<" if one["value"] < low else ">"
        x = min(max(one["value"], low), high)
        axes.plot([x], [row], marker, color=palette.first, markersize=6, markeredgewidth=0, zorder=4, clip_on=False)


def _number(value: float) -> str:
    return with_minus(f"{value:.2f}") if abs(value) < 100 else plain_number(float(f"{value:.3g}"))
