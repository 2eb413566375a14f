"""Images to the size that a checkpoint wants; without torch, for a process that only reads images needs none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# A JPEG decoded smaller keeps this many times the side that is needed: lettering shows it first, with a cosine of 0.997
# at 1 and of 0.9998 at 2.
DRAFT_MARGIN = 3


@dataclass(frozen=True, kw_only=True)
class ResizeConfig:
    """What a processor does, as numbers."""

    shortest_edge: int | None  # the image is resized to it, its shape kept ...
    resized: tuple[int, int] | None  # ... or to these (height, width), whatever its shape
    crop: tuple[int, int] | None  # (height, width) of the middle that is kept
    resample: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the result."""
        found = self.crop or self.resized
        assert found is not None
        return found

    @property
    def needed_side(self) -> int:
        """Pixels a side below which an image must not be decoded."""
        return DRAFT_MARGIN * (self.shortest_edge or max(self.size))


def shrink_all(images: Sequence[Image.Image], recipe: ResizeConfig) -> np.ndarray:
    """RGB images to (B, H, W, 3) uint8."""
    return np.stack([np.asarray(shrink(image, recipe)) for image in images])


def shrink(image: Image.Image, recipe: ResizeConfig) -> Image.Image:
    """Resize and crop at once: of the resized image only the part that the crop shows is computed."""
    width, height = image.size
    if recipe.resized is not None:
        to_height, to_width = recipe.resized
    else:
        assert recipe.shortest_edge is not None
        to_height, to_width = with_shortest_edge(height, width, recipe.shortest_edge)
    crop_height, crop_width = recipe.crop or (to_height, to_width)
    top, left = (to_height - crop_height) // 2, (to_width - crop_width) // 2
    x, y = width / to_width, height / to_height
    part = (left * x, top * y, min((left + crop_width) * x, width), min((top + crop_height) * y, height))
    return image.resize((crop_width, crop_height), Image.Resampling(recipe.resample), box=part)


def with_shortest_edge(height: int, width: int, edge: int) -> tuple[int, int]:
    """Return (height, width) whose shorter side is `edge`, as transformers rounds it."""
    short, long = sorted((height, width))
    longer = int(edge * long / short)
    return (edge, longer) if height <= width else (longer, edge)
