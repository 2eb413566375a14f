"""A score that grows with views, in two ways: as it is, and as the views plus what people did with what they saw.

log1p(likes) = log1p(views) + (log1p(likes) - log1p(views)). Other words and images tell of the one than of the other, so
that models of each find what a model of their sum misses; the mean of both ways does a little better than the first
alone (benchmarks/RESULTS.md). Counters of training posts are learned here, as in every target; no model is given one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.data.targets.target import Target


@dataclass(frozen=True, kw_only=True)
class ScorePart:
    """Something to learn: predictions of all parts, times their shares, add up to one of the score."""

    of: str
    share: float
    truth: np.ndarray  # (n,)


def parts_of(target: Target, posts: pd.DataFrame) -> list[ScorePart]:
    """Return what is learned of training posts that all have a score: it alone, where it does not grow with views."""
    scores, formula = target.score(posts), target.formula
    grows = formula.transform == "log1p" and not (formula.per_view or formula.minus or "views" in formula.weights)
    if not grows or "views" not in posts or posts["views"].isna().any():
        return [ScorePart(of=target.name, share=1.0, truth=scores)]
    reach = np.log1p(posts["views"].to_numpy(np.float64))
    return [
        ScorePart(of=target.name, share=0.5, truth=scores),
        ScorePart(of="views", share=0.5, truth=reach),
        ScorePart(of=f"{target.name} beyond views", share=0.5, truth=scores - reach),
    ]
