"""How long after publication a prediction is for: what `--after` says, or the median age of the training posts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from engage_cli.data.ages import log_age, parse_days, words_of
from engage_cli.data.schema import LOG_AGE
from engage_cli.errors import WrongCallError


def add_asked_age(
    posts: pd.DataFrame,
    after: str,
    *,
    reads: Iterable[str],
    median_age: float | None,
    run: str,
    say: Callable[[str], None],
) -> pd.DataFrame:
    """Return the posts with the age that is asked about, where the run reads (`reads`) one.

    `median_age` is that of the training posts, in days. Raises WrongCallError for an `after` that is no duration, or that
    the run cannot answer for.
    """
    days = parse_days(after, "--after") if after else median_age
    if LOG_AGE not in reads:
        if after:
            raise WrongCallError(
                f"--after {after}: {run} does not know how old its training posts were; prepare posts that say when their "
                "counters were read (observed_at), and train again"
            )
        return posts
    if days is None:
        return posts
    if not after:
        say(
            f"predicting what a post has {words_of(days)} after publication, the median of the training posts; "
            "give --after for another time"
        )
    return posts.assign(**{LOG_AGE: float(log_age(days))})
