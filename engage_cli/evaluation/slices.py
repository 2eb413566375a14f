"""Ways to cut the posts of an evaluation into groups: one function and one line each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from engage_cli.data.schema import OWN
from engage_cli.errors import WrongCallError
from engage_cli.evaluation.slice_names import SLICES

MOST_GROUPS = 24  # the largest ones; smaller ones are put together
LEAST_POSTS, MOST_SMALL = 10, 5  # and so are those of fewer posts, where there are more than a few
ORDERED = ("month", "prediction", "weekday", "title")
REST, NONE = "(all others)", "(none)"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Slicer = Callable[[pd.DataFrame, np.ndarray], pd.Series]  # posts and their predicted values or percentiles -> names


def cut(by: str, posts: pd.DataFrame, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Return name -> places of its posts, the largest group first (fifths and months in their order).

    `by` is an entry of the table, or a column of the user's own that was kept by prepare.
    """
    if by in SLICES:
        slicer: Slicer = SLICES.load(by)
        names = slicer(posts, predicted).to_numpy(object)
    elif OWN + by in posts:
        names = posts[OWN + by].fillna("").astype(str).to_numpy(object)
    else:
        own = [str(name).removeprefix(OWN) for name in posts if str(name).startswith(OWN)]
        raise WrongCallError(f"unknown --by '{by}'; give one of: {', '.join((*SLICES, *own))}")
    names = np.where(names == "", NONE, names)
    groups = {str(name): np.flatnonzero(names == name) for name in pd.unique(pd.Series(names))}
    largest = sorted(groups, key=lambda name: -len(groups[name]))
    small = {name for name in largest if len(groups[name]) < LEAST_POSTS and by not in ORDERED}
    if len(small) <= MOST_SMALL or len(small) == len(largest):
        small = set()
    shown = [name for name in largest[:MOST_GROUPS] if name not in small]
    rest = [name for name in largest if name not in shown]
    if by in ORDERED:
        shown = sorted(shown, key=lambda name: (WEEKDAYS.index(name) if name in WEEKDAYS else -1, name))
    found = {name: groups[name] for name in shown}
    if rest:
        found[REST] = np.sort(np.concatenate([groups[name] for name in rest]))
    return found


def by_tag(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    """The first of a post's tags: the category, where tags are one."""
    return posts["tags"].fillna("").astype(str).str.split(r"[|,;#]", regex=True).map(_first)


def _first(parts: list[str]) -> str:
    return next((part.strip() for part in parts if part.strip()), "")


def by_author(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    return _text(posts, "author")


def by_source(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    return _text(posts, "source")


def by_month(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    if "posted_at" not in posts:
        raise WrongCallError("--by month: the posts have no dates; map them with --map posted_at=COLUMN when you prepare")
    return posts["posted_at"].dt.strftime("%Y-%m").fillna("")


def by_weekday(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    if "posted_at" not in posts:
        raise WrongCallError("--by weekday: the posts have no dates; map them with --map posted_at=COLUMN when you prepare")
    return posts["posted_at"].dt.weekday.map(lambda day: "" if pd.isna(day) else WEEKDAYS[int(day)])


def by_image(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    """Whether the post has a usable cover."""
    return (posts["image_hash"] != "").map({True: "with a cover", False: "without"})


def by_title(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    """The title's length, in words."""
    words = posts["title"].fillna("").astype(str).str.split().map(len)
    edges = [-1, 0, 4, 8, 12, 16, np.inf]
    return pd.cut(
        words, edges, labels=["no title", "01 to 04 words", "05 to 08", "09 to 12", "13 to 16", "17 or more"]
    ).astype(str)


def by_prediction(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    """The fifth that the prediction lies in among these posts."""
    ranks = pd.Series(predicted, index=posts.index).rank(method="first").to_numpy()
    fifths = np.minimum((5 * (ranks - 1) / len(posts)).astype(int), 4)
    names = ("1st fifth, the lowest", "2nd fifth", "3rd fifth", "4th fifth", "5th fifth, the highest")
    return pd.Series([names[fifth] for fifth in fifths], index=posts.index)


def _text(posts: pd.DataFrame, column: str) -> pd.Series:
    if column not in posts:
        raise WrongCallError(f"--by {column}: the posts have no {column}")
    return posts[column].fillna("").astype(str)
