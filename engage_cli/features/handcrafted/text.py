"""What can be counted in a text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_HASHTAG = re.compile(r"[#＃]\w")
# Pictographs, their older neighbours, and flags; what joins or colours them is part of the one before.
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
    "(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[\u2600-\u27bf\U0001f300-\U0001faff])*"
)
_BRACKETS = re.compile(r"[(\[{【（「『《]")
_QUOTES = re.compile(r"[\"“”«»„]")
_SEPARATORS = re.compile(r"\||[-–—:](?=\s)|\s//\s|[・•｜：]")
# The first word of a letter's Unicode name, where it names a script or a part of one.
_SCRIPTS = {
    "LATIN": "Latin", "FULLWIDTH": "Latin", "CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese",
    "HALFWIDTH": "Japanese", "HANGUL": "Korean", "CYRILLIC": "Cyrillic", "ARABIC": "Arabic", "HEBREW": "Hebrew",
    "GREEK": "Greek", "DEVANAGARI": "Devanagari", "BENGALI": "Bengali", "TAMIL": "Tamil", "TELUGU": "Telugu",
    "THAI": "Thai",
}  # fmt: skip
OTHER_SCRIPT, NO_SCRIPT = "other", "none"


def characters(text: str) -> float:
    """Length [characters]."""
    return len(text)


def words(text: str) -> float:
    """Number of words [words]; a text without spaces, as in Chinese, is one."""
    return len(_WORD.findall(text))


def word_length(text: str) -> float:
    """Average length of a word [characters]; 0 without words."""
    found = _WORD.findall(text)
    return sum(map(len, found)) / len(found) if found else 0.0


def capital_share(text: str) -> float:
    """Capitals among the letters [share, 0 to 1]; 0 without letters."""
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) / letters if letters else 0.0


def capital_words(text: str) -> float:
    """Words of two or more letters that are all capitals [words]."""
    return sum(len(word) > 1 and word.isupper() for word in _WORD.findall(text))


def digits(text: str) -> float:
    """Number of digits [characters]."""
    return sum(map(str.isdigit, text))


def exclamation_marks(text: str) -> float:
    """Number of exclamation marks [marks]."""
    return sum(map(text.count, "!！¡"))


def question_marks(text: str) -> float:
    """Number of question marks [marks]."""
    return sum(map(text.count, "?？¿"))


def emoji(text: str) -> float:
    """Number of emoji [emoji]; a flag, a family or a coloured hand is one."""
    return len(_EMOJI.findall(text))


def hashtags(text: str) -> float:
    """Number of hashtags [hashtags]."""
    return len(_HASHTAG.findall(text))


def separators(text: str) -> float:
    """Number of signs that divide a text into parts, such as | or a dash [signs]."""
    return len(_SEPARATORS.findall(text))


def brackets(text: str) -> float:
    """Number of opened brackets, as in (official) [brackets]."""
    return len(_BRACKETS.findall(text))


def quotes(text: str) -> float:
    """Number of quotation marks [marks]."""
    return len(_QUOTES.findall(text))


def links(text: str) -> float:
    """Number of links [links]."""
    return len(_LINK.findall(text))


def lines(text: str) -> float:
    """Number of lines that are not empty [lines]."""
    return sum(bool(line.strip()) for line in text.splitlines())


def script(text: str) -> str:
    """The script of most of its letters [name]; a text with any kana is Japanese."""
    counts = Counter(_script_of(letter) for letter in text if letter.isalpha())
    if not counts:
        return NO_SCRIPT
    if counts["Japanese"] and counts["Japanese"] + counts["Han"] > sum(counts.values()) / 2:
        return "Japanese"
    return max(sorted(counts), key=lambda name: counts[name])


def _script_of(letter: str) -> str:
    if letter.isascii():
        return "Latin"
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], OTHER_SCRIPT)
