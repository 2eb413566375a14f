"""What predictions rest on as PNG files: the importance of groups and features, and contributions post by post."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from engage_cli.io.written_numbers import count_of, with_minus
from engage_cli.models.boosting.shap import Attribution
from engage_cli.plots._layout import FrameStyle, draw_frame, dress, write_rows
from engage_cli.plots._style import BLUE, DPI, EDGE, INK, LIGHT, ORANGE, PALE, drawable, font, readable, shorten, write

WIDE = FrameStyle(
    width=10.0,
    title_line=44 / DPI,
    banner_size=10,
    banner_pad=14 / DPI,
    words_line=34 / DPI,
    below_banner=0.12,
    beside_axes=0.12,
)
# Inches.
BAR, STRIP = 38 / DPI, 54 / DPI  # a row of a panel
AROUND, COLOUR_BAR = 114 / DPI, 50 / DPI  # a panel's heading and x axis; below the last panel
NAME, SIDE, UNIT = 3.1, 1.5, 3.0  # at most
NO_RANK = "#808080"
# Dark to light, without its lightest, which white paper would swallow.
COLOURS = ListedColormap(matplotlib.colormaps["plasma"](range(220)), name="low to high")
MOST_FEATURES = 20  # with a bar
MOST_POINTS = 2000  # in a strip
BINS = 120  # of a strip, in which points are counted; about as wide as a point


def draw_importance(folder: Path, why: Attribution, *, title: str = "", mark: str = "") -> None:
    """Write folder/plots/importance.png and folder/plots/shap.png; `mark` is a warning that both carry.

    The same attribution gives the same bytes.
    """
    write(make_importance_figure(why, title=title, mark=mark), folder / "plots" / "importance.png")
    write(make_shap_figure(why, title=title, mark=mark), folder / "plots" / "shap.png")


def make_importance_figure(why: Attribution, *, title: str = "", mark: str = "") -> Figure:
    """By how much the loss rises without each group, and below it without each of the first features."""
    features = why.features[:MOST_FEATURES]
    shares = [share for share in (why.groups, features) if share]
    words = f"over {count_of(why.rows)}"
    if any(share.loss_change < 0 for part in shares for share in part):
        words += "; below 0 the loss falls without it"
    figure, panels = _make_figure([(len(part), BAR, AROUND) for part in shares], title, mark, words)
    label = f"rise of the {_unit(why.loss)} without it"
    for axes, part in zip(panels, shares, strict=True):
        _draw_bars(axes, [share.loss_change for share in part], label)
        _name_rows(axes, [share.name for share in part], [] if part is why.groups else [share.group for share in part])
    _head(panels[0], "groups of features")
    if features:
        _head(
            panels[1],
            "features" if len(features) == len(why.features) else f"the {len(features)} features with the largest rise",
        )
    return figure


def make_shap_figure(why: Attribution, *, title: str = "", mark: str = "") -> Figure:
    """The groups' mean absolute contributions, and below them one strip a feature shown, with one point a post."""
    groups = sorted(why.groups, key=lambda share: -share.mean_abs_shap)
    drawn = np.unique(np.linspace(0, len(why.contributions) - 1, min(len(why.contributions), MOST_POINTS)).astype(int))
    words = f"contributions to the predictions of {count_of(why.rows)}: the model's view, not a cause"
    sizes, foot = [(len(groups), BAR, AROUND)], 0.0
    if why.shown:
        sizes.append((len(why.shown), STRIP, AROUND))
        foot = COLOUR_BAR
        words += f"; points of {count_of(len(drawn))}" if len(drawn) < why.rows else ""
    figure, panels = _make_figure(sizes, title, mark, words, foot)
    unit = _unit(why.unit)
    _draw_bars(panels[0], [share.mean_abs_shap for share in groups], f"mean absolute contribution, {unit}")
    _name_rows(panels[0], [share.name for share in groups], [])
    _head(panels[0], "groups of features")
    if why.shown:
        _draw_strips(panels[1], why.contributions[drawn], why.ranks[drawn], f"contribution, {unit}")
        _draw_colour_bar(figure)
        of = {share.name: share.group for share in why.features}
        _name_rows(panels[1], why.shown, [of.get(name, "") for name in why.shown])
        _head(panels[1], "features, one point a post")
    return figure


def _make_figure(
    sizes: Sequence[tuple[int, float, float]], title: str, mark: str, words: str, foot: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return panels of (rows, inches a row, inches around) under title, banner and small text, above `foot` free inches."""
    title = shorten(drawable(title), WIDE.text, font(WIDE.title_size, "bold"))
    height = sum(rows * row + around for rows, row, around in sizes)
    titles = [title] if title else []
    figure = draw_frame(WIDE, height, LIGHT, titles=titles, warning=mark, words=[words], foot=foot)
    grid = figure.add_gridspec(len(sizes), height_ratios=[rows * row for rows, row, _ in sizes])
    return figure, [figure.add_subplot(grid[place]) for place in range(len(sizes))]


def _draw_bars(axes: Axes, values: Sequence[float], label: str) -> None:
    dress(axes, LIGHT, x=label)
    ends = [value if math.isfinite(value) else 0.0 for value in values]
    axes.barh(range(len(ends)), ends, height=0.68, color=[BLUE if end >= 0 else ORANGE for end in ends], zorder=3)
    axes.axvline(0, color=INK, linewidth=1, zorder=4)
    low, high = min(0.0, *ends), max(0.0, *ends)
    if low == high:
        high = 1.0
    room = 0.17 * (high - low)  # for the numbers
    axes.set_xlim(low - (room if low < 0 else 0), high + room)
    for row, (end, text) in enumerate(zip(ends, _numbers(values), strict=True)):
        side, away = ("left", 4) if end >= 0 else ("right", -4)
        note = axes.annotate(text, (end, row), xytext=(away, 0), textcoords="offset points", ha=side, va="center_baseline")
        note.set(color=INK, fontproperties=font(8.5), zorder=5)
        note.set_bbox({"facecolor": "white", "linewidth": 0, "pad": 1})


def _draw_strips(axes: Axes, contributions: np.ndarray, ranks: np.ndarray, label: str) -> None:
    dress(axes, LIGHT, x=label)
    low, high = contributions.min(initial=0.0), contributions.max(initial=0.0)
    if low == high:
        low, high = -1.0, 1.0
    pad = 0.03 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    axes.axvline(0, color=INK, linewidth=1, zorder=2)
    # An order that has nothing to do with the posts', always the same: no shade covers the others.
    turn = np.argsort(np.arange(len(ranks)) * 0.6180339887498949 % 1, kind="stable")
    for row, (x, rank) in enumerate(zip(contributions[turn].T, ranks[turn].T, strict=True)):
        y = row + _spread((x - low) / (high - low))
        none = np.isnan(rank)
        axes.scatter(x[~none], y[~none], c=rank[~none], cmap=COLOURS, vmin=0, vmax=1, s=11, linewidths=0, zorder=3)
        axes.scatter(x[none], y[none], color=NO_RANK, s=10, marker="x", linewidths=0.6, zorder=3)
    if np.isnan(ranks).any():
        cross = axes.scatter([], [], color=NO_RANK, s=18, marker="x", linewidths=1, label="a category, or no value")
        legend = axes.legend(
            handles=[cross], loc="lower right", bbox_to_anchor=(1, 1), prop=font(9), labelcolor=INK, handlelength=1
        )
        legend.set_frame_on(False)


def _draw_colour_bar(figure: Figure) -> None:
    height = figure.bbox.height / DPI
    axes = figure.add_axes((0.38, (COLOUR_BAR - 32 / DPI) / height, 0.3, 14 / DPI / height))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axes, orientation="horizontal", ticks=[])
    bar.outline.set(edgecolor=EDGE, linewidth=0.8)
    for x, side, text in ((-0.02, "right", "low"), (1.02, "left", "high value of the feature")):
        axes.text(x, 0.5, text, transform=axes.transAxes, ha=side, va="center", color=INK, fontproperties=font(9))


def _spread(x: np.ndarray) -> np.ndarray:
    """Stack points of about the same x (0 to 1) around 0, at most 0.4 away, so that the densest place is the widest."""
    bins = np.rint(x * BINS).astype(int)
    order = np.argsort(bins, kind="stable")
    layers = np.arange(len(x)) - np.searchsorted(bins[order], bins[order])
    y = np.empty(len(x))
    y[order] = np.where(layers % 2, 1, -1) * ((layers + 1) // 2)
    return y * min(0.1, 0.4 / max(1.0, np.abs(y).max(initial=0)))


def _name_rows(axes: Axes, names: Sequence[str], sides: Sequence[str]) -> None:
    """Write names to the left, the first at the top, and what each belongs to, if given, to the right."""
    axes.grid(False, axis="y")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=PALE, linewidth=0.6, zorder=0)
    write_rows(axes, [_spaced(name) for name in names], NAME, LIGHT)
    if any(sides):
        write_rows(axes, [_spaced(side) for side in sides], SIDE, LIGHT, is_side=True)


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", color=INK, fontproperties=font(10.5, "bold"), pad=7)


def _unit(text: str) -> str:
    return shorten(readable(_spaced(text)) or "…", UNIT, font(10))


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _numbers(values: Sequence[float]) -> list[str]:
    """Give all the same decimals, as many as the largest needs for three digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = 2 - math.floor(math.log10(largest)) if largest > 0 else 0
    form = f".{max(0, decimals)}f" if -4 <= decimals <= 6 else ".2e"
    return [with_minus(f"{value:{form}}") if math.isfinite(value) else "not finite" for value in values]
