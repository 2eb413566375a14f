"""The formulas of the targets. A target is one function here and one line in its table.

The function fits a Formula on the rows it is given. The Formula is data, so that it is written as JSON, shown to the
user and applied to other posts by the same few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from engage_cli.data.schema import COUNTERS, EXPOSURE, KNOWN_AFTER, SCORE
from engage_cli.errors import EngageError
from engage_cli.io.ranges import Number
from engage_cli.io.records import record

ENGAGEMENT_WEIGHTS = {"likes": 1.0, "comments": 2.0, "shares": 3.0, "favorites": 3.0}  # study, section 4.1
POPULARITY_COUNTERS = ("likes", "shares", "comments", "favorites")  # study, equation 1
AUTHOR_MEDIAN: Final = "author_median_views"
RATE_FLOOR_QUANTILE = 0.01
EQUAL_DECIMALS = 12  # sums of normalised counters that are equal by the formula differ beyond these


def _counter(name: str) -> str:
    if name not in KNOWN_AFTER:
        raise ValueError(f"'{name[:40]}' is not a counter; it must be one of: {', '.join(KNOWN_AFTER)}")
    return name


@record
class Formula:
    """score = transform(max(sum of weight x column + offset [/ max(views, 1)] [/ (exposure + 1)], floor)) [- minus].

    A post that lacks a needed column has no score.
    """

    weights: Annotated[dict[Annotated[str, AfterValidator(_counter)], Number], Field(min_length=1)]
    offset: Number = 0.0
    per_view: bool = False
    transform: Literal["identity", "log1p", "log"] = "identity"
    floor: Number | None = None
    minus: Literal["author_median_views"] | None = None  # AUTHOR_MEDIAN
    per_exposure: bool = False
    is_normalised: bool = False  # weights and offset come from (x - min) / (max - min), and are shown so

    @property
    def needs(self) -> tuple[str, ...]:
        more = (("views", self.per_view), (EXPOSURE, self.per_exposure), (self.minus, self.minus))
        return tuple(dict.fromkeys((*self.weights, *(str(column) for column, is_needed in more if is_needed))))

    def score(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n,) float64, NaN where a needed column is missing."""
        total = np.full(len(posts), self.offset)
        for column, weight in self.weights.items():
            total = total + weight * _numbers(posts, column)
        if self.is_normalised:
            total = np.round(total, EQUAL_DECIMALS)
        if self.per_view:
            total = total / np.maximum(_numbers(posts, "views"), 1.0)
        if self.per_exposure:
            total = total / (_numbers(posts, EXPOSURE) + 1.0)
        if self.floor is not None:
            total = np.maximum(total, self.floor)
        if self.transform != "identity":
            total = np.log1p(total) if self.transform == "log1p" else np.log(total)
        return total - _numbers(posts, self.minus) if self.minus else total

    def __str__(self) -> str:
        if self.is_normalised:
            inner = f"sum of (x - min) / (max - min) over {', '.join(self.weights)}"
        else:
            inner = " + ".join(f"{weight:.4g}·{column}".removeprefix("1·") for column, weight in self.weights.items())
        if self.per_view:
            inner = f"({inner}) / max(views, 1)"
        if self.per_exposure:
            inner = f"({inner} + {self.offset:g}) / (exposure + 1)"
        if self.floor is not None:
            inner = f"max({inner}, {self.floor:.3g})"
        outer = inner if self.transform == "identity" else f"{self.transform}({inner})"
        return f"{outer} - {self.minus}" if self.minus else outer


FitFormula = Callable[[pd.DataFrame], Formula]


def popularity(posts: pd.DataFrame) -> Formula:
    """log1p of the counters weighted by 1 - their Pearson correlation with views (study, equation 1)."""
    need(posts, ("views",))
    correlations = view_correlations(posts)
    if not correlations:
        raise EngageError("popularity needs likes, shares, comments or favorites; the data has none of them")
    return Formula(weights={counter: 1.0 - cor for counter, cor in correlations.items()}, transform="log1p")


def engagement(posts: pd.DataFrame) -> Formula:
    """(likes + 2 comments + 3 shares + 3 favorites) / max(views, 1) (study, section 4.1)."""
    return _engagement(posts, "engagement")


def composite(posts: pd.DataFrame) -> Formula:
    """Sum over the five counters of (x - min) / (max - min) (study, section 3). A counter that never differs adds 0."""
    present = [counter for counter in COUNTERS if counter in posts]
    if not present:
        raise EngageError(f"composite needs {', '.join(COUNTERS[:-1])} or {COUNTERS[-1]}; the data has none of them")
    rows = posts[present].dropna()
    weights, offset = {}, 0.0
    for counter in present:
        low, span = (float(rows[counter].min()), float(np.ptp(rows[counter]))) if len(rows) else (0.0, 0.0)
        weights[counter] = 1.0 / span if span else 0.0
        offset -= low * weights[counter]
    return Formula(weights=weights, offset=offset, is_normalised=True)


def views(posts: pd.DataFrame) -> Formula:
    """log1p(views): reach."""
    need(posts, ("views",))
    return Formula(weights={"views": 1.0}, transform="log1p")


def likes(posts: pd.DataFrame) -> Formula:
    """log1p(likes): approval."""
    need(posts, ("likes",))
    return Formula(weights={"likes": 1.0}, transform="log1p")


def rate(posts: pd.DataFrame) -> Formula:
    """log of the engagement score: engagement beyond reach.

    The floor is the lowest hundredth of the positive scores, so that a post without any engagement has a score too.
    """
    inner = _engagement(posts, "rate")
    scores = inner.score(posts)
    positive = scores[np.isfinite(scores) & (scores > 0)]
    if not positive.size:
        raise EngageError("rate needs a post with likes, comments, shares or favorites above 0; there is none")
    floor = float(np.quantile(positive, RATE_FLOOR_QUANTILE))
    return Formula(weights=inner.weights, per_view=True, transform="log", floor=floor)


def relative(posts: pd.DataFrame) -> Formula:
    """log1p(views) minus the median of the same author's earlier posts: success beyond what is usual for them."""
    need(posts, ("views",))
    if AUTHOR_MEDIAN not in posts:
        raise EngageError("relative needs author and posted_at; map them")
    if posts[AUTHOR_MEDIAN].isna().all():
        raise EngageError("relative needs authors with several posts; no author has an earlier one")
    return Formula(weights={"views": 1.0}, transform="log1p", minus=AUTHOR_MEDIAN)


def given(posts: pd.DataFrame) -> Formula:
    """The score that the source gives ready-made."""
    need(posts, (SCORE,))
    return Formula(weights={SCORE: 1.0})


def _engagement(posts: pd.DataFrame, name: str) -> Formula:
    need(posts, ("views",))
    weights = {counter: weight for counter, weight in ENGAGEMENT_WEIGHTS.items() if counter in posts}
    if not weights:
        raise EngageError(f"{name} needs likes, comments, shares or favorites; the data has none of them")
    return Formula(weights=weights, per_view=True)


def view_correlations(posts: pd.DataFrame) -> dict[str, float]:
    """Return Cor(V, X) of equation 1 over the rows that have views and every such counter that there is."""
    present = [counter for counter in POPULARITY_COUNTERS if counter in posts]
    if "views" not in posts or not present:
        return {}
    rows = posts[["views", *present]].dropna()
    return {counter: pearson(rows["views"].to_numpy(), rows[counter].to_numpy()) for counter in present}


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation; 0 where one side is constant, for then nothing is known of it."""
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def need(posts: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise EngageError naming the first column that the data lacks."""
    for column in columns:
        if column not in posts:
            raise EngageError(f"the data has no column '{column}'; map it with --map when you prepare")


def _numbers(posts: pd.DataFrame, column: str) -> np.ndarray:
    return posts[column].to_numpy(np.float64)
