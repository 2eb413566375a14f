"""What all plots share: colours, fonts, what text fits and can be drawn, how a figure becomes a file.

Colours and fonts are all named, so that a machine's own matplotlibrc cannot make a plot unreadable.
"""

from __future__ import annotations

import io
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextToPath

from engage_cli.io.files import atomic_write, sweep_dead

DPI = 150
BLUE, ORANGE, GREEN, INK, EDGE, PALE = "#0072B2", "#D55E00", "#009E73", "#333333", "#999999", "#E3E3E3"
FONT = "DejaVu Sans"  # matplotlib brings it
LONGEST_TITLE = 80
LONGEST_MEASURED = 200  # letters; what is longer is cut before its width is taken


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of a plot on light or on dark paper."""

    paper: str
    ink: str
    soft: str  # for small text
    edge: str
    pale: str  # of the grid
    first: str
    second: str
    third: str
    tint: str  # behind a warning, which is written in ink
    shades: tuple[str, ...]  # from few to many


LIGHT = Palette(
    paper="white",
    ink=INK,
    soft="#5C5C5C",
    edge=EDGE,
    pale=PALE,
    first=BLUE,
    second=ORANGE,
    third=GREEN,
    tint="#FFE8BF",
    shades=("#BBD7EC", "#4D9ACB", BLUE, "#06273F"),
)
DARK = Palette(
    paper="#1B212B",
    ink="#E6EAF1",
    soft="#A9B3C4",
    edge="#6B778C",
    pale="#2F3847",
    first="#56B0F0",
    second="#F5A45D",
    third="#45C9A0",
    tint="#5A3A12",
    shades=("#24405E", "#2F75B0", "#56B0F0", "#CDE8FF"),
)


def font(size: float, weight: str = "normal") -> FontProperties:
    return FontProperties(family=FONT, size=size, weight=weight)


def style_axes(axes: Axes, palette: Palette = LIGHT) -> None:
    axes.grid(True, which="major", color=palette.pale, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=palette.edge, linewidth=0.8)


def style_ticks(axes: Axes, palette: Palette = LIGHT) -> None:
    """To be called when everything is drawn: the labels of later ticks keep the machine's own weight."""
    axes.tick_params(which="both", color=palette.edge, width=0.8, length=3.5, pad=3.5, direction="out")
    axes.tick_params(which="both", labelcolor=palette.ink)
    axes.tick_params(which="both", labelsize=9, labelfontfamily=FONT)
    for tick in (*axes.xaxis.get_major_ticks(), *axes.yaxis.get_major_ticks()):
        tick.label1.set_fontproperties(font(9))
        tick.label2.set_fontproperties(font(9))


def write(figure: Figure, path: Path) -> None:
    sweep_dead(path.parent, path.name)
    with atomic_write(path) as beside:
        beside.write_bytes(png_of(figure))


def png_of(figure: Figure) -> bytes:
    """Without version and date in it, the same figure gives the same bytes."""
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def drawable(title: str) -> str:
    """Shorten a title; leave out one in a script that the font lacks, for it would be a row of boxes."""
    there = get_font(findfont(font(11.5, "bold"))).get_charmap()
    title = " ".join(title.split())
    title = title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"
    return title if all(ord(letter) in there for letter in title) else ""


def readable(text: str, weight: str = "normal") -> str:
    """Put … for letters that the font lacks; drop control characters and marks that it lacks."""
    there = get_font(findfont(font(9, weight))).get_charmap()
    letters = []
    for letter in " ".join(text.split()):
        kind = unicodedata.category(letter)[0]
        if kind != "C" and ord(letter) in there:
            letters.append(letter)
        elif kind not in "CM":
            letters.append("…")
    return " ".join(re.sub(r"…(\s*…)+", "…", "".join(letters)).split())


def width_of(text: str, properties: FontProperties) -> float:
    """Return inches."""
    return float(TextToPath().get_text_width_height_descent(text, properties, ismath=False)[0]) / 72


def shorten(text: str, inches: float, properties: FontProperties) -> str:
    """Put … for the middle of a text that is wider."""
    if len(text) <= LONGEST_MEASURED and width_of(text, properties) <= inches:
        return text

    def keep(num: int) -> str:
        start, end = text[: num // 2], text[len(text) - (num - num // 2) :]
        return f"{start.rstrip(' …')}…{end.lstrip(' …')}"

    fits, too_many = 0, min(len(text), LONGEST_MEASURED + 1)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if width_of(keep(middle), properties) <= inches else (fits, middle)
    return keep(fits)


def wrap(text: str, inches: float, properties: FontProperties) -> list[str]:
    """Break a text into lines between words, and a word that is wider than a line within."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", properties) <= inches:
            lines[-1] = f"{lines[-1]} {word}"
            continue
        lines.append("")
        for letter in word:
            if lines[-1] and width_of(lines[-1] + letter, properties) > inches:
                lines.append("")
            lines[-1] += letter
    return lines
