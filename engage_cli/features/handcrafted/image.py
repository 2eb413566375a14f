"""What can be measured in a cover. All but its size is measured on a copy of at most 256 pixels a side."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from PIL import Image
from scipy import ndimage

from engage_cli.images.decode import decode, read_size

SIDE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
COLOURED, VISIBLE = 0.25, 0.2  # saturation and value from which a pixel has a hue that people would name
DARK, LIGHT = 0.12, 0.92
EDGE = 0.2  # of the luma's range, across two pixels
# A place is like lettering where a window about a word wide has many upright strokes between dark and light.
WINDOW, STROKES, STROKE_EDGE, STROKE_RANGE = (9, 25), 0.16, 0.25, 0.6
HUES = {  # degrees
    "red": (345, 15),
    "orange": (15, 45),
    "yellow": (45, 70),
    "green": (70, 165),
    "cyan": (165, 195),
    "blue": (195, 255),
    "purple": (255, 295),
    "pink": (295, 345),
}


class LoadedImage:
    """A decoded cover."""

    def __init__(self, data: bytes) -> None:
        """Decode; raise ImageError where the bytes are not an image."""
        image = decode(data, at_least=SIDE)
        width, height = read_size(data)
        is_turned = (image.width > image.height) != (width > height) and image.width != image.height
        self.width, self.height = (height, width) if is_turned else (width, height)
        image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=None)
        self.image = image
        self.rgb = np.asarray(image, np.float32) / 255  # (h, w, 3), 0 to 1

    @cached_property
    def luma(self) -> np.ndarray:
        """(h, w), 0 to 1."""
        return self.rgb @ LUMA

    @cached_property
    def hsv(self) -> np.ndarray:
        """(h, w, 3), 0 to 1."""
        return np.asarray(self.image.convert("HSV"), np.float32) / 255

    @cached_property
    def hue_shares(self) -> dict[str, float]:
        hue, saturation, value = np.moveaxis(self.hsv, -1, 0)
        degrees = hue[(saturation >= COLOURED) & (value >= VISIBLE)] * 360
        counts = np.histogram((degrees - 345) % 360, bins=[0, *((high - 345) % 360 or 360 for _, high in HUES.values())])[0]
        return dict(zip(HUES, (counts / hue.size).tolist(), strict=True))


def width(image: LoadedImage) -> float:
    """Width of the file [pixels]."""
    return image.width


def height(image: LoadedImage) -> float:
    """Height of the file [pixels]."""
    return image.height


def aspect(image: LoadedImage) -> float:
    """Width over height [ratio]; above 1 is landscape."""
    return image.width / image.height


def brightness(image: LoadedImage) -> float:
    """Mean luma [0 black to 1 white]."""
    return float(image.luma.mean())


def contrast(image: LoadedImage) -> float:
    """Standard deviation of the luma [0 to 0.5]."""
    return float(image.luma.std())


def saturation(image: LoadedImage) -> float:
    """Mean saturation [0 grey to 1]."""
    return float(image.hsv[..., 1].mean())


def colourfulness(image: LoadedImage) -> float:
    """Colourfulness of Hasler and Süsstrunk (2003), equation 4 of their M3 [0 grey, 0.4 very colourful]."""
    red, green, blue = np.moveaxis(image.rgb, -1, 0)
    first, second = red - green, (red + green) / 2 - blue
    spread = np.hypot(first.std(), second.std())
    return float(spread + 0.3 * np.hypot(first.mean(), second.mean()))


def warmth(image: LoadedImage) -> float:
    """Mean of red minus blue [-1 cold to 1 warm]."""
    return float((image.rgb[..., 0] - image.rgb[..., 2]).mean())


def red(image: LoadedImage) -> float:
    """Red in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["red"]


def orange(image: LoadedImage) -> float:
    """Orange, brown and skin in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["orange"]


def yellow(image: LoadedImage) -> float:
    """Yellow in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["yellow"]


def green(image: LoadedImage) -> float:
    """Green in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["green"]


def cyan(image: LoadedImage) -> float:
    """Cyan in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["cyan"]


def blue(image: LoadedImage) -> float:
    """Blue in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["blue"]


def purple(image: LoadedImage) -> float:
    """Purple in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["purple"]


def pink(image: LoadedImage) -> float:
    """Pink in the cover [share of its pixels, 0 to 1]."""
    return image.hue_shares["pink"]


def black(image: LoadedImage) -> float:
    """Nearly black in the cover [share of its pixels, 0 to 1]."""
    return float((image.luma <= DARK).mean())


def white(image: LoadedImage) -> float:
    """Nearly white in the cover [share of its pixels, 0 to 1]."""
    return float((image.luma >= LIGHT).mean())


def sharpness(image: LoadedImage) -> float:
    """Standard deviation of the luma's Laplacian [0 blurred, 0.2 sharp]; its square is the usual measure of focus."""
    return float(ndimage.laplace(image.luma, mode="nearest").std())


def edge_density(image: LoadedImage) -> float:
    """Pixels on an edge, by Sobel's operator [share, 0 to 1]."""
    across, down = (ndimage.sobel(image.luma, axis=axis, mode="nearest") / 4 for axis in (1, 0))
    return float((np.hypot(across, down) >= EDGE).mean())


def entropy(image: LoadedImage) -> float:
    """Entropy of the luma in 256 steps [bits, 0 to 8]; a plain cover has little."""
    counts = np.bincount((image.luma * 255).astype(np.int64).ravel(), minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float((shares * np.log2(1 / shares)).sum())


def lettering(image: LoadedImage) -> float:
    """How much of the cover looks like lettering: many upright strokes between dark and light [share, 0 to 1]."""
    luma = image.luma
    strokes = np.abs(np.diff(luma, axis=1, prepend=luma[:, :1])) >= STROKE_EDGE
    density = ndimage.uniform_filter(strokes.astype(np.float32), WINDOW, mode="constant")[::2, ::2]
    # What is darkest and lightest in a window is found as well on every second pixel, in a quarter of the time.
    half, window = luma[::2, ::2], tuple(side // 2 + 1 for side in WINDOW)
    span = ndimage.maximum_filter(half, window) - ndimage.minimum_filter(half, window)
    return float(((density >= STROKES) & (span >= STROKE_RANGE)).mean())
