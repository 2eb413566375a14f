"""A title, word by word."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from engage_cli.data.cells.scripts import UNSPACED

MOST_WORDS = 40
# Scripts that put no space between words: two signs, each with the marks above and below it, are about one word.
_MARKS = r"[\u3099\u309a\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*"
_UNSPACED = rf"(?:[{UNSPACED}]{_MARKS}){{1,2}}"
_WORD = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\S)+")
_HAS_LETTER = re.compile(r"\w")


class Word(NamedTuple):
    """A word of a title, at text[start:end]."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the first words, each with the marks that stand on it; an emoji is a word, a dash or a mark alone is none."""
    found = (Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text))
    return [word for word in found if _HAS_LETTER.search(word.text) or _has_image(word.text)][:MOST_WORDS]


def _has_image(text: str) -> bool:
    return any(unicodedata.category(sign) == "So" for sign in text)


def without(text: str, word: Word) -> str:
    """Return the text without a word, and without the space that would stand twice."""
    return re.sub(r"\s+", " ", f"{text[: word.start]}{text[word.end :]}").strip()
