"""What `prepare` finds out about each image: whether it can be opened, the hash of its bytes, its perceptual hash.

Light to import, for every worker process imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from engage_cli.images.decode import ImageError, decode_grey, digest_of, read_bytes, read_size, resolve_inside
from engage_cli.images.phash import DECODED_SIDE, perceptual_hash

# How far an image is opened. A level finds all that the levels before it find.
LEVELS = ("header", "reduced", "full")  # reduced: decoded at a fraction of its size, enough for a perceptual hash


class Checked(NamedTuple):
    """What is known of one image file."""

    digest: str  # BLAKE2b of the bytes, 32 hex digits; "" without a usable image
    perceptual: bytes  # 32 bytes; b"" at level header or without a usable image
    problem: str  # why the image cannot be used; "" where it can


class Stamp(NamedTuple):
    """What changes when a file does, as far as one sees without reading it; (-1, -1) where there is no file."""

    size: int
    mtime_ns: int


NOTHING_NAMED = Checked("", b"", "no image named")


def check_image(root: Path, name: str, level: str) -> Checked:
    """Open an image as far as the level says."""
    if not name:
        return NOTHING_NAMED
    try:
        data = read_bytes(resolve_inside(root, name))
        if level == "header":
            read_size(data)
            perceptual = b""
        else:
            perceptual = perceptual_hash(decode_grey(data, DECODED_SIDE if level == "reduced" else None))
    except ImageError as problem:
        return Checked("", b"", str(problem))
    return Checked(digest_of(data), perceptual, "")


def check_images(root: Path, names: Sequence[str], level: str) -> list[tuple[Stamp, Checked]]:
    """Check many images, each with the stamp that its file had before it was read."""
    return [(stamp_of(root, name), check_image(root, name, level)) for name in names]


def stamp_of(root: Path, name: str) -> Stamp:
    try:
        stat = resolve_inside(root, name).stat()
    except (ImageError, OSError):
        return Stamp(-1, -1)
    return Stamp(stat.st_size, stat.st_mtime_ns)
