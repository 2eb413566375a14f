"""Synthetic posts whose engagement follows a known law: nothing about real audiences can be learned from them.

Each post has an image style p and a tone of the title w, four levels each, scaled to mean 0 and variance 1; a drawn
subject and a named one, and m = +1 where they are the same (half of the posts), else -1; and noise e, standard normal.

    z          = 0.5 p + 0.5 w + 0.5 m + 0.5 e                    a quarter of the variance each
    log views  = log 300,000 + 1.6 z
    log rate   = log 0.05 + 0.35 p + 0.35 w + 0.5 m + 0.35 e'     likes per view; the other counters follow likes

p is seen in the image alone, w in the words alone, and m in neither: it takes both. Real tables have quirks, so these
have them too, off the law: 1 % of the posts carry another post's counters, 0.5 % another's title, 0.25 % no counters,
0.25 % no title, and 1 % no shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

SUBJECTS = ("cat", "pizza", "car", "mountain")
STYLES = ("night", "grey", "pastel", "sunny")
LEVELS = np.array([-3.0, -1.0, 1.0, 3.0]) / np.sqrt(5.0)  # mean 0, variance 1

MEDIAN_VIEWS, VIEWS_SPREAD = 300_000.0, 1.6
VIEWS_LAW = {"image": 0.5, "words": 0.5, "match": 0.5, "noise": 0.5}
MEDIAN_RATE = 0.05
RATE_LAW = {"image": 0.35, "words": 0.35, "match": 0.5, "noise": 0.35}
# counter -> (share of likes, spread of its own noise)
PER_LIKE = {
    "comment": (0.05, 0.3),
    "share": (0.08, 0.3),
    "coin": (0.10, 0.5),
    "favorite": (0.20, 0.3),
    "barrage": (0.04, 0.8),
}

TITLES = (  # by tone, plainest first
    ("Notes on a {subject}, {place}, part {n}", "A {subject} in {place}, take {n}", "{subject} log {n}: {place}"),
    (
        "My {subject} in {place}, week {n}",
        "Day {n} with the {subject} of {place}",
        "Looking at a {subject} in {place} ({n})",
    ),
    (
        "This {place} {subject} made my day! (#{n})",
        "You should see {subject} no. {n} in {place}!",
        "Wow, {place}! What a {subject} ({n})",
    ),
    (
        "UNBELIEVABLE {subject} in {place} you MUST see!!! #{n}",
        "The craziest {subject} EVER, {place}, I am shocked! {n}",
        "OMG {n} times the most AMAZING {subject} in {place}!! 😱",
    ),
)
PLACES = (
    "Lisbon", "Kyoto", "Oslo", "Lima", "Cairo", "Austin", "Naples", "Hanoi", "Leeds", "Quito", "Perth", "Lyon",
    "Accra", "Delhi", "Turin", "Osaka", "Porto", "Riga", "Seoul", "Tunis", "Utrecht", "Vienna", "Warsaw", "Zurich",
)  # fmt: skip
PREFIXES = ("", "", "", "", "", "【日常】", '"Quoted", ', "✨ ")
CATEGORIES = {
    "cat": ("animals", "pets", "cute"),
    "pizza": ("food", "cooking", "restaurants"),
    "car": ("cars", "technology", "racing"),
    "mountain": ("travel", "outdoors", "photography"),
}
DESCRIPTIONS = (
    "Recorded by me, edited on a laptop.",
    "Part of a series.\nThe other parts are in my profile.",
    "Thanks for watching, leave a comment",
    "Music: own recording; camera: borrowed, lens: old",
)
NULL_SHARE, NO_TITLE_SHARE, NO_DESCRIPTION_SHARE = 0.0025, 0.0025, 0.238
COPY_SHARE, REPEATED_TITLE_SHARE, LOST_COVER_SHARE = 0.01, 0.005, 0.002


@dataclass(frozen=True, kw_only=True)
class SyntheticPosts:
    """The table in PixelRec's columns, the planted factors, and which covers are missing or truncated."""

    table: pd.DataFrame  # every cell a string, as the CSV has it
    factors: pd.DataFrame  # drawn, named, style, tone, match, views_score (z); where planted, as synthetic.planting says
    missing_covers: frozenset[int]
    truncated_covers: frozenset[int]


def make_posts(
    rows: int,
    seed: int,
    *,
    views_law: Mapping[str, float] = VIEWS_LAW,
    rate_law: Mapping[str, float] = RATE_LAW,
    more: Mapping[str, np.ndarray] | None = None,
) -> SyntheticPosts:
    """Make the posts; the same seed gives the same ones, and under other laws the same ones but for their counters.

    `more` has a value a post of each part that the laws name beyond image, words, match and noise.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(SUBJECTS), rows)
    is_match = rng.random(rows) < 0.5
    named = np.where(is_match, drawn, (drawn + rng.integers(1, len(SUBJECTS), rows)) % len(SUBJECTS))
    style, tone = rng.integers(0, len(STYLES), rows), rng.integers(0, len(TITLES), rows)
    parts = {"image": LEVELS[style], "words": LEVELS[tone], "match": np.where(is_match, 1.0, -1.0)}
    parts |= more or {}

    def follow(law: Mapping[str, float]) -> np.ndarray:
        return sum((law[name] * part for name, part in parts.items()), law["noise"] * rng.standard_normal(rows))

    score = follow(views_law)
    views = np.round(MEDIAN_VIEWS * np.exp(VIEWS_SPREAD * score))
    likes = np.round(views * np.minimum(MEDIAN_RATE * np.exp(follow(rate_law)), 0.9))
    counters = {"view_number": views, "thumbup_number": likes}
    for name, (share, spread) in PER_LIKE.items():
        counters[f"{name}_number"] = np.floor(likes * share * np.exp(spread * rng.standard_normal(rows)))
    numbers = pd.DataFrame(counters)
    copies, originals = _pairs(rng, rows, COPY_SHARE)
    numbers.iloc[copies] = numbers.iloc[originals].to_numpy()  # equal scores
    numbers.loc[_some(rng, rows, COPY_SHARE), "share_number"] = 0.0
    text = numbers.apply(lambda column: column.map(lambda count: f"{count:.1f}"))
    text.iloc[_some(rng, rows, NULL_SHARE, at_least=2)] = ""

    titles = _titles(rng, named, tone)
    copies, originals = _pairs(rng, rows, REPEATED_TITLE_SHARE)
    titles[copies] = titles[originals]
    titles[_some(rng, rows, NO_TITLE_SHARE)] = ""
    tags = np.array([CATEGORIES[subject] for subject in SUBJECTS])[named, rng.integers(0, 3, rows)]
    descriptions = np.array(DESCRIPTIONS, dtype=object)[rng.integers(0, len(DESCRIPTIONS), rows)]
    descriptions[rng.random(rows) < NO_DESCRIPTION_SHARE] = ""
    lost = _some(rng, rows, 2 * LOST_COVER_SHARE, at_least=2)
    table = pd.DataFrame({"item_id": [f"i{number}" for number in range(rows)]})
    order = ("view", "comment", "thumbup", "share", "coin", "favorite", "barrage")
    table = table.join(text[[f"{name}_number" for name in order]])
    return SyntheticPosts(
        table=table.assign(title=titles, tag=tags, description=descriptions),
        factors=pd.DataFrame(
            {"drawn": drawn, "named": named, "style": style, "tone": tone, "match": is_match, "views_score": score}
        ),
        missing_covers=frozenset(map(int, lost[: len(lost) // 2])),
        truncated_covers=frozenset(map(int, lost[len(lost) // 2 :])),
    )


def _titles(rng: np.random.Generator, named: np.ndarray, tone: np.ndarray) -> np.ndarray:
    rows = len(named)
    variant, prefix = rng.integers(0, len(TITLES[0]), rows), rng.integers(0, len(PREFIXES), rows)
    numbers, places = rng.integers(1, 1000, rows), rng.integers(0, len(PLACES), rows)
    titles = [
        PREFIXES[p] + TITLES[t][v].format(subject=SUBJECTS[s], place=PLACES[place], n=n)
        for p, t, v, s, n, place in zip(prefix, tone, variant, named, numbers, places, strict=True)
    ]
    return np.array(titles, dtype=object)


def _pairs(rng: np.random.Generator, rows: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return row numbers of copies and of the rows they copy, no row in both."""
    both = _some(rng, rows, 2 * share, at_least=2)
    return both[: len(both) // 2], both[len(both) // 2 : len(both) // 2 * 2]


def _some(rng: np.random.Generator, rows: int, share: float, at_least: int = 1) -> np.ndarray:
    """Return a few row numbers: the share of all rows, but at least so many where there are that many."""
    return rng.choice(rows, min(rows, max(at_least, round(share * rows))), replace=False)
