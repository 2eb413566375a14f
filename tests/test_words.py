"""A title is cut into words in every script, and is the same title without one of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engage_cli.explain.title_words import MOST_WORDS, without, words_of

TITLES = {
    "You won't BELIEVE this!": ["You", "won't", "BELIEVE", "this!"],
    "  two  spaces ": ["two", "spaces"],
    "今天天气好": ["今天", "天气", "好"],
    "你好、世界！": ["你好", "世界"],
    "カメラで撮る": ["カメ", "ラで", "撮る"],
    "สวัสดี hello": ["สวั", "สดี", "hello"],  # a vowel above or below goes with its letter
    "한국어 제목": ["한국어", "제목"],
    "iPhone手机15": ["iPhone", "手机", "15"],
    "🔥 hot 👩‍👩‍👧 ❤️": ["🔥", "hot", "👩‍👩‍👧", "❤️"],
    "Cats — the best … ever | 2024": ["Cats", "the", "best", "ever", "2024"],
    "!!! → « – ·": [],
    "«quoted» (so) #tag": ["«quoted»", "(so)", "#tag"],
    "Привет мир": ["Привет", "мир"],
    "": [],
    "one": ["one"],
}


@pytest.mark.parametrize("title", TITLES)
def test_words(title: str) -> None:
    words = words_of(title)
    assert [word.text for word in words] == TITLES[title]
    assert all(title[word.start : word.end] == word.text for word in words)


def test_a_long_title_is_read_as_far_as_its_fortieth_word() -> None:
    title = " ".join(f"w{number}" for number in range(100))
    assert [word.text for word in words_of(title)] == [f"w{number}" for number in range(MOST_WORDS)]
    assert words_of("— " * 50 + "end")[0].text == "end"  # what is not a word takes no place


@pytest.mark.parametrize(
    ("title", "number", "left"),
    [
        ("a b c", 0, "b c"),
        ("a b c", 1, "a c"),
        ("a b c", 2, "a b"),
        ("a  b\n c", 1, "a c"),
        ("今天天气好", 1, "今天好"),
        ("iPhone手机 15", 1, "iPhone 15"),
        ("go go go", 1, "go go"),
        ("alone", 0, ""),
        ("Cats — dogs", 1, "Cats —"),
    ],
)
def test_a_title_without_a_word(title: str, number: int, left: str) -> None:
    assert without(title, words_of(title)[number]) == left


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_whatever_the_text_its_words_lie_in_it_one_after_the_other(text: str) -> None:
    words = words_of(text)
    ends = [0, *(word.end for word in words)]
    assert all(end <= word.start < word.end for end, word in zip(ends, words, strict=False))
    for word in words:
        left = without(text, word)
        assert "".join(left.split()) == "".join((text[: word.start] + text[word.end :]).split())
        assert left == " ".join(left.split())
