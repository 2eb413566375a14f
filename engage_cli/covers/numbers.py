"""What is counted and measured of a cover's reading. A number is one function and one line in a table."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

import numpy as np

from engage_cli.covers.reading import ReadFace, Reading, ReadLine
from engage_cli.registry import Registry

SHOWN = (120, 90)  # pixels: the size at which sites show a cover in a list
CORNER = (0.8, 0.85)  # from here to the right and down YouTube puts the duration
LEAST_JOINED = 4  # letters of a word that may also stand inside another: lettering is often read without its spaces
WORDS = re.compile(r"\w+")

LETTERING_NUMBERS = Registry(
    "number of a cover's lettering",
    {
        "cover_lines": "engage_cli.covers.numbers:lines",
        "cover_letters": "engage_cli.covers.numbers:letters",
        "cover_lettering_share": "engage_cli.covers.numbers:lettering_share",
        "cover_smallest_line": "engage_cli.covers.numbers:smallest_line",
        "cover_largest_line": "engage_cli.covers.numbers:largest_line",
        "cover_contrast": "engage_cli.covers.numbers:contrast",
        "cover_corner_lettering": "engage_cli.covers.numbers:corner_lettering",
    },
)
FACE_NUMBERS = Registry(
    "number of a cover's faces",
    {
        "cover_faces": "engage_cli.covers.numbers:faces",
        "cover_largest_face": "engage_cli.covers.numbers:largest_face",
        "cover_faces_share": "engage_cli.covers.numbers:faces_share",
        "cover_face_x": "engage_cli.covers.numbers:face_x",
        "cover_face_y": "engage_cli.covers.numbers:face_y",
        "cover_faces_looking": "engage_cli.covers.numbers:faces_looking",
        "cover_largest_face_looks": "engage_cli.covers.numbers:largest_face_looks",
    },
)
TITLE_ON_COVER = "cover_title_share"


def numbers_of(readings: Sequence[Reading | None], table: Registry) -> np.ndarray:
    """Return (n, numbers of the table) float32; NaN for a post without a cover."""
    found = np.full((len(readings), len(table)), np.nan, np.float32)
    for row, reading in enumerate(readings):
        if reading is not None:
            found[row] = [table.load(name)(reading) for name in table]
    return found


def meaning_of_number(table: Registry, name: str) -> str:
    """Return what a number is, with its unit: its docstring."""
    return (inspect.getdoc(table.load(name)) or "").removesuffix(".")


def texts_on(readings: Sequence[Reading | None]) -> list[str]:
    """Return the lettering of each cover; "" where there is none."""
    return [reading.text if reading is not None else "" for reading in readings]


def title_share(title: str, lettering: str) -> float:
    """Return the share of a title's different words that stand on the cover; NaN of a title without words."""
    wanted = set(WORDS.findall(title.casefold()))
    if not wanted:
        return float("nan")
    there, joined = set(WORDS.findall(lettering.casefold())), "".join(WORDS.findall(lettering.casefold()))
    return sum(word in there or (len(word) >= LEAST_JOINED and word in joined) for word in wanted) / len(wanted)


def lines(reading: Reading) -> float:
    """Lines of lettering [count]."""
    return float(len(reading.lines))


def letters(reading: Reading) -> float:
    """Letters and digits of the lettering [count]."""
    return float(sum(sign.isalnum() for sign in reading.text))


def lettering_share(reading: Reading) -> float:
    """Share of the cover that lettering takes up [0 to 1]."""
    return min(1.0, sum(_area(_corners(line)) for line in reading.lines))


def smallest_line(reading: Reading) -> float:
    """Height of the smallest line where the cover is shown at 120 x 90 [pixels]."""
    return min(_heights(reading), default=float("nan"))


def largest_line(reading: Reading) -> float:
    """Height of the largest line where the cover is shown at 120 x 90 [pixels]."""
    return max(_heights(reading), default=float("nan"))


def contrast(reading: Reading) -> float:
    """Contrast of lettering to its background, the mean by area [WCAG ratio, 1 to 21]."""
    if not reading.lines:
        return float("nan")
    areas = np.array([_area(_corners(line)) for line in reading.lines]) + 1e-9
    return float(np.average([line.contrast for line in reading.lines], weights=areas))


def corner_lettering(reading: Reading) -> float:
    """Share of the corner at the bottom right, where YouTube puts the duration, that lettering takes up [0 to 1]."""
    size = np.array([1.0, 1.0]) - CORNER
    covered = 0.0
    for line in reading.lines:
        box = _corners(line)
        sides = np.minimum(box.max(axis=0), 1.0) - np.maximum(box.min(axis=0), CORNER)
        covered += float(np.prod(np.maximum(sides, 0.0)))
    return min(1.0, covered / float(np.prod(size)))


def faces(reading: Reading) -> float:
    """Faces [count]."""
    return float(len(reading.faces))


def largest_face(reading: Reading) -> float:
    """Share of the cover that the largest face takes up [0 to 1]."""
    return max(map(_face_area, reading.faces), default=0.0)


def faces_share(reading: Reading) -> float:
    """Share of the cover that all faces take up [0 to 1]."""
    return min(1.0, sum(map(_face_area, reading.faces)))


def face_x(reading: Reading) -> float:
    """Where the middle of the largest face lies, from the left [0 to 1]."""
    return reading.faces[0].left + reading.faces[0].width / 2 if reading.faces else float("nan")


def face_y(reading: Reading) -> float:
    """Where the middle of the largest face lies, from the top [0 to 1]."""
    return reading.faces[0].top + reading.faces[0].height / 2 if reading.faces else float("nan")


def faces_looking(reading: Reading) -> float:
    """Faces that look at the camera [count]."""
    return float(sum(face.looks_at_camera for face in reading.faces))


def largest_face_looks(reading: Reading) -> float:
    """Whether the largest face looks at the camera [0 or 1]."""
    return float(bool(reading.faces) and reading.faces[0].looks_at_camera)


def _corners(line: ReadLine) -> np.ndarray:
    """(4, 2: x, y), shares of the cover."""
    return np.array(line.corners)


def _area(corners: np.ndarray) -> float:
    """Return the area of a quadrilateral inside the unit square, by the shoelace formula."""
    x, y = np.clip(corners, 0.0, 1.0).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _heights(reading: Reading) -> list[float]:
    """Return the height of each line, in pixels at SHOWN: the mean of its two upright sides."""
    scale = min(SHOWN[0] / reading.width, SHOWN[1] / reading.height)
    size = np.array([reading.width, reading.height]) * scale
    found = []
    for line in reading.lines:
        first, second, third, fourth = _corners(line) * size
        found.append(float(np.hypot(*(fourth - first)) + np.hypot(*(third - second))) / 2)
    return found


def _face_area(face: ReadFace) -> float:
    return face.width * face.height
