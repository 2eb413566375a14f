"""TF-IDF of words, pieces and styles: what is read of a title, and what comes back from arrays."""

from __future__ import annotations

import numpy as np
import pytest

from engage_cli.features.groups import tfidf
from engage_cli.features.groups.tfidf import KINDS, MOST_READ, PLAIN, STYLE, TfIdf, pattern_of

TITLES = [
    "BREAKING: 10 Cats  in\nNaples | Daily News",
    "why i left (story time)",
    "iPhone 15 vs. Galaxy S24 — REVIEW!",
    "最美的猫 2024",
    "",
]


@pytest.mark.parametrize(
    ("title", "pattern"),
    [
        ("BREAKING: 10 Cats in Naples | Daily News", "A: 9 C c C | C C"),
        ("why i left (story time)", "c c c (c c)"),
        ("iPhone 15 vs. A Galaxy — REVIEW!", "c 9 c. C C — A!"),
        ("最美的猫 2024", "c 9"),
        ("", ""),
    ],
)
def test_the_pattern_is_the_title_without_its_words(title: str, pattern: str) -> None:
    assert pattern_of(title) == pattern


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_each_kind_has_length_one_and_comes_back_from_arrays(kind: str) -> None:
    maker = TfIdf(1_000, [kind])
    rows = maker.fit_transform(TITLES)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    np.testing.assert_allclose(lengths, [1, 1, 1, 1, 0], atol=1e-6)
    restored = TfIdf(1_000, [kind])
    restored.restore(maker.arrays())
    assert restored.terms == maker.terms
    np.testing.assert_allclose(restored.transform(TITLES).toarray(), rows.toarray(), atol=1e-6)
    assert (restored.rows(TITLES, kind) != restored.transform(TITLES)).nnz == 0


def test_kinds_stand_side_by_side_and_one_without_terms_has_no_columns() -> None:
    maker = TfIdf(1_000, PLAIN)
    rows = maker.fit_transform(["!!", "??", "!?"])  # no word; pieces of signs
    assert [kind in maker.terms for kind in PLAIN] == [False, True]
    assert maker.rows(["!!"], "words").shape == (1, 0)
    assert rows.shape == (3, maker.num_terms)
    both = TfIdf(1_000, PLAIN).fit_transform(TITLES)
    alone = [TfIdf(1_000, [kind]).fit_transform(TITLES) for kind in PLAIN]
    np.testing.assert_array_equal(both.toarray(), np.hstack([one.toarray() for one in alone]))


def test_styles_tell_capitals_beginnings_and_ends_apart() -> None:
    def alike(kind: str, one: str, other: str) -> float:
        maker = TfIdf(1_000, [kind])
        rows = maker.fit_transform([one, other])
        return float((rows[0] @ rows[1].T).toarray()[0, 0])

    assert alike("words", "The Big Cat", "the big cat") == pytest.approx(1.0)
    assert alike("letters", "The Big Cat", "the big cat") < 0.6
    assert alike("pattern", "The Big Cat", "One Red Dog") == pytest.approx(1.0)
    long = "so much that is said in between " * 3
    assert alike("opening", f"Top 10 things today {long}", f"Top 10 things today {long[::-1]}") == pytest.approx(1.0)
    end = " - Evening News, live in HD"
    assert alike("ending", long + end, long[::-1] + end) == pytest.approx(1.0)
    assert {*MOST_READ} == {*KINDS} == {*PLAIN, *STYLE}


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("最美的猫 2024", ["最", "最 美", "美", "美 的", "的", "的 猫", "猫", "猫 2024", "2024"]),
        ("ねこ cat", ["ね", "ね こ", "こ", "こ cat", "cat"]),
        ("Cats in Naples", ["cats", "cats in", "in", "in naples", "naples"]),
        ("고양이 비디오", ["고양이", "고양이 비디오", "비디오"]),
    ],
)
def test_a_script_without_spaces_is_read_sign_by_sign(title: str, words: list[str]) -> None:
    maker = TfIdf(1_000, ["words"])
    maker.fit_transform([title])
    assert sorted(maker.terms["words"]) == sorted(words)


def test_of_many_texts_a_sample_is_counted_and_rows_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{word} {number % 7} {'cat' * (number % 2)}" for number, word in enumerate(map(str, range(1000, 1200)))]
    some = tfidf._some(texts)
    whole = TfIdf(1_000, PLAIN).fit_transform(texts)
    monkeypatch.setattr(tfidf, "AT_ONCE", 33)
    parts = TfIdf(1_000, PLAIN)
    parts.fit(texts)
    np.testing.assert_allclose(parts.transform(texts).toarray(), whole.toarray(), atol=1e-6)
    assert some == texts
    monkeypatch.setattr(tfidf, "MOST_COUNTED", 120)
    counted, made = TfIdf(1_000, PLAIN), TfIdf(1_000, PLAIN)
    counted.fit_transform(tfidf._some(texts))
    np.testing.assert_array_equal(made.fit_transform(texts).toarray(), counted.transform(texts).toarray())
    assert made.terms == counted.terms
    assert len(tfidf._some(texts)) == 120
