"""Plot of a record by month: how far outcomes lay from predictions, and how many lay within the 80 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from engage_cli.errors import EngageError
from engage_cli.plots._layout import FrameStyle, draw_frame, dress, finish
from engage_cli.plots._style import BLUE, GREEN, INK, LIGHT, ORANGE, readable, write

FRAME = FrameStyle(
    width=8.0, title_line=0.21, banner_size=9, banner_pad=0.08, words_line=0.175, below_banner=0.06, beside_axes=0.04
)
HEIGHT = 5.0  # inches
PROMISED = 0.8
COLOURS = (BLUE, ORANGE, GREEN, INK)
MOST_RUNS = len(COLOURS)


class MonthOf(Protocol):
    """Of one month's predictions."""

    @property
    def month(self) -> str: ...
    @property
    def drift(self) -> float: ...
    @property
    def covered(self) -> float | None: ...


def draw_drift(path: Path, runs: Mapping[str, Sequence[MonthOf]]) -> None:
    """Write the PNG; of many runs the last four, whose names the legend tells. Raises EngageError without an outcome."""
    if not runs:
        raise EngageError("no logged prediction has an outcome yet, so there is nothing to plot; leave --plot out")
    shown = dict(list(runs.items())[-MOST_RUNS:])
    months = sorted({one.month for some in shown.values() for one in some})
    figure = draw_frame(FRAME, HEIGHT, LIGHT, titles=["Outcomes beside predictions, by month of prediction"])
    above, below = (figure.add_subplot(2, 1, number) for number in (1, 2))
    for axes, label in ((above, "outcome − prediction"), (below, "within the interval")):
        dress(axes, LIGHT, y=label)
    for (name, some), colour in zip(shown.items(), COLOURS, strict=False):
        places = [months.index(one.month) for one in some]
        _draw(above, places, [one.drift for one in some], colour, readable(name))
        covered = [(months.index(one.month), one.covered) for one in some if one.covered is not None]
        _draw(below, [place for place, _ in covered], [share for _, share in covered], colour, readable(name))
    above.axhline(0, color=INK, linewidth=1, linestyle="--")
    below.axhline(PROMISED, color=INK, linewidth=1, linestyle="--", label="promised")
    below.set_ylim(0, 1.05)
    below.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    every = -(-len(months) // 10)
    for axes in (above, below):
        axes.set_xlim(-0.5, len(months) - 0.5)
        axes.set_xticks(range(0, len(months), every), months[::every])
    finish(above, LIGHT)
    finish(below, LIGHT, legend=5)
    write(figure, path)


def _draw(axes: Axes, places: Sequence[int], values: Sequence[float], colour: str, label: str) -> None:
    (curve,) = axes.plot(places, values, color=colour, linewidth=2.0, label=label, zorder=3)
    curve.set(marker="o", markersize=5.5, markeredgewidth=0)
