"""Synthetic experiments: several titles and covers of one post, shown at random, with known true click rates.

A variant has the style p of its cover and the tone w of its title (see synthetic.posts), m = +1 where cover and title are
of one subject, else -1, and noise e of its own; s is its post's, which its variants share. All are standardised.

    log rate = log 0.02 + 0.5 s + 0.25 p + 0.25 w + 0.1 m + 0.1 e      two variants of a post differ by 0.4 on average
    clicks   ~ Binomial(exposure, rate)                                exposure about 2,500 a variant, the same in a post

The true rates are drawn first and kept apart from what is measured, so that what a model says of two variants can be held
against the truth, and not against counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.synthetic.posts import CATEGORIES, LEVELS, PLACES, STYLES, SUBJECTS, TITLES

MEDIAN_RATE = 0.02
LAW = {"post": 0.5, "image": 0.25, "words": 0.25, "match": 0.1, "noise": 0.1}
MEDIAN_EXPOSURE, EXPOSURE_SPREAD = 2500.0, 0.4
OTHER_SUBJECT = 0.2  # of the covers, of another subject than their titles
SHAPES = ((2, 1), (3, 1), (2, 2), (1, 2), (4, 1), (3, 2))  # titles x covers of a post


@dataclass(frozen=True, kw_only=True)
class Cover:
    """A cover to be drawn, which variants share."""

    name: str
    drawn: int  # subject
    style: int


@dataclass(frozen=True, kw_only=True)
class SyntheticExperiments:
    """What is measured, what is true, and the covers; each variant has a row of both tables, in one order."""

    table: pd.DataFrame  # id, test_id, headline, tags, lede, image, impressions, clicks
    truth: pd.DataFrame  # id, test_id, true_rate
    covers: tuple[Cover, ...]


def make_experiments(rows: int, seed: int) -> SyntheticExperiments:
    """Make experiments until there are at least so many variants; the same seed gives the same ones."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    table: list[dict[str, object]] = []
    covers: list[Cover] = []
    test = 0
    while len(table) < rows:
        variants, drawn = _make_one(rng, test)
        table += variants
        covers += drawn
        test += 1
    frame = pd.DataFrame(table)
    truth = frame[["id", "test_id", "true_rate"]]
    return SyntheticExperiments(table=frame.drop(columns="true_rate"), truth=truth, covers=tuple(covers))


def _make_one(rng: np.random.Generator, test: int) -> tuple[list[dict[str, object]], list[Cover]]:
    """Return the variants of one post, with their true rates, and its covers."""
    num_titles, num_covers = SHAPES[rng.integers(len(SHAPES))]
    named, place, post = int(rng.integers(len(SUBJECTS))), PLACES[rng.integers(len(PLACES))], rng.standard_normal()
    choices = rng.permutation(len(TITLES) * len(TITLES[0]))[:num_titles]
    tones = choices // len(TITLES[0])
    titles = [
        TITLES[tone][choice % len(TITLES[0])].format(subject=SUBJECTS[named], place=place, n=test + 1)
        for tone, choice in zip(tones, choices, strict=True)
    ]
    styles = rng.permutation(len(STYLES))[:num_covers]
    others = (named + rng.integers(1, len(SUBJECTS), num_covers)) % len(SUBJECTS)
    subjects = np.where(rng.random(num_covers) < OTHER_SUBJECT, others, named)
    covers = [
        Cover(name=f"t{test}-{number}.jpg", drawn=int(subject), style=int(style))
        for number, (subject, style) in enumerate(zip(subjects, styles, strict=True))
    ]
    shown = MEDIAN_EXPOSURE * np.exp(EXPOSURE_SPREAD * rng.standard_normal())
    variants: list[dict[str, object]] = []
    for title, tone in zip(titles, tones, strict=True):
        for cover in covers:
            parts = {
                "post": post,
                "image": LEVELS[cover.style],
                "words": LEVELS[tone],
                "match": 1.0 if cover.drawn == named else -1.0,
                "noise": rng.standard_normal(),
            }
            rate = min(0.9, MEDIAN_RATE * np.exp(sum(LAW[name] * part for name, part in parts.items())))
            exposure = int(rng.poisson(shown)) + 1
            variants.append(
                {
                    "id": f"t{test}-v{len(variants)}",
                    "test_id": f"t{test}",
                    "headline": title,
                    "tags": CATEGORIES[SUBJECTS[named]][0],
                    "lede": f"What happened to a {SUBJECTS[named]} in {place}, told in part {test + 1}.",
                    "image": cover.name,
                    "impressions": exposure,
                    "clicks": int(rng.binomial(exposure, rate)),
                    "true_rate": rate,
                }
            )
    return variants, covers
