"""Files to pixels ahead of a tower: in threads, and in processes where threads cannot keep up.

Python's lock changes hands several times an image, so threads read about 2,000 small covers a second however many cores
there are: on 16 cores one thread read 1,300, four 2,100, sixteen 1,700; eight processes 7,100 (224 x 224 JPEGs). A
processor's towers ask for less; a GPU asks for more. Nothing here imports torch: a process is to be ready in a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from engage_cli.errors import EngageError
from engage_cli.images.decode import ImageError, decode, digest_of, placeholder, read_bytes, resolve_inside
from engage_cli.images.resize import ResizeConfig, shrink_all
from engage_cli.runtime.timing import Clock
from engage_cli.runtime.worker_processes import worker_processes

MOST_PROCESSES = 8  # fifteen are not faster: handing pixels over takes one core

ReadImage = Callable[[], "bytes | None"]


class Read(NamedTuple):
    """What a process made of some images."""

    pixels: np.ndarray  # (n, H, W, 3) uint8
    problems: list[str]  # of each image, "" where it was decoded
    seconds: dict[str, float]  # by stage


def no_image() -> None:
    """What is read of a post without an image."""


def read_unchanged(root: Path, name: str, digest: str) -> bytes:
    """Return an image file that `engage prepare` saw; raise EngageError where it is another one now, or gone."""
    try:
        data = read_bytes(resolve_inside(root, name))
    except ImageError as problem:
        raise EngageError(
            f"{root / name}: {problem}, but `engage prepare` could read it; put it back, or prepare again"
        ) from None
    if digest_of(data) != digest:
        raise EngageError(f"{root / name} changed since `engage prepare`; run prepare --overwrite again")
    return data


def open_image(data: bytes | None, at_least: int | None) -> tuple[Image.Image, str]:
    """Return an image and "", or the neutral placeholder and why there is no other."""
    if data is None:
        return placeholder(), "missing"
    try:
        return decode(data, at_least), ""
    except ImageError as problem:
        return placeholder(), str(problem)


def open_images(reads: Sequence[ReadImage], at_least: int | None, clock: Clock) -> tuple[list[Image.Image], list[str]]:
    """Return images, placeholders among them, and the problem of each."""
    images, problems = [], []
    for read in reads:
        with clock.wall("read"):
            data = read()
        with clock.work("decode"):
            image, problem = open_image(data, at_least)
        images.append(image)
        problems.append(problem)
    return images, problems


def read_pixels(reads: Sequence[ReadImage], recipe: ResizeConfig) -> Read:
    """In a process of `reading_processes`: all that is done to images before they are on the device."""
    clock = Clock()
    images, problems = open_images(reads, recipe.needed_side, clock)
    with clock.work("decode"):
        pixels = shrink_all(images, recipe)
    return Read(pixels, problems, clock.seconds)


@contextmanager
def reading_processes(num: int) -> Iterator[Callable[[Sequence[ReadImage], ResizeConfig], Future[Read]]]:
    """Start processes, and end them with the block; what is yielded hands them some images of a recipe."""
    with worker_processes(num) as processes:
        yield lambda reads, recipe: processes.submit(read_pixels, reads, recipe)
