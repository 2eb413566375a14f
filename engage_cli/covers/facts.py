"""What people say of a cover: that it has no lettering, a face that looks at the camera, and the like.

A fact is true of a cover or not. It is one line in FACTS; facts of one kind, of which exactly one is true, stand together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engage_cli.covers.numbers import (
    contrast,
    corner_lettering,
    faces_looking,
    largest_face,
    largest_line,
    smallest_line,
    title_share,
)
from engage_cli.covers.reading import Reading

SMALL_LINE = 5.0  # pixels high at 120 x 90
LARGE_LINE = 12.0
LOW_CONTRAST = 3.0  # below WCAG's least for large text
IN_CORNER = 0.1  # of the corner
LARGE_FACE = 0.1  # of the cover
MANY_LINES = 4
REPEATED = 0.5  # of the title's words


@dataclass(frozen=True)
class Cover:
    """A cover and its title."""

    reading: Reading
    title: str


Holds = Callable[[Cover], bool]

FACTS: dict[str, Holds] = {
    "no lettering": lambda one: not one.reading.lines,
    "one to three lines of lettering": lambda one: 0 < len(one.reading.lines) < MANY_LINES,
    "four or more lines of lettering": lambda one: len(one.reading.lines) >= MANY_LINES,
    "lettering smaller than 5 pixels where the cover is shown at 120 x 90": lambda one: (
        smallest_line(one.reading) < SMALL_LINE
    ),
    "large lettering, 12 pixels or more at 120 x 90": lambda one: largest_line(one.reading) >= LARGE_LINE,
    "lettering with a contrast below 3 to 1": lambda one: contrast(one.reading) < LOW_CONTRAST,
    "lettering in the corner where the duration is shown": lambda one: corner_lettering(one.reading) >= IN_CORNER,
    "at least half of the title's words on the cover": lambda one: title_share(one.title, one.reading.text) >= REPEATED,
    "no face": lambda one: not one.reading.faces,
    "one face": lambda one: len(one.reading.faces) == 1,
    "two or more faces": lambda one: len(one.reading.faces) > 1,
    "a large face, a tenth of the cover or more": lambda one: largest_face(one.reading) >= LARGE_FACE,
    "a face that looks at the camera": lambda one: faces_looking(one.reading) > 0,
    "faces, none of which looks at the camera": lambda one: bool(one.reading.faces) and faces_looking(one.reading) == 0,
}


def facts_of(cover: Cover) -> list[str]:
    """Return the facts that are true of a cover."""
    return [name for name, holds in FACTS.items() if holds(cover)]
