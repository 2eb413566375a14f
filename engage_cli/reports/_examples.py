"""Which posts an evaluation shows: those predicted highest and lowest, and those that were missed by most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES
from engage_cli.data.targets.target import Target
from engage_cli.evaluation.results import Score
from engage_cli.io.written_numbers import short_number

MOST = 10  # of each list


@dataclass(frozen=True, kw_only=True)
class ShownPost:
    """A post with its prediction and its outcome: each in words, and words that explain them."""

    row: int  # of the table of posts
    id: str
    title: str
    tags: str
    predicted: tuple[str, str]
    true: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class PostList:
    """Some posts, in order."""

    heading: str
    posts: tuple[ShownPost, ...]


def choose_posts(score: Score, posts: pd.DataFrame, target: Target | None) -> list[PostList]:
    """Return four lists of at most ten posts: predicted highest, predicted lowest, missed upwards, missed downwards.

    Of classes, a prediction is the mean class by the probabilities. Of equals the earlier post comes first.
    """
    predicted = expected_of(score)
    misses = score.true - predicted
    num = min(MOST, max(1, score.rows // 2))  # so that no post is both of the highest and of the lowest
    did_better, did_worse = (np.flatnonzero(sign * misses > 0) for sign in (1, -1))
    chosen = (
        ("Predicted highest", np.argsort(-predicted, kind="stable")[:num]),
        ("Predicted lowest", np.argsort(predicted, kind="stable")[:num]),
        ("Did much better than predicted", did_better[np.argsort(-misses[did_better], kind="stable")][:MOST]),
        ("Did much worse than predicted", did_worse[np.argsort(misses[did_worse], kind="stable")][:MOST]),
    )
    return [
        PostList(heading=heading, posts=tuple(_show(score, posts, target, int(place)) for place in places))
        for heading, places in chosen
    ]


def expected_of(score: Score) -> np.ndarray:
    """Return (n,): the predicted value, or the mean class by the probabilities."""
    return score.predicted if score.kind == "value" else score.predicted @ np.arange(len(CLASS_NAMES))


def count_imageless(posts: pd.DataFrame, places: np.ndarray) -> int:
    """Return how many of these posts have no usable image."""
    some = posts.iloc[places]
    lacks = np.zeros(len(some), bool)
    for column, is_lacking in (("image_problem", lambda text: text != ""), ("image", lambda text: text == "")):
        if column in some:
            lacks |= is_lacking(some[column].fillna("").astype(str).to_numpy(object))
    return int(lacks.sum())


def _show(score: Score, posts: pd.DataFrame, target: Target | None, place: int) -> ShownPost:
    row = int(score.places[place])
    if score.kind == "value":
        predicted, true = (_write_value(float(values[place]), target) for values in (score.predicted, score.true))
    else:
        probabilities = score.predicted[place]
        predicted = (CLASS_NAMES[int(probabilities.argmax())], f"({100 * probabilities.max():.0f} % sure)")
        true = (CLASS_NAMES[int(score.true[place])], "")
    texts = {name: str(posts[name].iloc[row] or "") if name in posts else "" for name in ("id", "title", "tags")}
    return ShownPost(row=row, **texts, predicted=predicted, true=true)


def _write_value(value: float, target: Target | None) -> tuple[str, str]:
    """Write a count where the value is the log of one; beside it where it stands among the posts of the target's fit."""
    if target is None:
        return f"{value:.3g}", ""
    values = np.array([value])
    place = f"({target.percentile(values)[0]:.0f} of 100)"
    counts = target.counts(values)
    if counts is None:
        return f"{value:.3g}", place
    if list(target.formula.weights.values()) == [1.0]:
        return f"{short_number(round(float(counts[0])))} {next(iter(target.formula.weights))}", place
    return short_number(float(counts[0])), place
