"""Lettering of an image by RapidOCR, whose wheel carries the models PP-OCRv6 small of PaddleOCR (both Apache-2.0)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from engage_cli.covers._weights import MISSING, model_file
from engage_cli.errors import EngageError

LONGEST_SIDE = 416  # pixels to which an image is scaled: at 640 it takes twice the time and reads little more
LEAST_SURE = 0.6  # of a line's text, 0 to 1
DARKEST = 0.05  # WCAG 2.2: added to both luminances of a contrast


class Line(NamedTuple):
    """A line of lettering, in pixels of the image."""

    text: str
    score: float  # 0 to 1
    corners: np.ndarray  # (4, 2: x, y), clockwise from the top left of the text
    contrast: float  # 1 to 21


def read_lettering(pixels: np.ndarray, *, threads: int = 1) -> list[Line]:
    """Return the lines of an image (H, W, 3) uint8 RGB, as they are read: from the top down.

    Raises EngageError where the extra `covers` is not installed.
    """
    height, width = pixels.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    found = _reader(threads)(np.ascontiguousarray(scaled[:, :, ::-1]))
    if found.boxes is None:
        return []
    to_pixels = np.array([width / size[0], height / size[1]])
    luminance = relative_luminance(scaled)
    lines = []
    for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        if text.strip() and score >= LEAST_SURE:
            box = np.asarray(corners, np.float64)
            contrast = contrast_of(_inside(luminance, box))
            lines.append(Line(" ".join(text.split()), float(score), box * to_pixels, contrast))
    return lines


def relative_luminance(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W) of sRGB (H, W, 3) uint8, 0 to 1 (WCAG 2.2, relative luminance)."""
    share = pixels.astype(np.float32) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722], np.float32))


def contrast_of(luminance: np.ndarray) -> float:
    """Return the WCAG contrast ratio, 1 to 21, between the two groups of pixels that part best (Otsu 1979)."""
    values = np.sort(np.log(luminance.astype(np.float64).ravel() + DARKEST))
    if len(values) < 2 or values[-1] - values[0] < 1e-6:
        return 1.0
    below = np.arange(1, len(values))
    sums = np.cumsum(values)
    low, high = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(values) - below)
    between = below * (len(values) - below) * (high - low) ** 2
    best = int(np.argmax(between))
    return float(np.clip(math.exp(high[best] - low[best]), 1.0, 21.0))


def _inside(luminance: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the pixels of the upright box around a line."""
    (left, top), (right, bottom) = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    return luminance[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]


@lru_cache(maxsize=2)
def _reader(threads: int) -> Any:
    files = {"Det.model_path": model_file("lines"), "Rec.model_path": model_file("letters")}
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise EngageError(MISSING.format(error.name)) from None
    return RapidOCR(
        params={
            **{name: str(path) for name, path in files.items()},
            "Global.use_cls": False,  # lettering that stands upside down
            "Global.log_level": "error",
            "Det.limit_side_len": LONGEST_SIDE,
            "Det.limit_type": "max",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
