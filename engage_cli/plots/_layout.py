"""The frame of an evaluation's plots: title, warning and a small line over the axes, on light or on dark paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engage_cli.config.general import LEAKY
from engage_cli.evaluation.results import Score
from engage_cli.plots._style import DPI, Palette, font, readable, shorten, style_axes, style_ticks, wrap

# Inches. A phone shows the plots at less than half their pixels: hence narrow ones, with large letters.
WIDTH, MARGIN = 5.6, 0.12
TITLE_LINE, WORDS_LINE, BANNER_LINE, BANNER_PAD = 0.21, 0.175, 0.2, 0.08
TEXT = WIDTH - 2 * MARGIN
MOST_POINTS = 2000  # of more, the density is drawn
HEXAGONS = 44  # from side to side


def make_frame(score: Score, title: str, height: float, palette: Palette) -> Figure:
    """Return a figure with `height` inches for its axes under the title, a warning if need be, and what was scored."""
    titles = wrap(readable(title, "bold"), TEXT, font(11, "bold"))
    banner = wrap(readable(LEAKY, "bold"), TEXT - 2 * BANNER_PAD, font(9, "bold")) if score.leaky else []
    # A name's end tells more than the folders before it.
    name = score.name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    words = [
        shorten(readable(line), TEXT, font(8.5)) for line in (name, f"{score.unit}, {count_posts(score.rows)}") if line
    ]
    boxed = len(banner) * BANNER_LINE + 2 * BANNER_PAD + MARGIN / 2 if banner else 0.0
    head = MARGIN + len(titles) * TITLE_LINE + boxed + len(words) * WORDS_LINE
    total = head + height
    # A figure's pixels are rounded down.
    figure = Figure(figsize=(WIDTH + 1e-4, total + 1e-4), dpi=DPI, facecolor=palette.paper)
    pad = MARGIN / 2
    figure.set_layout_engine("constrained", rect=(0, 0, 1, height / total), h_pad=pad, w_pad=pad, hspace=0, wspace=0)
    top = MARGIN

    def put(text: str, size: float, weight: str, colour: str, left: float = MARGIN) -> None:
        place = (left / WIDTH, 1 - top / total)
        figure.text(*place, text, va="top", color=colour, fontproperties=font(size, weight), parse_math=False)

    for line in titles:
        put(line, 11, "bold", palette.ink)
        top += TITLE_LINE
    if banner:
        size = len(banner) * BANNER_LINE + 2 * BANNER_PAD
        corner = (MARGIN / WIDTH, 1 - (top + size) / total)
        box = Rectangle(corner, TEXT / WIDTH, size / total, transform=figure.transFigure)
        box.set(facecolor=palette.tint, edgecolor=palette.ink, linewidth=1)
        figure.add_artist(box)
        top += BANNER_PAD
        for line in banner:
            top += BANNER_LINE / 8
            put(line, 9, "bold", palette.ink, MARGIN + BANNER_PAD)
            top += 7 * BANNER_LINE / 8
        top += BANNER_PAD + MARGIN / 2
    for line in words:
        put(line, 8.5, "normal", palette.soft)
        top += WORDS_LINE
    return figure


def dress(axes: Axes, palette: Palette, *, x: str = "", y: str = "") -> None:
    """Give axes colours, labels and round ticks. To be called before their limits are set."""
    axes.set_facecolor(palette.paper)
    style_axes(axes, palette)
    for axis, label in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: write_number(value)))
        axis.set_label_text(label, color=palette.ink, fontproperties=font(10), parse_math=False)


def finish(axes: Axes, palette: Palette, *, legend: int = 0) -> None:
    """To be called when everything is drawn; `legend` is how many columns it has over the axes."""
    style_ticks(axes, palette)
    if legend:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=legend,
            frameon=False,
            columnspacing=1.2,
            handlelength=1.4,
            handletextpad=0.5,
            borderpad=0.2,
            borderaxespad=0.2,
            labelcolor=palette.ink,
            prop=font(9),
        )


def draw_cloud(axes: Axes, x: np.ndarray, y: np.ndarray, palette: Palette) -> ScalarMappable | None:
    """Draw points, or of many posts how many lie where, and return what a colour bar needs. The limits must be set."""
    if len(x) <= MOST_POINTS:
        alpha = 0.75 if len(x) <= 300 else 0.45
        axes.scatter(x, y, s=14, color=palette.first, alpha=alpha, linewidths=0, zorder=3)
        return None
    extent = (*axes.get_xlim(), *axes.get_ylim())
    cloud = axes.hexbin(x, y, gridsize=HEXAGONS, extent=extent, mincnt=1, cmap=shades_of(palette), linewidths=0.1, zorder=3)
    cloud.set_norm(LogNorm(1, max(2.0, float(np.asarray(cloud.get_array()).max()))))
    return cloud


def draw_colour_bar(figure: Figure, axes: Axes, cloud: ScalarMappable, palette: Palette) -> None:
    bar = figure.colorbar(cloud, ax=axes, pad=0.015, aspect=30, label="posts")
    bar.ax.minorticks_off()
    bar.outline.set(edgecolor=palette.edge, linewidth=0.8)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    style_ticks(bar.ax, palette)
    bar.ax.yaxis.label.set(color=palette.ink, fontproperties=font(9))


def shades_of(palette: Palette, first: str = "") -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("few to many", [*([first] if first else []), *palette.shades])


def limits_of(values: Sequence[np.ndarray], margin: float = 0.04) -> tuple[float, float]:
    """Return ends a little beyond all values, apart even where all are equal."""
    low, high = (float(end(np.concatenate(values))) for end in (np.min, np.max))
    pad = margin * (high - low) or max(1.0, 0.05 * abs(low))
    return low - pad, high + pad


def write_number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def count_posts(num: int) -> str:
    return f"{num:,} post{'' if num == 1 else 's'}"
