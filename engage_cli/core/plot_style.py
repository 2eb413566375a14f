"""What all plots share: colours, fonts, what text fits and can be drawn, how a figure becomes a file.

Colours and fonts are all named, so that a machine's own matplotlibrc cannot make a plot unreadable.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextToPath

from engage_cli.core.atomic import replacing

DPI = 150
BLUE, ORANGE, GREEN, INK, EDGE, PALE = "#0072B2", "#D55E00", "#009E73", "#333333", "#999999", "#E3E3E3"
FONT = "DejaVu Sans"  # matplotlib brings it
LONGEST_TITLE = 80
LONGEST_MEASURED = 200  # letters; what is longer is cut before its width is taken


def font(size: float, weight: str = "normal") -> FontProperties:
    return FontProperties(family=FONT, size=size, weight=weight)


def style_axes(axes: Axes) -> None:
    axes.grid(True, which="major", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=EDGE, linewidth=0.8)


def style_ticks(axes: Axes) -> None:
    """To be called when everything is drawn: the labels of later ticks keep the machine's own weight."""
    axes.tick_params(which="both", color=EDGE, width=0.8, length=3.5, pad=3.5, labelcolor=INK, direction="out")
    axes.tick_params(which="both", labelsize=9, labelfontfamily=FONT)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(font(9))


def write(figure: Figure, path: Path) -> None:
    """Without version and date in it, the same figure gives the same bytes."""
    with replacing(path) as beside:
        FigureCanvasAgg(figure).print_png(beside, metadata={"Software": None})


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
    half = LONGEST_MEASURED // 2
    start, end = (text, "") if len(text) <= LONGEST_MEASURED else (text[:half], text[-half:])
    if not end:
        if width_of(text, properties) <= inches:
            return text
        start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while start or end:
        shown = f"{start.rstrip(' …')}…{end.lstrip(' …')}"
        if width_of(shown, properties) <= inches:
            return shown
        start, end = (start[:-1], end) if len(start) >= len(end) else (start, end[1:])
    return "…"


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
