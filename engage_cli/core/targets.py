"""Targets: what is predicted, fitted on given rows and saved as numbers.

A target is one function that returns a Formula; the Formula is data, so that it is written as JSON, shown to the
user and applied to other posts by the same few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.config import CLASS_NAMES
from engage_cli.core.errors import EngageError
from engage_cli.core.posts import COUNTERS
from engage_cli.core.registry import Registry

TARGETS = Registry(
    "target",
    {
        "popularity": "engage_cli.core.targets:popularity",
        "engagement": "engage_cli.core.targets:engagement",
        "views": "engage_cli.core.targets:views",
    },
)
ENGAGEMENT_WEIGHTS = {"likes": 1.0, "comments": 2.0, "shares": 3.0, "favorites": 3.0}  # study, section 4.1
CLASS_QUANTILES = (0.2, 0.4, 0.6, 0.8)
NUM_QUANTILES = 1001


@dataclass(frozen=True, kw_only=True)
class Formula:
    """score = transform(sum of weight x counter [/ max(views, 1)]); a post that lacks a needed counter has none."""

    weights: dict[str, float]
    per_view: bool = False
    transform: str = "identity"  # or log1p

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.weights, *(("views",) if self.per_view else ()))))

    def score(self, posts: pd.DataFrame) -> np.ndarray:
        """Return (n,) float64, NaN where a needed counter is missing."""
        total = np.zeros(len(posts))
        for counter, weight in self.weights.items():
            total = total + weight * posts[counter].to_numpy(np.float64)
        if self.per_view:
            total = total / np.maximum(posts["views"].to_numpy(np.float64), 1.0)
        return np.log1p(total) if self.transform == "log1p" else total

    def __str__(self) -> str:
        terms = " + ".join(f"{weight:.4g}·{counter}".removeprefix("1·") for counter, weight in self.weights.items())
        inner = f"({terms}) / max(views, 1)" if self.per_view else terms
        return f"log1p({inner})" if self.transform == "log1p" else inner


FitFormula = Callable[[pd.DataFrame], Formula]


def popularity(posts: pd.DataFrame) -> Formula:
    """log1p of the counters weighted by 1 - their Pearson correlation with views (study, equation 1)."""
    present = [c for c in ("likes", "shares", "comments", "favorites") if c in posts]
    _need(posts, ("views",))
    if not present:
        raise EngageError("popularity needs likes, shares, comments or favorites; the data has none of them")
    rows = posts[["views", *present]].dropna()
    return Formula(
        weights={counter: 1.0 - _pearson(rows["views"].to_numpy(), rows[counter].to_numpy()) for counter in present},
        transform="log1p",
    )


def engagement(posts: pd.DataFrame) -> Formula:
    """(likes + 2 comments + 3 shares + 3 favorites) / max(views, 1) (study, section 4.1)."""
    _need(posts, ("views",))
    weights = {counter: weight for counter, weight in ENGAGEMENT_WEIGHTS.items() if counter in posts}
    if not weights:
        raise EngageError("engagement needs likes, comments, shares or favorites; the data has none of them")
    return Formula(weights=weights, per_view=True)


def views(posts: pd.DataFrame) -> Formula:
    """log1p(views): reach."""
    _need(posts, ("views",))
    return Formula(weights={"views": 1.0}, transform="log1p")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A fitted target. Everything in it was computed on `num_rows` rows of the part `fit_on`."""

    name: str
    formula: Formula
    cuts: tuple[float, ...]  # the highest score of each class but the last
    class_shares: tuple[float, ...]
    mean: float
    std: float
    quantiles: tuple[float, ...]  # of the scores, at 0, 0.001, ..., 1
    num_rows: int
    fit_on: str
    warnings: tuple[str, ...] = ()

    def score(self, posts: pd.DataFrame) -> np.ndarray:
        return self.formula.score(posts)

    def classes(self, scores: np.ndarray) -> np.ndarray:
        """Return (n,) int64 in 0..4; a score that equals a cut belongs below it, so equal scores share a class."""
        return np.searchsorted(np.asarray(self.cuts), scores, side="left").astype(np.int64)

    def percentile(self, scores: np.ndarray) -> np.ndarray:
        """Return (n,) in 0..100: the share of the fitted rows below each score, equal ones counted half."""
        quantiles = np.asarray(self.quantiles)
        below = np.searchsorted(quantiles, scores, side="left")
        above = np.searchsorted(quantiles, scores, side="right")
        return np.asarray(100.0 * (below + above) / 2 / len(quantiles))

    def counts(self, scores: np.ndarray) -> np.ndarray | None:
        """Return the scores as counts where the formula is a log1p, else None."""
        return np.expm1(scores) if self.formula.transform == "log1p" else None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "formula_text": str(self.formula)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Target:
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()}
        fields.pop("formula_text")
        return cls(**{**fields, "formula": Formula(**saved["formula"])})


def fit_target(name: str, posts: pd.DataFrame, *, fit_on: str) -> Target:
    """Fit formula, cuts and scale of a target on exactly these rows."""
    fit: FitFormula = TARGETS.load(name)
    formula = fit(posts)
    scores = formula.score(posts)
    scores = scores[np.isfinite(scores)]
    if scores.size == 0:
        raise EngageError(f"no row has all the counters that {name} needs: {', '.join(formula.needs)}")
    cuts = fit_cuts(scores)
    labels = np.searchsorted(np.asarray(cuts), scores, side="left")
    shares = np.bincount(labels, minlength=len(CLASS_NAMES)) / scores.size
    warnings = [
        f"target {name}: class {CLASS_NAMES[k]} holds {share:.0%} of the rows (equal scores stay together)"
        for k, share in enumerate(shares)
        if abs(share - 0.2) > 0.05
    ]
    dropped = [c for c in COUNTERS if c not in posts and c in ENGAGEMENT_WEIGHTS and name != "views"]
    if dropped:
        warnings.append(f"target {name}: no column {', '.join(dropped)}; the formula is {formula}")
    return Target(
        name=name,
        formula=formula,
        cuts=cuts,
        class_shares=tuple(float(share) for share in shares),
        mean=float(scores.mean()),
        std=float(scores.std()) or 1.0,
        quantiles=tuple(float(q) for q in np.quantile(scores, np.linspace(0, 1, NUM_QUANTILES))),
        num_rows=int(scores.size),
        fit_on=fit_on,
        warnings=tuple(warnings),
    )


def fit_cuts(scores: np.ndarray, quantiles: Sequence[float] = CLASS_QUANTILES) -> tuple[float, ...]:
    """Return the cut nearest to each quantile that no two equal scores straddle."""
    values, counts = np.unique(scores, return_counts=True)
    shares = np.cumsum(counts) / scores.size
    return tuple(float(values[np.abs(shares - quantile).argmin()]) for quantile in quantiles)


def require_variety(truth: np.ndarray, kind: str, name: str) -> None:
    """Raise EngageError where all training posts have one and the same value or class."""
    if len(np.unique(truth)) < 2:
        what = "class" if kind == "classes" else "value"
        raise EngageError(f"every training post has the same {what} of target '{name}': there is nothing to learn")


def _need(posts: pd.DataFrame, counters: Sequence[str]) -> None:
    for counter in counters:
        if counter not in posts:
            raise EngageError(f"the data has no column '{counter}'")


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation; 0 where one side is constant, for then nothing is known of it."""
    if len(x) < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
