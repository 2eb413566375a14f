"""How good a frame looks by itself: light, contrast, focus, detail and little noise, each from 0 to 1.

All of it is measured on a small luma image. Focus is how much of a strong edge's height lies within one pixel, whatever
its height: blur makes an edge wide, a soft subject does not. Detail counts edges by the structure tensor (Förstner and
Gülch 1987): where gradients point one way there is an edge, where they point every way there is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 5  # pixels a side of what the structure tensor looks at
DETAIL = 0.05  # change of luma (0 to 1) per pixel at edges, at which detail is one half
SHARPEST = 4  # the part of a frame with most detail counts, one in so many: a portrait's background may be soft
EDGES = 50  # one in so many pixels is a strong edge
REACH = 3  # pixels to each side within which an edge rises
# Share of an edge that lies within one pixel. Of 100 covers as sites show them it is 0.51 to 0.84 (2nd to 98th percentile),
# at 256 pixels; with a blur of one pixel 0.28 to 0.40, with one of two 0.18 to 0.23.
BLURRED, FOCUSED = 0.18, 0.5
FAINT = 0.06  # rise of an edge that hardly counts: such are the borders of a codec's blocks in a blurred frame
DARKEST, DARK, BRIGHT, BRIGHTEST = 0.05, 0.25, 0.75, 0.97  # mean luma: useless outside the outer two, good inside the inner
FULL_CONTRAST = 0.5  # of luma, between the 2nd and the 98th percentile
NOISE_KEEPS, IMAGE_KEEPS = 0.2, 0.5  # of its variance, once every 4 x 4 pixels are averaged
SIDE = 4
TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Measures:
    light: float
    contrast: float
    focus: float
    detail: float
    clarity: float  # 1 of an image, 0 of noise

    @property
    def quality(self) -> float:
        """0 to 1; nothing makes up for a part that is bad."""
        return self.light * self.contrast * self.focus * self.detail * self.clarity


def measure(luma: np.ndarray) -> Measures:
    """Measure a frame by its luma (H, W) uint8, full range."""
    shares = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    low, high = np.searchsorted(shares, [0.02, 0.98]) / 255
    values = luma.astype(np.float32) / 255
    is_tiny = min(values.shape) < 4 * REACH
    return Measures(
        light=float(np.interp(values.mean(), [DARKEST, DARK, BRIGHT, BRIGHTEST], [0, 1, 1, 0])),
        contrast=float(min(1.0, (high - low) / FULL_CONTRAST)),
        focus=0.0 if is_tiny else float(np.interp(edge_width(values), [BLURRED, FOCUSED], [0, 1])),
        detail=0.0 if is_tiny else _detail(values),
        clarity=0.0 if is_tiny else _clarity(values),
    )


def edge_width(values: np.ndarray) -> float:
    """Return which share of the strongest edges of an image (H, W), 0 to 1, lies within one pixel: the median."""
    across, down = _gradients(values)
    inside = np.s_[REACH - 1 : -REACH, REACH - 1 : -REACH]
    slope = np.hypot(across, down)[inside]
    size = 2 * REACH + 1
    rise = _windowed(values, size, np.maximum) - _windowed(values, size, np.minimum)
    strongest = np.argpartition(slope.ravel(), -max(1, slope.size // EDGES))[-max(1, slope.size // EDGES) :]
    return float(np.median(slope.ravel()[strongest] / (rise.ravel()[strongest] + FAINT)))


def _gradients(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the changes (H - 1, W - 1) from the pixel on the left, and from the one above."""
    return values[1:, 1:] - values[1:, :-1], values[1:, 1:] - values[:-1, 1:]


def _detail(values: np.ndarray) -> float:
    across, down = _gradients(values)
    products = (across * across, down * down, across * down)
    xx, yy, xy = (_windowed(product, WINDOW, np.add) / WINDOW**2 for product in products)
    coherent = ((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + TINY)  # of an edge all of its energy, of noise next to none
    num = max(1, coherent.size // SHARPEST)
    energy = float(np.partition(coherent.ravel(), -num)[-num:].mean())
    return energy / (energy + DETAIL**2)


def _windowed(values: np.ndarray, size: int, join: np.ufunc) -> np.ndarray:
    """Join the values of each window of size x size pixels that lies inside."""
    height, width = (side - size + 1 for side in values.shape)
    rows = values[:height].copy()
    for offset in range(1, size):
        join(rows, values[offset : offset + height], out=rows)
    joined = rows[:, :width].copy()
    for offset in range(1, size):
        join(joined, rows[:, offset : offset + width], out=joined)
    return joined


def _clarity(values: np.ndarray) -> float:
    """Averaging takes 15 of 16 parts of white noise's variance, and little of an image's."""
    height, width = (side // SIDE * SIDE for side in values.shape)
    rows, means = np.zeros((height // SIDE, width), np.float32), np.zeros((height // SIDE, width // SIDE), np.float32)
    for start in range(SIDE):
        rows += values[start:height:SIDE, :width]
    for start in range(SIDE):
        means += rows[:, start::SIDE] / SIDE**2
    kept = float(means.var() / (values.var() + TINY))
    return float(np.interp(kept, [NOISE_KEEPS, IMAGE_KEEPS], [0, 1]))
