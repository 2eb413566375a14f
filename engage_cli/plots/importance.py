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
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engage_cli.models.boosting.shap import Attribution
from engage_cli.plots._style import (
    BLUE,
    DPI,
    EDGE,
    INK,
    ORANGE,
    PALE,
    drawable,
    font,
    readable,
    shorten,
    style_axes,
    style_ticks,
    wrap,
    write,
)

# Pixels.
WIDTH, MARGIN = 1500, 18
BAR, STRIP = 38, 54  # a row of a panel
AROUND, COLOUR_BAR = 114, 50  # a panel's heading and x axis
TITLE, BANNER_LINE, BANNER_PAD, WORDS = 44, 30, 14, 34
# Inches, at most.
NAME, SIDE, UNIT, TEXT = 3.1, 1.5, 3.0, (WIDTH - 2 * MARGIN) / DPI

TINT, SOFT_INK, NO_RANK = "#FFE8BF", "#5C5C5C", "#808080"  # the tint of the banner is 92 % as bright as white
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
    words = f"over {_posts(why.rows)}"
    if any(share.loss_change < 0 for part in shares for share in part):
        words += "; below 0 the loss falls without it"
    figure, panels = _make_figure([(len(part), BAR, AROUND) for part in shares], title, mark, words)
    label = f"rise of the {_shown(why.loss, UNIT, 10)} without it"
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
    words = f"contributions to the predictions of {_posts(why.rows)}: the model's view, not a cause"
    sizes, foot = [(len(groups), BAR, AROUND)], 0
    if why.shown:
        sizes.append((len(why.shown), STRIP, AROUND))
        foot = COLOUR_BAR
        words += f"; points of {_posts(len(drawn))}" if len(drawn) < why.rows else ""
    figure, panels = _make_figure(sizes, title, mark, words, foot)
    unit = _shown(why.unit, UNIT, 10)
    _draw_bars(panels[0], [share.mean_abs_shap for share in groups], f"mean absolute contribution, {unit}")
    _name_rows(panels[0], [share.name for share in groups], [])
    _head(panels[0], "groups of features")
    if why.shown:
        _draw_strips(panels[1], why.contributions[drawn], why.ranks[drawn])
        _draw_colour_bar(figure)
        of = {share.name: share.group for share in why.features}
        _name_rows(panels[1], why.shown, [of.get(name, "") for name in why.shown])
        panels[1].set_xlabel(f"contribution, {unit}", color=INK, fontproperties=font(10), parse_math=False)
        _head(panels[1], "features, one point a post")
    return figure


def _make_figure(
    sizes: Sequence[tuple[int, int, int]], title: str, mark: str, words: str, foot: int = 0
) -> tuple[Figure, list[Axes]]:
    """Return panels of (rows, pixels a row, pixels around) under title, banner and small text, above `foot` free pixels."""
    title = shorten(drawable(title), TEXT, font(11.5, "bold"))
    lines = wrap(readable(mark, "bold"), TEXT - 2 * BANNER_PAD / DPI, font(10, "bold"))
    banner = len(lines) * BANNER_LINE + 2 * BANNER_PAD if lines else 0
    head = MARGIN + (TITLE if title else 0) + (banner + MARGIN if lines else 0) + WORDS
    height = head + sum(rows * row + around for rows, row, around in sizes) + foot
    # A figure's pixels are rounded down.
    figure = Figure(figsize=((WIDTH + 0.01) / DPI, (height + 0.01) / DPI), dpi=DPI, facecolor="white")
    pad = MARGIN / DPI
    inner = (0, foot / height, 1, 1 - (head + foot) / height)
    figure.set_layout_engine("constrained", rect=inner, h_pad=pad / 2, w_pad=pad, hspace=0, wspace=0)

    def put(text: str, top: float, size: float, weight: str = "normal", left: float = MARGIN) -> None:
        place = (left / WIDTH, 1 - top / height)
        figure.text(*place, text, va="top", color=INK, fontproperties=font(size, weight), parse_math=False)

    top = MARGIN
    if title:
        put(title, top, 11.5, "bold")
        top += TITLE
    if lines:
        corner = (MARGIN / WIDTH, 1 - (top + banner) / height)
        box = Rectangle(corner, 1 - 2 * MARGIN / WIDTH, banner / height, transform=figure.transFigure)
        box.set(facecolor=TINT, edgecolor=INK, linewidth=1.2)
        figure.add_artist(box)
        for place, line in enumerate(lines):
            put(line, top + BANNER_PAD + place * BANNER_LINE + 3, 10, "bold", MARGIN + BANNER_PAD)
        top += banner + MARGIN
    put(words, top, 8.5)
    grid = figure.add_gridspec(len(sizes), height_ratios=[rows * row for rows, row, _ in sizes])
    return figure, [figure.add_subplot(grid[place], facecolor="white") for place in range(len(sizes))]


def _draw_bars(axes: Axes, values: Sequence[float], label: str) -> None:
    style_axes(axes)
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
    axes.set_xlabel(label, color=INK, fontproperties=font(10), parse_math=False)


def _draw_strips(axes: Axes, contributions: np.ndarray, ranks: np.ndarray) -> None:
    style_axes(axes)
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
    height = figure.bbox.height
    axes = figure.add_axes((0.38, (COLOUR_BAR - 32) / height, 0.3, 14 / height))
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
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _minus(f"{value:g}")))
    axes.grid(False, axis="y")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=PALE, linewidth=0.6, zorder=0)
    _write_rows(axes, names, NAME, 9, INK)
    if any(sides):
        right = axes.twinx()
        for spine in right.spines.values():
            spine.set_visible(False)
        _write_rows(right, sides, SIDE, 8.5, SOFT_INK)


def _write_rows(axes: Axes, texts: Sequence[str], inches: float, size: float, colour: str) -> None:
    axes.set_ylim(len(texts) - 0.5, -0.5)
    style_ticks(axes)
    axes.tick_params(axis="y", length=0)
    shown = [_shown(text, inches, size) if text else "" for text in texts]
    axes.set_yticks(range(len(texts)), shown, color=colour, fontproperties=font(size), parse_math=False)


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", color=INK, fontproperties=font(10.5, "bold"), pad=7)


def _shown(text: str, inches: float, size: float) -> str:
    return shorten(readable(text.replace("_", " ")) or "…", inches, font(size))


def _numbers(values: Sequence[float]) -> list[str]:
    """Give all the same decimals, as many as the largest needs for three digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = 2 - math.floor(math.log10(largest)) if largest > 0 else 0
    form = f".{max(0, decimals)}f" if -4 <= decimals <= 6 else ".2e"
    texts = [_minus(f"{value:{form}}") if math.isfinite(value) else "not finite" for value in values]
    return [text if any(digit in text for digit in "123456789") else text.lstrip("−") for text in texts]


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _posts(num: int) -> str:
    return f"{num:,} post{'' if num == 1 else 's'}"
