"""How good a frame looks by itself: light, contrast, sharpness and little noise, each from 0 to 1.

It is measured on a small luma image. Sharpness counts edges by the structure tensor (Förstner and Gülch 1987): where
gradients point one way there is an edge, where they point every way there is noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

WINDOW = 5  # pixels a side of what the structure tensor looks at
SHARP = 0.08  # change of luma (0 to 1) per pixel at edges, at which sharpness is one half
SHARPEST = 4  # the sharpest of so many parts of a frame counts: a portrait's background may be soft
DARKEST, DARK, BRIGHT, BRIGHTEST = 0.05, 0.25, 0.75, 0.97  # mean luma: useless outside the outer two, good inside the inner
FULL_CONTRAST = 0.5  # of luma, between the 2nd and the 98th percentile
NOISE_KEEPS, IMAGE_KEEPS = 0.2, 0.5  # of its variance, once every 4 x 4 pixels are averaged
SIDE = 4
TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Measures:
    light: float
    contrast: float
    sharpness: float
    clarity: float  # 1 of an image, 0 of noise

    @property
    def quality(self) -> float:
        """0 to 1; nothing makes up for a part that is bad."""
        return self.light * self.contrast * self.sharpness * self.clarity


def measure(luma: np.ndarray) -> Measures:
    """Measure a frame by its luma (H, W) uint8, full range."""
    shares = np.cumsum(np.bincount(luma.ravel(), minlength=256)) / luma.size
    low, high = np.searchsorted(shares, [0.02, 0.98]) / 255
    values = luma.astype(np.float32) / 255
    return Measures(
        light=float(np.interp(values.mean(), [DARKEST, DARK, BRIGHT, BRIGHTEST], [0, 1, 1, 0])),
        contrast=float(min(1.0, (high - low) / FULL_CONTRAST)),
        sharpness=_sharpness(values),
        clarity=_clarity(values),
    )


def _sharpness(values: np.ndarray) -> float:
    if min(values.shape) < 2 * WINDOW:
        return 0.0
    across, down = values[1:, 1:] - values[1:, :-1], values[1:, 1:] - values[:-1, 1:]
    xx, yy, xy = (_blurred(product) for product in (across * across, down * down, across * down))
    energy = xx + yy
    coherent = ((xx - yy) ** 2 + 4 * xy * xy) / (energy + TINY)  # of an edge all of its energy, of noise next to none
    num = max(1, coherent.size // SHARPEST)
    slope = float(np.partition(coherent.ravel(), -num)[-num:].mean())  # squared
    return slope / (slope + SHARP**2)


def _blurred(values: np.ndarray) -> np.ndarray:
    """Average each WINDOW x WINDOW pixels."""
    height, width = (side - WINDOW + 1 for side in values.shape)
    rows = values[:height].copy()
    for offset in range(1, WINDOW):
        rows += values[offset : offset + height]
    sums = rows[:, :width].copy()
    for offset in range(1, WINDOW):
        sums += rows[:, offset : offset + width]
    return sums / WINDOW**2


def _clarity(values: np.ndarray) -> float:
    """Averaging takes 15 of 16 parts of white noise's variance, and little of an image's."""
    height, width = (side // SIDE * SIDE for side in values.shape)
    if not height or not width:
        return 0.0
    rows = sum(values[start:height:SIDE] for start in range(SIDE))
    means = sum(rows[:, start:width:SIDE] for start in range(SIDE)) / SIDE**2
    kept = float(means.var() / (values.var() + TINY))
    return float(np.interp(kept, [NOISE_KEEPS, IMAGE_KEEPS], [0, 1]))
