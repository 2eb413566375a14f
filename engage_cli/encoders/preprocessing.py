"""From an image to the pixels that a checkpoint was trained on: what its own processor does, at half the cost.

A processor resizes the whole image, crops the middle and computes in float32 on the CPU. Here only what the crop shows
is resized, and rescaling and normalising happen beside the tower, on bytes. A processor that does anything else than
resize, crop, rescale and normalise is called as it is; so is one whose pixels differ from ours on the probe images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engage_cli.encoders._loading import load_processor
from engage_cli.errors import EngageError
from engage_cli.images.resize import ResizeConfig, shrink_all

PREPROCESSING = "pixels 1"  # to be raised when the same image gives other pixels
KNOWN_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"}
PROBE_SIZES = ((211, 120), (97, 330), (600, 601))
# Of the range of a pixel: resizing a part of an image rounds a few pixels otherwise, by one step or two.
TOLERANCE = 2.5 / 255


class Pixels:
    """A checkpoint's preprocessing."""

    def __init__(self, folder: Path, *, is_whole: bool = False) -> None:
        """`is_whole`: an image is pressed into the size that the checkpoint wants, and nothing is cut off."""
        from transformers import AutoImageProcessor

        self.folder = folder
        # Pixels differ between transformers' backends: one is pinned.
        self.processor = load_processor(AutoImageProcessor, folder, backend="pil")
        try:
            recipe = read_recipe(self.processor)
        except (ValueError, TypeError, KeyError):  # settings that only the processor itself understands
            recipe = None
        self.recipe = recipe if recipe is not None and self._is_right(recipe) else None
        if is_whole and self.recipe is not None:
            self.recipe = replace(self.recipe, shortest_edge=None, resized=self.recipe.size, crop=None)

    @property
    def needed_side(self) -> int | None:
        """Pixels a side below which an image must not be decoded; None where the whole image is needed."""
        if self.recipe is None:
            return None
        return self.recipe.needed_side

    def prepare(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """RGB images to {"pixel_values": (B, H, W, 3) uint8}, or to what the processor gives, float32."""
        if self.recipe is None:
            return self._by_processor(images)
        return {"pixel_values": torch.from_numpy(shrink_all(images, self.recipe))}

    def normalise(self, pixel_values: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) of the tower's dtype; what the processor made is only cast."""
        if self.recipe is None or pixel_values.dtype != torch.uint8:
            return pixel_values.to(dtype)
        batch, height, width, channels = pixel_values.shape
        mean, std = (torch.tensor(v, device=pixel_values.device).repeat(width) for v in (self.recipe.mean, self.recipe.std))
        # Whole rows at a time: three channels alone are too few to be added up fast. (pixel * scale - mean) / std
        rows = pixel_values.view(batch, height, width * channels).float().mul_(self.recipe.scale / std).sub_(mean / std)
        return rows.to(dtype).view(pixel_values.shape).permute(0, 3, 1, 2)  # the memory stays channels-last

    def _by_processor(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        try:
            return dict(self.processor(images=list(images), return_tensors="pt"))
        except ValueError as error:
            raise EngageError(
                f"the image processor of {self.folder} does not give images of one shape: {str(error).splitlines()[0]}; "
                "give another --vision"
            ) from None

    def _is_right(self, recipe: ResizeConfig) -> bool:
        self.recipe = recipe
        rng = np.random.default_rng(0)
        for width, height in PROBE_SIZES:
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            image = coarse.resize((width, height), Image.Resampling.BICUBIC)
            found = self.normalise(self.prepare([image])["pixel_values"], torch.float32)
            wanted = self._by_processor([image])["pixel_values"]
            allowed = TOLERANCE * 255 * recipe.scale / min(recipe.std)
            if found.shape != wanted.shape or (found - wanted).abs().max() > allowed:
                return False
        return True


def read_recipe(processor: Any) -> ResizeConfig | None:
    """Return what a processor does; None where it does more than resizing, cropping, rescaling and normalising."""
    settings: Mapping[str, Any] = processor.to_dict()
    steps = {name for name, value in settings.items() if name.startswith("do_") and value}
    needed = {"do_resize", "do_rescale", "do_normalize"}
    if steps - KNOWN_STEPS or not needed <= steps:
        return None
    size = _sides(settings.get("size"))
    crop = _sides(settings.get("crop_size")) if "do_center_crop" in steps else {}
    mean, std = settings.get("image_mean"), settings.get("image_std")
    edge = size.get("shortest_edge") if set(size) == {"shortest_edge"} else None
    resized = (size["height"], size["width"]) if set(size) == {"height", "width"} else None
    cropped = (crop["height"], crop["width"]) if set(crop) == {"height", "width"} else None
    fits = resized is not None or (edge is not None and cropped is not None and max(cropped) <= edge)
    if not fits or (cropped and resized and (cropped[0] > resized[0] or cropped[1] > resized[1])):
        return None  # what is smaller than its crop would be padded
    if not (isinstance(mean, (list, tuple)) and isinstance(std, (list, tuple)) and len(mean) == len(std) == 3):
        return None
    resample = settings.get("resample")
    return ResizeConfig(
        shortest_edge=edge,
        resized=resized,
        crop=cropped,
        resample=int(resample) if resample is not None else int(Image.Resampling.BILINEAR),
        scale=float(settings["rescale_factor"]),
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
    )


def _sides(size: Any) -> dict[str, int]:
    """Return the sides that are set."""
    if not isinstance(size, Mapping):
        return {}
    return {str(name): int(value) for name, value in size.items() if value is not None}
