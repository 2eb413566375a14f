"""What may be shown of a text that comes from outside: every sink of a stream calls this.

A title, a column's name, a file's name may hold escape sequences that colour a terminal, move its cursor or write its
title, and direction signs that turn the order of all that follows.
"""

from __future__ import annotations

import re

SHOWN = "\ufffd"  # in the place of each sign that is not shown
# C0 and C1 controls but for the line end, halves of surrogate pairs, line and paragraph separators, direction signs,
# and the signs that annotate between lines.
_CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Replace every sign that acts on a terminal instead of standing in it; line ends stay."""
    return _CONTROLS.sub(SHOWN, text)


def one_line(text: str) -> str:
    """As `printable`, and on one line: nothing from outside may begin a line of its own."""
    return printable(text.replace("\r\n", " ").replace("\n", " ").replace("\t", " "))


def escaped_json(text: str) -> str:
    """Write the same signs in JSON text as \\uXXXX: outside its strings JSON has none of them."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
