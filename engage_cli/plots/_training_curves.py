"""A training's curves as PNG files. Figures are objects of their own: no pyplot, no state that others could see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from engage_cli.io.written_numbers import plain_number
from engage_cli.metrics.metrics import PRIMARY
from engage_cli.plots._layout import FrameStyle, draw_frame, dress, finish
from engage_cli.plots._style import BLUE, GREEN, INK, LIGHT, ORANGE, drawable, font, write

HEIGHT = 4.5  # inches: 1200 x 675 pixels
CURVES = FrameStyle(
    width=8.0, title_line=0.21, banner_size=9, banner_pad=0.08, words_line=0.175, below_banner=0.06, beside_axes=0.04
)
TRAIN, VALIDATION, BEST = BLUE, ORANGE, GREEN
MOST_MARKERS = 40  # epochs; the dots of more would touch
LARGEST_RATIO = 20.0  # of losses on a linear axis
LOWEST_SHOWN = 1.0  # below the best score; R² has no lower end, and one bad epoch would flatten all others
NAMES = {"r2": "R²", "kappa": "kappa", "accuracy": "accuracy"}
SCORES = {"value": ("r2",), "classes": ("kappa", "accuracy")}


def draw_history(folder: Path, kind: str, history: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Write folder/plots/loss.png and one file for each of the kind's SCORES; `history` has the lines of history.jsonl.

    The same history gives the same bytes. Without an epoch nothing is written.
    """
    if not history:
        return
    epochs = [int(line["epoch"]) for line in history]
    best = _best(_numbers(line["validation"][PRIMARY[kind]] for line in history))
    figure, axes = _make_axes(epochs, "loss", title)
    _draw_losses(axes, epochs, history)
    if best is not None:
        label = f"epoch {epochs[best]}, best by {NAMES[PRIMARY[kind]]}"
        axes.axvline(epochs[best], color=BEST, linewidth=1, alpha=0.7, zorder=1, label=label)
    _write(figure, axes, folder / "plots" / "loss.png")
    for name in SCORES[kind]:
        figure, axes = _make_axes(epochs, NAMES[name], title)
        _draw_scores(axes, epochs, history, kind, name, best)
        _write(figure, axes, folder / "plots" / f"{name}.png")


def _draw_losses(axes: Axes, epochs: list[int], history: Sequence[Mapping[str, Any]]) -> None:
    finite = []
    for key, colour, name in (("train_loss", TRAIN, "training"), ("validation_loss", VALIDATION, "validation")):
        losses = _numbers(line[key] for line in history)
        finite += [loss for loss in losses if math.isfinite(loss)]
        _draw_curve(axes, epochs, losses, colour, name)
        lost = [epoch for epoch, loss in zip(epochs, losses, strict=True) if not math.isfinite(loss)]
        if lost:
            top = axes.get_xaxis_transform()
            axes.plot(
                lost, [0.98] * len(lost), "x", color=colour, markeredgewidth=1.5, transform=top, label=f"{name} not finite"
            )
    if finite and 0 < min(finite) * LARGEST_RATIO < max(finite):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: plain_number(loss)))


def _draw_scores(
    axes: Axes, epochs: list[int], history: Sequence[Mapping[str, Any]], kind: str, name: str, best: int | None
) -> None:
    scores = _numbers(line["validation"][name] for line in history)
    _draw_curve(axes, epochs, scores, VALIDATION, "validation")
    if best is None:
        return
    score = scores[best]
    axes.axvline(epochs[best], color=BEST, linewidth=1, alpha=0.7, zorder=1)
    label = f"{score:.4f} in epoch {epochs[best]}, best by {NAMES[PRIMARY[kind]]}"
    axes.plot([epochs[best]], [score], "o", color=BEST, markersize=8, zorder=4, label=label)
    if name == "accuracy":
        majority = score - history[best]["validation"]["majority_lift"]
        axes.axhline(majority, color=INK, linewidth=1.5, linestyle="--", label=f"majority class: {majority:.4f}")
    _leave_out_low(axes, scores)


def _leave_out_low(axes: Axes, scores: list[float]) -> None:
    finite = [score for score in scores if math.isfinite(score)]
    top = max(finite)
    shown = [score for score in finite if score >= top - LOWEST_SHOWN]
    if len(shown) == len(finite):
        return
    margin = 0.06 * (top - min(shown)) or 0.05
    axes.set_ylim(min(shown) - margin, top + margin)
    words = f"{len(finite) - len(shown)} of {len(finite)} epochs lie below, down to {min(finite):.4g}"
    axes.text(0.99, 0.02, words, transform=axes.transAxes, ha="right", va="bottom", color=INK, fontproperties=font(8.5))


def _draw_curve(axes: Axes, epochs: list[int], values: list[float], colour: str, label: str) -> None:
    # Of many epochs a dot is as wide as the line: seen only where it stands alone.
    line, dot = (2.0, 5.5) if len(epochs) <= MOST_MARKERS else (1.5, 1.5)
    shown = [value if math.isfinite(value) else math.nan for value in values]
    (curve,) = axes.plot(epochs, shown, color=colour, linewidth=line, label=label, zorder=3)
    curve.set(marker="o", markersize=dot, markeredgewidth=0)


def _make_axes(epochs: list[int], label: str, title: str) -> tuple[Figure, Axes]:
    titles = [shown] if (shown := drawable(title)) else []
    figure = draw_frame(CURVES, HEIGHT - CURVES.head(titles=len(titles)), LIGHT, titles=titles)
    axes = figure.add_subplot()
    dress(axes, LIGHT, x="epoch", y=label)
    pad = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - pad, epochs[-1] + pad)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1))
    return figure, axes


def _write(figure: Figure, axes: Axes, path: Path) -> None:
    finish(axes, LIGHT, legend=4)
    write(figure, path)


def _numbers(values: Any) -> list[float]:
    return [math.nan if value is None else float(value) for value in values]


def _best(scores: list[float]) -> int | None:
    """Return where the highest score is, the first of equals; None where none is finite."""
    finite = [place for place, score in enumerate(scores) if math.isfinite(score)]
    return max(finite, key=lambda place: scores[place], default=None)
