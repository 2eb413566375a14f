"""How often the facts of covers are true of the training posts that did best, and of all: an association, never a cause.

Where the posts are variants of experiments, a fact also has an effect: how much better the variants with it did than the
others of the same experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engage_cli.covers.facts import FACTS, Cover, facts_of
from engage_cli.data.experiments import ExperimentArrays, centred
from engage_cli.data.within_experiments import between_variance
from engage_cli.io.ranges import Count, FromOne, Number
from engage_cli.io.records import record
from engage_cli.runs.records import read_run_record, write_run_record
from engage_cli.runs.run_folder import Run

FILE, KIND = "covers.json", "run covers"
TOP = 0.1  # of the training posts, by score
Z = 1.959964  # of a 95 % interval
FEWEST = 50  # training posts with a cover that was read
FEWEST_VARIANTS = 10  # with a fact, in experiments in which others are without it


@record
class Effect:
    """Of a fact, within experiments, in the target's unit."""

    value: Number
    low: Number  # of the 95 % interval
    high: Number


@record
class FactCounts:
    """Of the training posts whose cover was read."""

    top: Count  # with the fact, among the top tenth
    all: Count  # with the fact, among all
    effect: Effect | None = None


@record
class CoverFacts:
    """covers.json"""

    posts: FromOne
    top_posts: FromOne
    facts: dict[str, FactCounts]


@dataclass(frozen=True, kw_only=True)
class ToldFact:
    """A fact that is true of the cover that is asked about, with its evidence."""

    fact: str
    share_of_top: float  # 0 to 1
    share_of_all: float
    is_clear: bool  # whether the 95 % interval of the top tenth's share less the others' excludes 0
    effect: Effect | None


def count_facts(
    covers: Sequence[Cover | None], scores: np.ndarray, known: ExperimentArrays | None = None
) -> CoverFacts | None:
    """Return what is counted of n training posts with their scores (n,); None where fewer than FEWEST have a cover.

    `known` tells which posts are variants of one experiment.
    """
    rows = np.array([row for row, cover in enumerate(covers) if cover is not None], dtype=int)
    if len(rows) < FEWEST:
        return None
    there = np.array([[name in found for name in FACTS] for found in (facts_of(covers[row]) for row in rows)])
    order = np.argsort(-scores[rows], kind="stable")
    top = order[: max(1, round(TOP * len(rows)))]
    facts = {}
    for place, name in enumerate(FACTS):
        has = there[:, place]
        effect = None if known is None else _effect(has, scores[rows], known, rows)
        facts[name] = FactCounts(top=int(has[top].sum()), all=int(has.sum()), effect=effect)
    return CoverFacts(posts=len(rows), top_posts=len(top), facts=facts)


def tell_facts(known: CoverFacts, cover: Cover) -> list[ToldFact]:
    """Return the facts that are true of a cover, first those by which the top tenth differs most clearly."""
    found: list[tuple[float, ToldFact]] = []
    for name in facts_of(cover):
        counts = known.facts.get(name)
        if counts is None:
            continue
        rest, rest_posts = counts.all - counts.top, known.posts - known.top_posts
        low, high = difference_interval(counts.top, known.top_posts, rest, max(rest_posts, 1))
        share_of_top, share_of_all = counts.top / known.top_posts, counts.all / known.posts
        told = ToldFact(
            fact=name,
            share_of_top=share_of_top,
            share_of_all=share_of_all,
            is_clear=low > 0 or high < 0,
            effect=counts.effect,
        )
        found.append((abs(share_of_top - share_of_all), told))
    return [told for _, told in sorted(found, key=lambda one: (not one[1].is_clear, -one[0]))]


def difference_interval(first: int, of_first: int, second: int, of_second: int) -> tuple[float, float]:
    """Return the 95 % interval of first/of_first - second/of_second (Newcombe 1998, method 10)."""
    one, other = first / of_first, second / of_second
    (low1, high1), (low2, high2) = _wilson(first, of_first), _wilson(second, of_second)
    difference = one - other
    return (
        difference - float(np.hypot(one - low1, high2 - other)),
        difference + float(np.hypot(high1 - one, other - low2)),
    )


def save_cover_facts(folder: Path, facts: CoverFacts) -> None:
    write_run_record(folder / FILE, facts, KIND)


def load_cover_facts(run: Run) -> CoverFacts | None:
    """Return what a run knows of its training posts' covers; None where none of them was read."""
    if run.metrics is None or FILE not in run.metrics.files:
        return None
    return read_run_record(run.open(FILE), CoverFacts, KIND)


def _wilson(hits: int, num: int) -> tuple[float, float]:
    share = hits / num
    middle = (share + Z**2 / (2 * num)) / (1 + Z**2 / num)
    half = Z * float(np.sqrt(share * (1 - share) / num + Z**2 / (4 * num**2))) / (1 + Z**2 / num)
    return middle - half, middle + half


def _effect(has: np.ndarray, scores: np.ndarray, known: ExperimentArrays, rows: np.ndarray) -> Effect | None:
    """Regress scores on the fact within experiments, weighted; the interval is robust to what an experiment shares."""
    own = ExperimentArrays(experiment=known.experiment[rows], noise=known.noise[rows], exposure=known.exposure[rows])
    weights = 1.0 / (own.noise + between_variance(scores, own))
    inside = own.experiment >= 0
    fact = centred(has.astype(np.float64), own.experiment, weights) * inside
    if min((has & (fact != 0)).sum(), (~has & (fact != 0)).sum()) < FEWEST_VARIANTS:
        return None
    score = centred(scores, own.experiment, weights) * inside
    information = float(weights @ fact**2)
    value = float(weights @ (fact * score)) / information
    slopes = np.bincount(own.experiment[inside], weights=(weights * fact * (score - value * fact))[inside])
    deviation = float(np.sqrt((slopes**2).sum())) / information
    return Effect(value=value, low=value - Z * deviation, high=value + Z * deviation)
