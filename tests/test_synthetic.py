"""The planted law: its coefficients, its quirks, and covers that show what they should."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from engage_cli.images.decode import decode
from engage_cli.synthetic.covers import draw_cover
from engage_cli.synthetic.posts import (
    LEVELS,
    MEDIAN_VIEWS,
    PER_LIKE,
    RATE_LAW,
    STYLES,
    SUBJECTS,
    VIEWS_LAW,
    VIEWS_SPREAD,
    SyntheticPosts,
    make_posts,
)
from tests.test_sample import COUNTERS


@pytest.fixture(scope="module")
def many() -> SyntheticPosts:
    return make_posts(20_000, 5)


def design_of(posts: SyntheticPosts, drop: str = "") -> np.ndarray:
    """Columns: 1, image, words, match."""
    factors = posts.factors
    parts = {
        "image": LEVELS[factors["style"]],
        "words": LEVELS[factors["tone"]],
        "match": np.where(factors["match"], 1.0, -1.0),
    }
    return np.column_stack([np.ones(len(factors)), *(part for name, part in parts.items() if name != drop)])


def follows_the_law(posts: SyntheticPosts) -> np.ndarray:
    """Which rows have counters of their own: the quirks' rows are off the law, as documented."""
    has_counters = posts.table["view_number"] != ""
    return (has_counters & ~posts.table[COUNTERS].duplicated(keep=False)).to_numpy()


def explained(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Return least squares' coefficients and R²."""
    coefficients = np.linalg.lstsq(X, y, rcond=None)[0]
    return coefficients, 1 - float((y - X @ coefficients).var() / y.var())


# Quirks


def test_quirks_have_pixelrecs_shares(many: SyntheticPosts) -> None:
    table = many.table
    assert (table[COUNTERS] == "").all(axis=1).sum() == (table["view_number"] == "").sum() == 50
    assert (table["title"] == "").sum() == 50
    assert (table["description"] == "").mean() == pytest.approx(0.238, abs=0.01)
    assert len(many.missing_covers) == len(many.truncated_covers) == 40
    assert not many.missing_covers & many.truncated_covers
    assert table["tag"].nunique() == 12
    assert not table["tag"].str.contains(",").any()
    assert table[COUNTERS].duplicated().sum() > 150, "equal scores"
    assert (table["share_number"] == "0.0").sum() >= 190
    assert table.loc[table["title"] != "", "title"].duplicated().sum() >= 90


def test_text_needs_quoting_and_more_than_ascii(many: SyntheticPosts) -> None:
    titles, descriptions = many.table["title"], many.table["description"]
    for part in ('"', ",", "😱", "日常"):
        assert titles.str.contains(part, regex=False).any()
    assert descriptions.str.contains("\n").any()
    assert descriptions.str.contains(",").any()
    out = io.StringIO(many.table[:500].to_csv(index=False), newline="")
    assert [row["title"] for row in csv.DictReader(out)] == list(titles[:500])


def test_tags_follow_the_named_subject(many: SyntheticPosts) -> None:
    subjects = many.table["tag"].groupby(many.factors["named"]).unique()
    assert [len(tags) for tags in subjects] == [3, 3, 3, 3]
    assert len(np.concatenate(list(subjects))) == 12


# Law


def test_log_views_follow_the_documented_law(many: SyntheticPosts) -> None:
    known = follows_the_law(many)
    y = np.log(many.table["view_number"][known].astype(float))
    coefficients, share = explained(design_of(many)[known], y.to_numpy())
    planted = [VIEWS_SPREAD * VIEWS_LAW[name] for name in ("image", "words", "match")]
    assert planted == [0.8, 0.8, 0.8]
    np.testing.assert_allclose(coefficients[1:], planted, atol=0.02)
    assert coefficients[0] == pytest.approx(np.log(MEDIAN_VIEWS), abs=0.02)
    assert share == pytest.approx(0.75, abs=0.01)
    assert y.max() > np.log(20e6)


@pytest.mark.parametrize("dropped", ["image", "words", "match"])
def test_each_part_holds_a_quarter_of_the_score(many: SyntheticPosts, dropped: str) -> None:
    _, share = explained(design_of(many, dropped), many.factors["views_score"].to_numpy())
    assert share == pytest.approx(0.5, abs=0.02)


def test_neither_side_alone_sees_the_match(many: SyntheticPosts) -> None:
    match, drawn, named = (many.factors[name].to_numpy() for name in ("match", "drawn", "named"))
    assert ((drawn == named) == match).all()
    assert match.mean() == pytest.approx(0.5, abs=0.015)
    for side in (drawn, named, many.factors["style"].to_numpy(), many.factors["tone"].to_numpy()):
        assert [match[side == level].mean() for level in range(4)] == pytest.approx([0.5] * 4, abs=0.03)


def test_engagement_per_view_follows_the_same_factors(many: SyntheticPosts) -> None:
    known = follows_the_law(many)
    counts = many.table[COUNTERS][known].astype(float)
    earned = counts["thumbup_number"] + 2 * counts["comment_number"]
    earned += 3 * counts["share_number"] + 3 * counts["favorite_number"]
    coefficients, share = explained(design_of(many)[known], np.log(earned / counts["view_number"]).to_numpy())
    planted = [RATE_LAW[name] for name in ("image", "words", "match")]
    np.testing.assert_allclose(coefficients[1:], planted, atol=0.02)
    assert share == pytest.approx(0.78, abs=0.02)


def test_the_other_counters_are_shares_of_likes(many: SyntheticPosts) -> None:
    counts = many.table[COUNTERS][many.table["view_number"] != ""].astype(float)
    popular = counts[counts["thumbup_number"] > 10_000]
    for name, (share, _) in PER_LIKE.items():
        found = (popular[f"{name}_number"] / popular["thumbup_number"]).median()
        assert found == pytest.approx(share, rel=0.05)


def test_a_cover_shows_its_style_and_its_subject() -> None:
    pixels = {
        (drawn, style): np.asarray(decode(draw_cover(drawn, style, (0, 0))), dtype=float)
        for drawn in range(len(SUBJECTS))
        for style in range(len(STYLES))
    }
    for drawn in range(len(SUBJECTS)):
        brightness = {name: pixels[drawn, style].mean() for style, name in enumerate(STYLES)}
        assert brightness["night"] < brightness["grey"] < brightness["pastel"]
        red, _, blue = pixels[drawn, STYLES.index("sunny")].mean(axis=(0, 1))
        assert red > 1.8 * blue
    centres = np.array([pixels[drawn, 3][60:160, 60:160].ravel() for drawn in range(len(SUBJECTS))])
    distances = np.abs(centres[:, None] - centres[None]).mean(axis=2)
    assert distances[~np.eye(len(SUBJECTS), dtype=bool)].min() > 15
