"""The chosen frames on one image, each with its number, its time and its prediction."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 4
CELL, MARGIN, GAP = 360, 40, 24  # pixels: width of a frame, around all, between two
TALLEST = 1.2  # of a frame's height, by its width: of a tall video the middle of the sheet's cell is taken
LARGE, MIDDLE, SMALL = 34, 22, 19  # pixels of letters
CAPTION, TITLE_LINE = 66, 48  # pixels
BACKGROUND, INK, SOFT, FIRST = (250, 250, 248), (28, 30, 33), (104, 108, 114), (213, 94, 0)
DOTS = "…"
# Pillow's font draws only letters of Latin scripts: for others it shows boxes.
DRAWABLE = 0x250


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One frame of the sheet."""

    number: int  # its rank
    jpeg: bytes
    time: str
    chance: str = ""  # that it is the best
    detail: str = ""  # a line below


def draw_sheet(cells: Sequence[Cell], *, title: str, notes: Sequence[str] = ()) -> bytes:
    """Return a PNG."""
    images = [_open(cell.jpeg) for cell in cells]
    columns = min(COLUMNS, max(2, len(cells)))
    height = max(round(CELL * min(TALLEST, image.height / image.width)) for image in images)
    rows = -(-len(cells) // columns)
    lines = [line for note in notes for line in _wrapped(note, columns)]
    top = MARGIN + TITLE_LINE + 32 * len(lines) + GAP
    size = (
        2 * MARGIN + columns * CELL + (columns - 1) * GAP,
        top + rows * (height + CAPTION + GAP) + MARGIN - GAP,
    )
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (MARGIN, MARGIN), _fitting(title, LARGE, size[0] - 2 * MARGIN), LARGE, INK)
    for row, line in enumerate(lines):
        _write(pen, (MARGIN, MARGIN + TITLE_LINE + 32 * row), line, MIDDLE, SOFT)
    for place, (cell, image) in enumerate(zip(cells, images, strict=True)):
        left = MARGIN + place % columns * (CELL + GAP)
        upper = top + place // columns * (height + CAPTION + GAP)
        _draw_cell(sheet, pen, cell, image, (left, upper), height)
    data = io.BytesIO()
    sheet.save(data, "PNG", optimize=True)
    return data.getvalue()


def _draw_cell(
    sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, image: Image.Image, at: tuple[int, int], height: int
) -> None:
    left, top = at
    scale = min(CELL / image.width, height / image.height)
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    pen.rectangle((left, top, left + CELL - 1, top + height - 1), fill=(230, 231, 228))
    sheet.paste(small, (left + (CELL - small.width) // 2, top + (height - small.height) // 2))
    colour = FIRST if cell.number == 1 else INK
    if cell.number == 1:
        pen.rectangle((left - 3, top - 3, left + CELL + 2, top + height + 2), outline=FIRST, width=3)
    badge = 48 if cell.number < 10 else 62
    pen.rectangle((left, top, left + badge, top + 46), fill=colour)
    font = _font(LARGE)
    middle = (left + badge / 2, top + 23)
    pen.text(middle, str(cell.number), font=font, fill=(255, 255, 255), anchor="mm")
    _write(pen, (left, top + height + 8), cell.time, MIDDLE, INK)
    if cell.chance:
        pen.text((left + CELL, top + height + 8), cell.chance, font=_font(MIDDLE), fill=colour, anchor="ra")
    _write(pen, (left, top + height + 38), _fitting(cell.detail, SMALL, CELL), SMALL, SOFT)


def _open(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
    image.draft("RGB", (2 * CELL, 2 * CELL))
    return image.convert("RGB")


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int]) -> None:
    pen.text(at, text, font=_font(size), fill=colour)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrapped(text: str, columns: int) -> list[str]:
    """Break a text into lines that fit on the sheet."""
    width = columns * CELL + (columns - 1) * GAP
    lines = [""]
    for word in _drawable(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(MIDDLE).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _fitting(text: str, size: int, width: int) -> str:
    """Cut a text so that it fits into so many pixels."""
    text = _drawable(text)
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + DOTS) > width:
        text = text[:-1]
    return text + DOTS


def _drawable(text: str) -> str:
    typographic = text.translate({0x2013: "-", 0x201C: '"', 0x201D: '"', 0x2019: "'"})
    return " ".join("".join(letter if ord(letter) < DRAWABLE or letter == DOTS else "?" for letter in typographic).split())
