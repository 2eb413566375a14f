"""A title, word by word."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MOST_WORDS = 40
# Scripts that put no space between words: two signs are about one word.
_UNSPACED = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]{1,2}"
_WORD = re.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})\S)+")
_HAS_LETTER = re.compile(r"\w")


class Word(NamedTuple):
    """A word of a title, at text[start:end]."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """Return the first words, each with the marks that stand on it; marks alone are no word, but an emoji is."""
    found = (Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text))
    return [word for word in found if _is_word(word.text)][:MOST_WORDS]


def _is_word(text: str) -> bool:
    return bool(_HAS_LETTER.search(text)) or any(unicodedata.category(sign) == "So" for sign in text)


def without(text: str, word: Word) -> str:
    """Return the text without a word, and without the space that would stand twice."""
    return re.sub(r"\s+", " ", f"{text[: word.start]}{text[word.end :]}").strip()
