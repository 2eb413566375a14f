"""What is read off one cover: its lines of lettering and its faces, as a record that is kept by the image's hash.

Places and sizes are shares of the image's width and height, so that they mean the same at any size.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from engage_cli.covers._lettering import read_lettering
from engage_cli.covers.faces import detect_faces
from engage_cli.images.decode import ImageError, decode, read_same
from engage_cli.io.ranges import FromOne, Share
from engage_cli.io.records import parse, record

VERSION = 1  # of the models and of how they are asked: covers that another one read are read anew
AT_LEAST = 416  # pixels a side below which a JPEG is not decoded
DIGITS = 4
AGAIN = "it is read anew"

Place = Annotated[float, Field(ge=-1, le=2)]  # a line's box may reach over the edge
Point = tuple[Place, Place]


@record
class ReadLine:
    """A line of lettering."""

    text: str
    score: Share
    corners: tuple[Point, Point, Point, Point]  # (x, y), clockwise from the top left of the text
    contrast: Annotated[float, Field(ge=1, le=21)]  # to its background, as WCAG 2.2 counts it


@record
class ReadFace:
    """A face."""

    left: Share
    top: Share
    width: Share
    height: Share
    score: Share
    looks_at_camera: bool


@record
class Reading:
    """A cover's lettering and faces."""

    width: FromOne  # pixels
    height: FromOne
    lines: tuple[ReadLine, ...] = ()
    faces: tuple[ReadFace, ...] = ()  # the largest first

    @property
    def text(self) -> str:
        """All lines, in the order in which they are read."""
        return " ".join(line.text for line in self.lines)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, separators=(",", ":"))


def reading_from_json(text: str) -> Reading:
    """Parse what `to_json` gave; raise EngageError for anything else."""
    return parse(json.loads(text), Reading, where="a reading of a cover", again=AGAIN)


def read_cover(data: bytes, *, threads: int = 1) -> Reading:
    """Read an image file.

    Raises ImageError where the bytes are no image, and EngageError where the extra `covers` is not installed.
    """
    pixels = np.asarray(decode(data, at_least=AT_LEAST))
    height, width = pixels.shape[:2]
    size = np.array([width, height])
    lines = []
    for line in read_lettering(pixels, threads=threads):
        first, second, third, fourth = ((_round(x), _round(y)) for x, y in np.clip(line.corners / size, -1, 2))
        corners = (first, second, third, fourth)
        lines.append(ReadLine(text=line.text, score=_round(line.score), corners=corners, contrast=_round(line.contrast)))
    faces = [
        ReadFace(
            left=_round(face.left / width),
            top=_round(face.top / height),
            width=_round(face.width / width),
            height=_round(face.height / height),
            score=_round(face.score),
            looks_at_camera=face.looks_at_camera,
        )
        for face in detect_faces(pixels, threads=threads)
    ]
    return Reading(width=width, height=height, lines=tuple(lines), faces=tuple(faces))


def read_files(files: Sequence[tuple[Path, str, str]]) -> list[str | None]:
    """Read many covers, each given by folder, name and hash, as JSON: what a worker process does.

    None where the file with this hash is no longer there, "" where it is no image.
    """
    return [_read_file(*file) for file in files]


def _read_file(root: Path, name: str, digest: str) -> str | None:
    data = read_same(root, name, digest)
    if data is None:
        return None
    try:
        return read_cover(data).to_json()
    except ImageError:
        return ""


def _round(value: float) -> float:
    return round(float(value), DIGITS)
