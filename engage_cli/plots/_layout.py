"""The frame of an evaluation's plots: title, warning and a small line over the axes, on light or on dark paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from engage_cli.config.general import LEAKY
from engage_cli.evaluation.results import Score
from engage_cli.io.written_numbers import count_of, plain_number
from engage_cli.plots._style import DPI, Palette, font, readable, shorten, style_axes, style_ticks, wrap

MOST_POINTS = 2000  # of more, the density is drawn
HEXAGONS = 44  # from side to side


@dataclass(frozen=True, kw_only=True)
class FrameStyle:
    """The sizes of what stands over the axes: letters in points, all else in inches."""

    width: float
    margin: float = 0.12
    title_size: float = 11.5
    title_line: float
    banner_size: float
    banner_line: float = 0.2
    banner_pad: float
    words_size: float = 8.5
    words_line: float
    below_banner: float  # free space
    beside_axes: float  # free space

    @property
    def text(self) -> float:
        """How wide a line may be."""
        return self.width - 2 * self.margin

    def banner_lines(self, warning: str) -> list[str]:
        return wrap(readable(warning, "bold"), self.text - 2 * self.banner_pad, font(self.banner_size, "bold"))

    def head(self, *, titles: int, banner: int = 0, words: int = 0) -> float:
        """How high so many lines of each are together."""
        boxed = self.box(banner) + self.below_banner if banner else 0.0
        return self.margin + titles * self.title_line + boxed + words * self.words_line

    def box(self, lines: int) -> float:
        return lines * self.banner_line + 2 * self.banner_pad


# A phone shows the plots of an evaluation at less than half their pixels: hence narrow ones, with large letters.
NARROW = FrameStyle(
    width=5.6,
    title_size=11,
    title_line=0.21,
    banner_size=9,
    banner_pad=0.08,
    words_line=0.175,
    below_banner=0.06,
    beside_axes=0.06,
)


def make_frame(score: Score, title: str, height: float, palette: Palette) -> Figure:
    """Return a figure with `height` inches for its axes under the title, a warning if need be, and what was scored."""
    # A name's end tells more than the folders before it.
    name = score.name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return draw_frame(
        NARROW,
        height,
        palette,
        titles=wrap(readable(title, "bold"), NARROW.text, font(NARROW.title_size, "bold")),
        warning=LEAKY if score.leaky else "",
        words=[readable(line) for line in (name, f"{score.unit}, {count_of(score.rows)}") if line],
    )


def draw_frame(
    style: FrameStyle,
    height: float,
    palette: Palette,
    *,
    titles: Sequence[str],
    warning: str = "",
    words: Sequence[str] = (),
    foot: float = 0.0,
) -> Figure:
    """Return a figure with `height` inches for its axes under lines of title, a boxed warning and small lines.

    `foot` inches below the axes stay free.
    """
    banner = style.banner_lines(warning)
    head = style.head(titles=len(titles), banner=len(banner), words=len(words))
    total = head + height + foot
    # A figure's pixels are rounded down.
    figure = Figure(figsize=(style.width + 1e-4, total + 1e-4), dpi=DPI, facecolor=palette.paper)
    inner = (0, foot / total, 1, height / total)
    pads = {"h_pad": style.margin / 2, "w_pad": style.beside_axes, "hspace": 0, "wspace": 0}
    figure.set_layout_engine("constrained", rect=inner, **pads)
    top = style.margin

    def put(text: str, size: float, weight: str, colour: str, left: float = style.margin) -> None:
        place = (left / style.width, 1 - top / total)
        figure.text(*place, text, va="top", color=colour, fontproperties=font(size, weight), parse_math=False)

    for line in titles:
        put(line, style.title_size, "bold", palette.ink)
        top += style.title_line
    if banner:
        size = style.box(len(banner))
        corner = (style.margin / style.width, 1 - (top + size) / total)
        box = Rectangle(corner, style.text / style.width, size / total, transform=figure.transFigure)
        box.set(facecolor=palette.tint, edgecolor=palette.ink, linewidth=1)
        figure.add_artist(box)
        top += style.banner_pad
        for line in banner:
            top += style.banner_line / 8
            put(line, style.banner_size, "bold", palette.ink, style.margin + style.banner_pad)
            top += 7 * style.banner_line / 8
        top += style.banner_pad + style.below_banner
    for line in words:
        put(shorten(line, style.text, font(style.words_size)), style.words_size, "normal", palette.soft)
        top += style.words_line
    return figure


def dress(axes: Axes, palette: Palette, *, x: str = "", y: str = "") -> None:
    """Give axes colours, labels and round ticks. To be called before their limits are set."""
    axes.set_facecolor(palette.paper)
    style_axes(axes, palette)
    for axis, label in ((axes.xaxis, x), (axes.yaxis, y)):
        axis.set_major_locator(MaxNLocator(nbins=8, steps=(1, 2, 5, 10)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
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


def write_rows(axes: Axes, texts: Sequence[str], inches: float, palette: Palette, *, is_side: bool = False) -> None:
    """Name the rows of axes, the first at the top; `is_side`: on their right, smaller and softer."""
    size, colour = (8.5, palette.soft) if is_side else (9, palette.ink)
    if is_side:
        axes = axes.twinx()
        for spine in axes.spines.values():
            spine.set_visible(False)
    axes.set_ylim(len(texts) - 0.5, -0.5)
    axes.yaxis.set_minor_locator(NullLocator())
    style_ticks(axes, palette)
    axes.tick_params(axis="y", length=0)
    shown = [shorten(readable(text) or "…", inches, font(size)) if text else "" for text in texts]
    axes.set_yticks(range(len(texts)), shown, color=colour, fontproperties=font(size), parse_math=False)
