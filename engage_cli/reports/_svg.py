"""Small charts as inline SVG: no script, no network, colours from the page's own style so that light and dark both work."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from engage_cli.io.written_numbers import short_number

WIDTH, HEIGHT, AXIS = 320, 96, 18  # pixels; AXIS is the strip of labels below
ZERO_WIDTH = 26  # the bar of zeros, which a log axis has no place for


def histogram_chart(
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    log10: bool = False,
    zeros: int = 0,
    cuts: Sequence[float] = (),
    label: str,
) -> Markup:
    """Draw a histogram; `edges` are powers of ten where `log10`, `cuts` are vertical lines (between classes)."""
    if not counts and not zeros:
        return Markup('<p class="none">no values</p>')
    top = max((*counts, zeros))
    left = ZERO_WIDTH + 6 if zeros else 0
    span = (edges[-1] - edges[0] or 1.0) if counts else 1.0
    scale = (WIDTH - left) / span
    height = HEIGHT - AXIS
    parts = []
    if zeros:
        parts.append(_bar(0, ZERO_WIDTH, height * zeros / top, height, f"0: {zeros:,} posts", "zero"))
        parts.append(_text(ZERO_WIDTH / 2, "0"))
    for low, high, num in zip(edges, edges[1:], counts, strict=False):
        words = f"{_number(low, log10)} to {_number(high, log10)}: {num:,} posts"
        x = left + (low - edges[0]) * scale
        width = WIDTH - left if high == low else (high - low) * scale
        parts.append(_bar(x, max(width - 1, 1), height * num / top, height, words, "bar"))
    for cut in cuts:
        x = left + (cut - edges[0]) * scale
        parts.append(f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
    for tick in _ticks(edges, log10) if counts else ():
        x = left + (tick - edges[0]) * scale
        if left - 1 <= x <= WIDTH + 1:
            anchor = "start" if x < left + 12 else "end" if x > WIDTH - 16 else "middle"
            parts.append(_text(x, _number(tick, log10), anchor))
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line class="axis" x1="0" x2="{WIDTH}" y1="{height}" y2="{height}"/>{"".join(parts)}</svg>'
    )


def _bar(x: float, width: float, size: float, height: float, words: str, kind: str) -> str:
    size = max(size, 1.5) if size > 0 else 0.0  # one post among thousands is still seen
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{height - size:.1f}" width="{width:.1f}" height="{size:.1f}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _text(x: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - 4}" text-anchor="{anchor}">{escape(words)}</text>'


def _ticks(edges: Sequence[float], log10: bool) -> list[float]:
    """Return about five round places."""
    low, high = edges[0], edges[-1]
    if high <= low:
        return [low]
    if log10 and high - low >= 2:
        step = math.ceil((high - low) / 6)
        return [float(power) for power in range(math.ceil(low), math.floor(high) + 1, step)]
    if log10:  # a decade or two: 1, 2, 5, 10, ...
        powers = range(math.floor(low), math.ceil(high) + 1)
        return [place for power in powers for step in (1, 2, 5) if low <= (place := power + math.log10(step)) <= high]
    raw = (high - low) / 5
    power = 10 ** math.floor(math.log10(raw))
    step_size = next(step * power for step in (1, 2, 5, 10) if step * power >= raw)
    first = math.ceil(low / step_size)
    return [number * step_size for number in range(first, math.floor(high / step_size) + 1)]


def _number(value: float, log10: bool) -> str:
    return short_number(10**value if log10 else value)
