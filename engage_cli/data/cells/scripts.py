"""Scripts that put no space between words, as Chinese, Japanese and Thai: what a word is has to be found otherwise."""

from __future__ import annotations

# Ranges of a character class of a regular expression: kana, Han, Thai, Lao, Tibetan, Myanmar and Khmer.
UNSPACED = (
    r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
