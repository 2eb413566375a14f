"""Which part of a cover carries a prediction: it is covered piece by piece, and the prediction asked again.

A window of two by two cells of a grid slides over the image, filled with the image's mean colour (Zeiler and Fergus
2014); a cell's share is the mean over the windows that cover it. That tells best where something lies, but half of those
windows cover only a part of it: the one of them that changes most tells what it does.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from engage_cli.images.decode import decode

GRID = 6  # cells a side
WINDOW = 2  # cells a side
LARGEST_SIDE = 448  # of the image that is covered: no encoder here sees more detail
SHOWN_SIDE = 720
LEGEND, MARGIN = 44, 10
LIFTS, LOWERS = (213, 94, 0), (0, 114, 178)  # orange and blue: told apart by the colour-blind too
STRONGEST = 0.62  # opacity of the cell that carries most
FAINT = 0.06  # of the largest: what is smaller is left clear
COLOUR = 0.2  # that the image keeps: on an orange one no tint would show

Places = list[tuple[int, int]]


def windows() -> Places:
    """Return the first row and column of each window; some stand half outside, so that every cell has four."""
    starts = range(1 - WINDOW, GRID)
    return [(row, column) for row in starts for column in starts]


def covered(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return the image as it is compared, and one with each of the windows covered, all without further loss."""
    image = decode(data, LARGEST_SIDE)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    mean = tuple(int(value) for value in np.asarray(image).reshape(-1, 3).mean(axis=0).round())
    found = []
    for row, column in windows():
        one = image.copy()
        box = (*_corner(image, row, column), *_corner(image, row + WINDOW, column + WINDOW))
        one.paste(mean, box)
        found.append(_to_bytes(one))
    return _to_bytes(image), found


def cell_shares(changes: Sequence[float]) -> np.ndarray:
    """(GRID, GRID) from how much the prediction falls with each window covered."""
    sums, counts = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for (row, column), change in zip(windows(), changes, strict=True):
        cells = np.s_[max(0, row) : row + WINDOW, max(0, column) : column + WINDOW]
        sums[cells] += change
        counts[cells] += 1
    return sums / counts


def effect_at(changes: np.ndarray, row: int, column: int) -> float:
    """Return by how much the prediction falls at most, or rises where it rises, with a window over that cell covered.

    `changes` is (GRID + WINDOW - 1, GRID + WINDOW - 1) of the windows.
    """
    over = changes[row : row + WINDOW, column : column + WINDOW]
    return float(over.max() if over.mean() >= 0 else over.min())


def draw_overlay(data: bytes, shares: np.ndarray, words: str) -> bytes:
    """Return a PNG: the image, paler, its cells tinted by their shares, and below it what the colours mean."""
    image = ImageEnhance.Color(decode(data)).enhance(COLOUR).convert("RGBA")
    scale = SHOWN_SIDE / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    largest = float(np.abs(shares).max()) or 1.0
    tint = np.zeros((*shares.shape, 4), np.uint8)
    for (row, column), share in np.ndenumerate(shares / largest):
        opacity = STRONGEST * abs(share) if abs(share) > FAINT else 0.0
        tint[row, column] = (*(LIFTS if share > 0 else LOWERS), round(255 * opacity))
    layer = Image.fromarray(tint, "RGBA").resize(image.size, Image.Resampling.BICUBIC)
    shown = Image.alpha_composite(image, layer).convert("RGB")
    font, keys = ImageFont.load_default(13), ((LIFTS, "lifts the prediction"), (LOWERS, "lowers it"))
    needed = max(font.getlength(words), sum(36 + font.getlength(meaning) for _, meaning in keys))
    size = (max(shown.width, 2 * MARGIN + round(needed)), shown.height + LEGEND)
    sheet = Image.new("RGB", size, (255, 255, 255))
    sheet.paste(shown, (0, 0))
    pen = ImageDraw.Draw(sheet)
    x, y = MARGIN, shown.height + 8
    for colour, meaning in keys:
        pen.rectangle((x, y, x + 12, y + 12), fill=colour)
        pen.text((x + 18, y - 1), meaning, fill=(50, 50, 50), font=font)
        x += 18 + round(pen.textlength(meaning, font=font)) + 18
    pen.text((MARGIN, y + 17), words, fill=(110, 110, 110), font=font)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def name_of(row: int, column: int) -> str:
    """Say where a cell lies: "top left", "middle", ..."""
    across, down = ("left", "middle", "right")[column * 3 // GRID], ("top", "middle", "bottom")[row * 3 // GRID]
    return across if down == across else f"{down} {across}" if "middle" not in (across, down) else _edge(down, across)


def _edge(down: str, across: str) -> str:
    return across if down == "middle" else down


def _corner(image: Image.Image, row: int, column: int) -> tuple[int, int]:
    x, y = (round(size * min(max(cell, 0), GRID) / GRID) for size, cell in ((image.width, column), (image.height, row)))
    return x, y


def _to_bytes(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "BMP")
    return out.getvalue()
