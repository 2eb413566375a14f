"""What a user should know of their posts before they trust a model: the numbers behind quality.html and the terminal.

All that shows an outcome (a counter, a target) is computed on training rows alone, so that nobody who looks at it
tunes on test posts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.config.general import PARTS
from engage_cli.data.duplicates import normalise_titles
from engage_cli.data.leakage import Probe, known_before, probe
from engage_cli.data.schema import ALL_COUNTERS, BOOKKEEPING_COLUMNS, EXPERIMENT_COLUMNS, KNOWN_AFTER
from engage_cli.data.targets.formulas import view_correlations
from engage_cli.data.targets.target import Target

NUM_BINS = 32
NUM_EXAMPLES = 20
NUM_LARGEST_GROUPS = 5
NUM_TITLES_OF_A_GROUP = 3
UNPROBED = {
    "id",
    "image",
    *BOOKKEEPING_COLUMNS,
    *EXPERIMENT_COLUMNS,
}  # what no model reads as such: `image` is a file's name


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between edges; on a log axis zeros are counted apart."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    zeros: int = 0


@dataclass(frozen=True, kw_only=True)
class CounterSummary:
    name: str
    missing: int
    quartiles: tuple[float, ...]  # at 0, 25, 50, 75, 100 %
    histogram: Histogram  # edges in log10


@dataclass(frozen=True, kw_only=True)
class Example:
    """A training post at a percentile of the main target."""

    row: int  # in the table of posts
    id: str
    title: str
    percentile: float
    value: float
    count: float | None
    class_index: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of near-duplicates."""

    size: int
    titles: tuple[str, ...]
    rows: tuple[int, ...]  # of its first posts


@dataclass(frozen=True, kw_only=True)
class Quality:
    num_train: int
    counters: tuple[CounterSummary, ...]
    targets: dict[str, Histogram]
    correlations: dict[str, float]  # counter -> Pearson correlation with views; equation 1 weighs by 1 - it
    probes: tuple[Probe, ...]
    dates: dict[str, tuple[str, str]]  # part -> first and last day
    largest_groups: tuple[Group, ...]
    main_target: str
    examples: tuple[Example, ...]


def summarise(posts: pd.DataFrame, targets: Mapping[str, Target]) -> Quality:
    """Look at prepared posts. `targets` holds at least one."""
    main = next(iter(targets))
    after = [column for column in KNOWN_AFTER if column in posts]
    seen = [str(column) for column in known_before(posts) if column not in UNPROBED]
    train = posts.loc[posts["split"] == "train", [*seen, *after]]
    scores = {name: target.score(train) for name, target in targets.items()}
    return Quality(
        num_train=len(train),
        counters=tuple(_summarise_counter(train, name) for name in ALL_COUNTERS if name in posts),
        targets={name: histogram(values[np.isfinite(values)]) for name, values in scores.items()},
        correlations=view_correlations(train),
        probes=tuple(probe(train, posts.loc[posts["split"] == "train", "group"], scores, [*seen, *after])),
        dates=_find_dates(posts),
        largest_groups=_find_largest_groups(posts),
        main_target=main,
        examples=_choose_examples(posts, targets[main], scores[main]),
    )


def histogram(values: np.ndarray, *, zeros: int = 0) -> Histogram:
    """Cut finite values into equal steps from their least to their greatest."""
    if not values.size:
        return Histogram(edges=(), counts=(), zeros=zeros)
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, bins=NUM_BINS if high > low else 1, range=(low, high) if high > low else None)
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)), zeros=zeros)


def _summarise_counter(train: pd.DataFrame, name: str) -> CounterSummary:
    values = train[name].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    return CounterSummary(
        name=name,
        missing=len(values) - len(known),
        quartiles=tuple(map(float, np.quantile(known, (0, 0.25, 0.5, 0.75, 1)))) if known.size else (),
        histogram=histogram(np.log10(known[known > 0]), zeros=int((known == 0).sum())),
    )


def _find_dates(posts: pd.DataFrame) -> dict[str, tuple[str, str]]:
    if "posted_at" not in posts:
        return {}
    found = {}
    for part in PARTS:
        times = posts.loc[posts["split"] == part, "posted_at"].dropna()
        if len(times):
            found[part] = (times.min().strftime("%Y-%m-%d"), times.max().strftime("%Y-%m-%d"))
    return found


def _find_largest_groups(posts: pd.DataFrame) -> tuple[Group, ...]:
    codes, names = pd.factorize(posts["group"])
    sizes = np.bincount(codes)
    several = np.flatnonzero(sizes > 1)
    by_size = sorted(zip((-sizes[several]).tolist(), names[several].tolist(), several.tolist(), strict=True))
    found = []
    for size, _, code in by_size[:NUM_LARGEST_GROUPS]:
        rows = np.flatnonzero(codes == code)
        some = posts["title"].iloc[rows[:1000]]
        titles = dict(reversed(list(zip(normalise_titles(some), some, strict=True))))
        shown = sorted(filter(None, titles.values()))[:NUM_TITLES_OF_A_GROUP]
        found.append(Group(size=-size, titles=tuple(shown), rows=tuple(map(int, rows[:NUM_TITLES_OF_A_GROUP]))))
    return tuple(found)


def _choose_examples(posts: pd.DataFrame, target: Target, scores: np.ndarray) -> tuple[Example, ...]:
    """Take training posts at even steps from the lowest score to the highest; those with an image first."""
    rows = np.flatnonzero((posts["split"] == "train").to_numpy())
    usable = np.isfinite(scores)
    with_image = usable & (posts["image_problem"].iloc[rows] == "").to_numpy()
    usable = with_image if with_image.sum() >= NUM_EXAMPLES else usable
    rows, scores = rows[usable], scores[usable]
    order = np.argsort(scores, kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(NUM_EXAMPLES, len(order))).round().astype(int))
    chosen = order[places]
    counts = target.counts(scores[chosen])
    shown: Sequence[float | None] = [None] * len(chosen) if counts is None else [float(count) for count in counts]
    return tuple(
        Example(
            row=int(rows[place]),
            id=str(posts["id"].iloc[rows[place]]),
            title=str(posts["title"].iloc[rows[place]]),
            percentile=float(percentile),
            value=float(scores[place]),
            count=count,
            class_index=int(level),
        )
        for place, percentile, level, count in zip(
            chosen, target.percentile(scores[chosen]), target.classes(scores[chosen]), shown, strict=True
        )
    )
