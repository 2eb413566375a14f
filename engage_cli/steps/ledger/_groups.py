"""Outcomes in groups: by the month of the prediction, and by the age of the post when it was counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.data.ages import age_in_days
from engage_cli.ledger.store import Entry

AGES = ((7.0, "under 7 days"), (30.0, "7 to 30 days"), (90.0, "30 to 90 days"), (np.inf, "over 90 days"))


@dataclass(frozen=True, kw_only=True)
class Month:
    month: str  # 2026-11: in which the prediction was made
    posts: int
    drift: float  # median of outcome minus prediction, in the target's unit
    covered: float | None  # share of outcomes within the 80 % intervals


@dataclass(frozen=True, kw_only=True)
class Age:
    age: str  # of the posts when they were counted
    posts: int
    drift: float
    covered: float | None


Known = Sequence[tuple[Entry, int]]  # an entry, and the row of its outcome


def by_month(known: Known, earned: np.ndarray) -> tuple[Month, ...]:
    groups = _grouped(known, [entry.time[:7] for entry, _ in known])
    return tuple(
        Month(month=name, posts=len(some), drift=_drift(some, earned), covered=_covered(some, earned))
        for name, some in sorted(groups.items())
    )


def by_age(known: Known, earned: np.ndarray, posts: pd.DataFrame) -> tuple[Age, ...]:
    """Return groups, the youngest first, of the posts whose table has their date and that of the count."""
    days = age_in_days(posts)
    has_age = [(entry, row) for entry, row in known if np.isfinite(days[row])]
    names = [next(name for most, name in AGES if days[row] < most) for _, row in has_age]
    groups = _grouped(has_age, names)
    return tuple(
        Age(age=name, posts=len(some), drift=_drift(some, earned), covered=_covered(some, earned))
        for _, name in AGES
        if (some := groups.get(name))
    )


def _grouped(known: Known, names: Sequence[str]) -> dict[str, list[tuple[Entry, int]]]:
    groups: dict[str, list[tuple[Entry, int]]] = defaultdict(list)
    for name, one in zip(names, known, strict=True):
        groups[name].append(one)
    return groups


def _drift(known: Known, earned: np.ndarray) -> float:
    return float(np.median([earned[row] - entry.value for entry, row in known if entry.value is not None]))


def _covered(known: Known, earned: np.ndarray) -> float | None:
    inside = [e.low <= earned[row] <= e.high for e, row in known if e.low is not None and e.high is not None]
    return float(np.mean(inside)) if inside else None
