"""Covers of synthetic posts: a subject, drawn with Pillow, in one of four styles."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from engage_cli.synthetic.posts import STYLES, SUBJECTS

SIZE = 224
QUALITY = 88  # of the JPEG
Colour = tuple[int, int, int]
# style -> sky, ground, how bright the subject is
PALETTES: dict[str, tuple[Colour, Colour, float]] = {
    "night": ((12, 14, 44), (18, 22, 34), 0.35),
    "grey": ((128, 130, 134), (104, 106, 108), 0.6),
    "pastel": ((206, 226, 242), (198, 230, 204), 0.9),
    "sunny": ((255, 184, 44), (240, 104, 36), 1.0),
}


def draw_cover(drawn: int, style: int, seed: tuple[int, int]) -> bytes:
    """Return a JPEG of what `paint_cover` paints."""
    out = io.BytesIO()
    paint_cover(drawn, style, seed).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def paint_cover(drawn: int, style: int, seed: tuple[int, int]) -> Image.Image:
    """Paint the subject; position, size and colours vary with the seed (the sample's, the post's)."""
    rng = np.random.default_rng(seed)
    sky, ground, light = PALETTES[STYLES[style]]
    image = Image.new("RGB", (SIZE, SIZE), _vary(rng, sky))
    pen = ImageDraw.Draw(image)
    horizon = int(rng.uniform(0.6, 0.8) * SIZE)
    pen.rectangle((0, horizon, SIZE, SIZE), fill=_vary(rng, ground))
    _decorate(pen, rng, STYLES[style])
    radius = rng.uniform(0.26, 0.38) * SIZE
    x, y = rng.uniform(0.4, 0.6, 2) * SIZE
    {"cat": _cat, "pizza": _pizza, "car": _car, "mountain": _mountain}[SUBJECTS[drawn]](pen, rng, x, y, radius, light)
    return image.filter(ImageFilter.GaussianBlur(0.6))


def _vary(rng: np.random.Generator, colour: Colour, light: float = 1.0) -> Colour:
    r, g, b = (int(np.clip(light * c + rng.normal(0, 10), 0, 255)) for c in colour)
    return r, g, b


def _decorate(pen: ImageDraw.ImageDraw, rng: np.random.Generator, style: str) -> None:
    if style == "night":
        for x, y in rng.uniform(0, SIZE, (30, 2)):
            pen.point((x, y * 0.6), fill=(200, 200, 220))
    elif style == "sunny":
        x, y = rng.uniform(0.05, 0.95) * SIZE, rng.uniform(0.05, 0.15) * SIZE
        pen.ellipse((x - 26, y - 26, x + 26, y + 26), fill=(255, 244, 150))


def _cat(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float, light: float) -> None:
    furs: tuple[Colour, ...] = ((214, 140, 70), (120, 120, 124), (70, 60, 56), (230, 220, 205))
    fur = _vary(rng, furs[int(rng.integers(0, len(furs)))], light)
    for side in (-1, 1):
        tip = (x + side * 0.85 * r, y - 1.25 * r)
        pen.polygon([(x + side * 0.95 * r, y - 0.2 * r), tip, (x + side * 0.2 * r, y - 0.85 * r)], fill=fur)
    pen.ellipse((x - r, y - 0.95 * r, x + r, y + 0.95 * r), fill=fur)
    for side in (-1, 1):
        ex, ey = x + side * 0.4 * r, y - 0.2 * r
        pen.ellipse((ex - 0.2 * r, ey - 0.16 * r, ex + 0.2 * r, ey + 0.16 * r), fill=_vary(rng, (150, 210, 90), light))
        pen.ellipse((ex - 0.06 * r, ey - 0.15 * r, ex + 0.06 * r, ey + 0.15 * r), fill=(10, 10, 10))
        for slope in (-0.12, 0.0, 0.12):
            start = (x + side * 0.2 * r, y + 0.3 * r)
            pen.line([start, (x + side * 1.3 * r, y + (0.3 + slope * 2) * r)], fill=_vary(rng, (245, 245, 245), light))
    pen.polygon([(x - 0.12 * r, y + 0.1 * r), (x + 0.12 * r, y + 0.1 * r), (x, y + 0.26 * r)], fill=(210, 110, 120))
    pen.arc((x - 0.3 * r, y + 0.1 * r, x, y + 0.5 * r), 0, 120, fill=(20, 20, 20), width=2)
    pen.arc((x, y + 0.1 * r, x + 0.3 * r, y + 0.5 * r), 60, 180, fill=(20, 20, 20), width=2)


def _pizza(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float, light: float) -> None:
    rings: tuple[tuple[float, Colour], ...] = ((1.1, (196, 140, 72)), (0.95, (190, 50, 30)), (0.9, (246, 206, 96)))
    for scale, colour in rings:
        box = (x - scale * r, y - scale * r, x + scale * r, y + scale * r)
        pen.ellipse(box, fill=_vary(rng, colour, light))
    for _ in range(int(rng.integers(7, 12))):
        angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.7) * r
        px, py = x + reach * math.cos(angle), y + reach * math.sin(angle)
        topping: Colour = (186, 44, 36) if rng.random() < 0.7 else (60, 120, 50)
        pen.ellipse((px - 0.14 * r, py - 0.14 * r, px + 0.14 * r, py + 0.14 * r), fill=_vary(rng, topping, light))
    for angle in np.linspace(0, math.pi, 4, endpoint=False) + rng.uniform(0, 1):
        dx, dy = 1.1 * r * math.cos(angle), 1.1 * r * math.sin(angle)
        pen.line([(x - dx, y - dy), (x + dx, y + dy)], fill=_vary(rng, (170, 110, 50), light), width=2)


def _car(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float, light: float) -> None:
    paints: tuple[Colour, ...] = ((200, 30, 40), (30, 80, 190), (240, 240, 240), (40, 150, 90))
    paint = _vary(rng, paints[int(rng.integers(0, len(paints)))], light)
    pen.polygon([(x - 0.7 * r, y), (x - 0.4 * r, y - 0.6 * r), (x + 0.4 * r, y - 0.6 * r), (x + 0.8 * r, y)], fill=paint)
    pen.rounded_rectangle((x - 1.3 * r, y - 0.05 * r, x + 1.3 * r, y + 0.5 * r), radius=0.15 * r, fill=paint)
    glass = _vary(rng, (170, 210, 230), light)
    pen.polygon([(x - 0.5 * r, y), (x - 0.3 * r, y - 0.5 * r), (x - 0.04 * r, y - 0.5 * r), (x - 0.04 * r, y)], fill=glass)
    pen.polygon([(x + 0.06 * r, y), (x + 0.06 * r, y - 0.5 * r), (x + 0.32 * r, y - 0.5 * r), (x + 0.6 * r, y)], fill=glass)
    for side in (-1, 1):
        wx, wy = x + side * 0.75 * r, y + 0.5 * r
        pen.ellipse((wx - 0.3 * r, wy - 0.3 * r, wx + 0.3 * r, wy + 0.3 * r), fill=(20, 20, 22))
        pen.ellipse((wx - 0.14 * r, wy - 0.14 * r, wx + 0.14 * r, wy + 0.14 * r), fill=_vary(rng, (180, 180, 184), light))
    pen.ellipse((x + 1.12 * r, y + 0.08 * r, x + 1.3 * r, y + 0.24 * r), fill=(255, 246, 190))


def _mountain(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float, light: float) -> None:
    for shift, height in ((-0.8, 1.0), (0.9, 0.9), (0.0, 1.5)):
        peak, base = (x + shift * r, y - (height - 0.4) * r), y + 0.8 * r
        rock = _vary(rng, (104, 92, 88), light)
        half = 1.1 * height * r
        pen.polygon([(peak[0] - half, base), peak, (peak[0] + half, base)], fill=rock)
        fall = 0.3 * (base - peak[1])
        edge = 0.3 * half
        snow = [
            peak,
            (peak[0] - edge, peak[1] + fall),
            (peak[0], peak[1] + 0.75 * fall),
            (peak[0] + edge, peak[1] + fall),
        ]
        pen.polygon(snow, fill=_vary(rng, (244, 246, 250), light))
