"""Targets: what is predicted, fitted on given rows and saved as numbers. Their formulas stand in data.targets.formulas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from engage_cli.config.general import CLASS_NAMES
from engage_cli.data.schema import COUNTERS
from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.click_rate import sampling_variance
from engage_cli.data.targets.formulas import ENGAGEMENT_WEIGHTS, POPULARITY_COUNTERS, FitFormula, Formula
from engage_cli.errors import EngageError
from engage_cli.io.ranges import FourRising, FromOne, Number, Positive, Rising, Share
from engage_cli.io.records import fields_of, parse, record

# A column that is absent drops its term from these, and engage says so.
OPTIONAL = {
    "popularity": POPULARITY_COUNTERS,
    "engagement": tuple(ENGAGEMENT_WEIGHTS),
    "composite": COUNTERS,
    "rate": tuple(ENGAGEMENT_WEIGHTS),
}
CLASS_QUANTILES = (0.2, 0.4, 0.6, 0.8)
NUM_QUANTILES = 1001


def _shares(values: tuple[float, ...]) -> tuple[float, ...]:
    if abs(sum(values) - 1) > 1e-6:
        raise ValueError("its shares do not add up to 1")
    return values


@record
class Target:
    """A fitted target. Everything in it was computed on `num_rows` rows of the part `fit_on`."""

    name: str
    formula: Formula
    cuts: FourRising  # the highest score of each class but the last
    class_shares: Annotated[tuple[Share, ...], Field(min_length=5, max_length=5), AfterValidator(_shares)]
    mean: Number
    std: Positive
    # Of the scores, at 0, 0.001, ..., 1.
    quantiles: Annotated[Rising, Field(min_length=NUM_QUANTILES, max_length=NUM_QUANTILES)]
    num_rows: FromOne
    fit_on: str
    warnings: tuple[str, ...] = ()

    def score(self, posts: pd.DataFrame) -> np.ndarray:
        return self.formula.score(posts)

    def noise(self, posts: pd.DataFrame) -> np.ndarray | None:
        """Return (n,) the known variance of each score's own error; None of a target whose error is not known."""
        return sampling_variance(posts) if self.formula.per_exposure else None

    def classes(self, scores: np.ndarray) -> np.ndarray:
        """Return (n,) int64 in 0..4; a score that equals a cut belongs below it, so equal scores share a class."""
        return np.searchsorted(np.asarray(self.cuts), scores, side="left").astype(np.int64)

    def percentile(self, scores: np.ndarray) -> np.ndarray:
        """Return (n,) in 0..100: the share of the fitted rows below each score, equal ones counted half."""
        quantiles = np.asarray(self.quantiles)
        below = np.searchsorted(quantiles, scores, side="left")
        above = np.searchsorted(quantiles, scores, side="right")
        return np.asarray(100.0 * (below + above) / 2 / len(quantiles))

    def percentile_range(self, low: float, high: float) -> tuple[float, float]:
        """Return the percentiles of two scores."""
        found = self.percentile(np.array([low, high]))
        return float(found[0]), float(found[1])

    def counts(self, scores: np.ndarray) -> np.ndarray | None:
        """Return the scores as counts where the formula is the log1p of one, else None."""
        return np.expm1(scores) if self.formula.transform == "log1p" and not self.formula.minus else None

    def to_json(self) -> Mapping[str, object]:
        saved = fields_of(self)
        if not self.formula.per_exposure:  # data folders and runs of before that was a field keep their fingerprints
            del saved["formula"]["per_exposure"]
        return {**saved, "formula_text": str(self.formula)}

    @classmethod
    def from_json(
        cls, saved: Mapping[str, Any], *, where: str = "a target", again: str = "prepare the data again"
    ) -> Target:
        """Read what `to_json` gave; raise EngageError that names the field that is wrong."""
        return parse({key: value for key, value in saved.items() if key != "formula_text"}, cls, where=where, again=again)


def fit_target(name: str, posts: pd.DataFrame, *, fit_on: str, formula: Formula | None = None) -> Target:
    """Fit formula, cuts and scale of a target on exactly these rows; a formula that is given stays as it is."""
    fit: FitFormula = TARGETS.load(name)
    formula = formula or fit(posts)
    scores = formula.score(posts)
    scores = np.sort(scores[np.isfinite(scores)])  # sorted once for all quantiles below
    if scores.size == 0:
        raise EngageError(
            f"no row has all that {name} needs: {', '.join(formula.needs)}; map them with --map, or give another --target"
        )
    cuts = fit_cuts(scores)
    labels = np.searchsorted(np.asarray(cuts), scores, side="left")
    shares = np.bincount(labels, minlength=len(CLASS_NAMES)) / scores.size
    warnings = [
        f"target {name}: class {CLASS_NAMES[k]} holds {share:.0%} of the rows (equal scores stay together)"
        for k, share in enumerate(shares)
        if abs(share - 0.2) > 0.05
    ]
    if scores.size > 1 and np.ptp(scores) == 0:
        warnings = [f"target {name}: every post has the same score, so there is nothing to learn; give another --target"]
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


def dropped_terms(names: Iterable[str], posts: pd.DataFrame) -> dict[str, list[str]]:
    """Return the targets whose formulas lack terms, by the columns that are absent."""
    found: dict[str, list[str]] = {}
    for name in names:
        if absent := ", ".join(column for column in OPTIONAL.get(name, ()) if column not in posts):
            found.setdefault(absent, []).append(name)
    return found


def fit_cuts(scores: np.ndarray, quantiles: Sequence[float] = CLASS_QUANTILES) -> tuple[float, ...]:
    """Return the cut nearest to each quantile that no two equal scores straddle."""
    values, counts = np.unique(scores, return_counts=True)
    shares = np.cumsum(counts) / scores.size
    return tuple(float(values[np.abs(shares - quantile).argmin()]) for quantile in quantiles)


def require_variety(truth: np.ndarray, kind: str, name: str) -> None:
    """Raise EngageError where all training posts have one and the same value or class."""
    if len(np.unique(truth)) < 2:
        what = "class" if kind == "classes" else "value"
        raise EngageError(
            f"every training post has the same {what} of target '{name}': there is nothing to learn; give another --target"
        )
