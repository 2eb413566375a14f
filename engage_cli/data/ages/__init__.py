"""The age of a post when its counters were read: what makes counters of old and new posts comparable.

log_age    log(days) from `posted_at` to `observed_at`, of at least a minute; NaN where one of them is unknown

No counter is part of it. In training it is the age that a post's counters have; before publication it is the age that is
asked about (`engage predict --after`).
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

from engage_cli.data.schema import LOG_AGE, OBSERVED_AT
from engage_cli.errors import WrongCallError

LEAST_DAYS = 1 / 1440
SAME_DAY = 1 / 24  # days: what is taken where dates tell no more than that both are of one day
MOST_DAYS = 40_000.0
YOUNG_DAYS = 7  # counters of younger posts still grow fast
GRACE = 1.0  # days: a date without a time of day is its midnight, which may lie before the publication
_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.25}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([hdwy])", re.IGNORECASE | re.ASCII)


def add_age(posts: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the posts with `log_age`, where any has both dates, and notes about them."""
    if OBSERVED_AT not in posts or "posted_at" not in posts:
        return posts, []
    days = age_in_days(posts)
    is_wrong = (posts[OBSERVED_AT].notna() & posts["posted_at"].notna()).to_numpy() & np.isnan(days)
    notes = []
    if num := int(is_wrong.sum()):
        notes.append(
            f"{num:,} posts have counters that were read before they were published; the age of these posts is unknown"
        )
    if np.isnan(days).all():
        return posts, notes
    if num := int((days < YOUNG_DAYS).sum()):
        notes.append(
            f"the counters of {num:,} posts were read less than {YOUNG_DAYS} days after publication and still grow; "
            f"--min-age {YOUNG_DAYS}d leaves such posts out"
        )
    return posts.assign(**{LOG_AGE: log_age(days)}), notes


def age_in_days(posts: pd.DataFrame) -> np.ndarray:
    """(n,) days from publication to the reading of the counters; NaN where unknown, or where they were read before it."""
    if OBSERVED_AT not in posts or "posted_at" not in posts:
        return np.full(len(posts), np.nan)
    days = (posts[OBSERVED_AT] - posts["posted_at"]).dt.total_seconds().to_numpy(np.float64) / 86_400
    return np.where(days > 0, days, np.where(days > -GRACE, SAME_DAY, np.nan))


def log_age(days: np.ndarray | float) -> np.ndarray:
    """Return log(days), of at least LEAST_DAYS; NaN stays NaN."""
    return np.log(np.maximum(np.asarray(days, np.float64), LEAST_DAYS))


def median_days(posts: pd.DataFrame) -> float | None:
    """Return the median age of posts in days; None where no age is known."""
    known = posts[LOG_AGE].dropna() if LOG_AGE in posts else pd.Series(dtype=np.float64)
    return math.exp(float(known.median())) if len(known) else None


def parse_days(text: str, option: str) -> float:
    """Parse "30d", "12h", "2w" or "1y" to days; raise WrongCallError, which names the option, for anything else."""
    found = _DURATION.fullmatch(text.strip())
    days = float(found[1]) * _UNITS[found[2].lower()] if found else math.nan
    if not 0 < days <= MOST_DAYS:
        raise WrongCallError(f"{option} {text[:40]}: write a number of hours, days, weeks or years: 12h, 30d, 2w, 1y")
    return days


def words_of(days: float) -> str:
    """Return an age as people say it: "5 hours", "30 days"."""
    if days < 2:
        hours = max(1, round(days * 24))
        return f"{hours} hour{'s' if hours > 1 else ''}"
    return f"{days:,.0f} days"
