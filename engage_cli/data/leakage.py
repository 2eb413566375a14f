"""The leakage guard: what is known only after publication reaches no model, whatever it is called.

`known_before` is the one way from the table to a model: every trainer, predictor and baseline calls it. A column
that is not listed as known before publication does not pass. `probe` looks at the columns that do pass, for one may
hold a counter under an innocent name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engage_cli.data.cells.numbers import parse_counters
from engage_cli.data.counter_names import is_counter_name, plain_name
from engage_cli.data.schema import HISTORY_COLUMNS, KNOWN_AFTER, LOG_AGE, OWN, is_known_before

SUSPICIOUS_R2 = 0.5  # content explains 0.1 to 0.4 of engagement in every study that we know
MOST_BINS, LEAST_BINS, ROWS_PER_BIN = 32, 4, 10
PROBED_ROWS = 10_000
# A publication date is known before, whatever it tells: of a growing account it tells much, and is not a leak. Nor is
# what is computed from it and from earlier posts, or the age at which counters were read.
NEVER_A_LEAK = ("posted_at", LOG_AGE, *HISTORY_COLUMNS)


def known_before(posts: pd.DataFrame) -> pd.DataFrame:
    """Return only the columns that are known before publication: all that a model may be given."""
    return posts[[column for column in posts.columns if is_known_before(column)]]


def is_known_after(name: str, sources: Mapping[str, str]) -> bool:
    """Say whether a name, under any usual spelling or as a source writes it, is of what is known only after publication.

    `sources` maps our columns to the source's names.
    """
    plain = plain_name(name)
    after = {plain_name(name) for pair in sources.items() if pair[0] in KNOWN_AFTER for name in pair}
    return is_counter_name(plain) or is_counter_name(plain.removeprefix(plain_name(OWN))) or plain in after


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well one column alone predicts one target."""

    column: str
    target: str
    r2: float
    known_before: bool

    @property
    def name(self) -> str:
        """What the user calls the column."""
        return self.column.removeprefix(OWN)

    @property
    def is_suspicious(self) -> bool:
        return self.known_before and self.r2 >= SUSPICIOUS_R2 and self.column not in NEVER_A_LEAK

    @property
    def tells_of_age(self) -> bool:
        """Whether the date alone tells what a post got: the account grew, or older posts had longer to gather it."""
        return self.column == "posted_at" and self.r2 >= SUSPICIOUS_R2


def probe(posts: pd.DataFrame, groups: pd.Series, scores: Mapping[str, np.ndarray], columns: Sequence[str]) -> list[Probe]:
    """Return, per column, the target that it predicts best and its R² on held-out rows, the best column first.

    A column is read in every way that could carry a number: as a number, as the first number in its text, as its
    length, as a category. The rows are cut into two halves; each half is predicted by the means of bins fitted on
    the other. `posts` are training rows; of many, a sample is taken. Both go by a hash of `groups`, not by the rows' order:
    of near-duplicates, and of the variants of an experiment, none is predicted by another.
    """
    hashes = pd.util.hash_array(groups.to_numpy(object), categorize=False)
    chosen = np.flatnonzero(hashes % np.uint64(-(-len(posts) // PROBED_ROWS) or 1) == 0)
    chosen = chosen[np.argsort(hashes[chosen])]
    some, half = posts.iloc[chosen], np.unique(hashes[chosen], return_inverse=True)[1] % 2 == 0
    found = []
    for column in columns:
        readings = _readings(some[column])
        best = max(
            (
                Probe(
                    column=column,
                    target=name,
                    r2=_cross_fitted_r2(bins, values[chosen], half),
                    known_before=is_known_before(column),
                )
                for name, values in scores.items()
                for bins in readings
            ),
            key=lambda one: one.r2,
            default=None,
        )
        if best is not None:
            found.append(best)
    return sorted(found, key=lambda one: -one.r2)


def _readings(column: pd.Series) -> list[np.ndarray]:
    """Return (n,) int64 bins for each way to read the column; -1 where that way gives nothing."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return [_bins(column.astype("int64").to_numpy(np.float64, copy=True))]
    if pd.api.types.is_numeric_dtype(column):
        return [_bins(column.to_numpy(np.float64))]
    text = column.fillna("").astype(str)
    readings = [pd.factorize(text.where(text != ""))[0].astype(np.int64), _bins(text.str.len().to_numpy(np.float64))]
    found = text.astype(object).str.extract(r"([+-]?\d[\d,]*\.?\d*\s*(?:[kKmMbB](?![A-Za-z])|[万亿萬億])?)")[0]
    readings.append(_bins(parse_counters(found, decimal=".").values))
    return readings


def _bins(values: np.ndarray) -> np.ndarray:
    """Cut values into bins of about equal size; -1 for NaN."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), -1)
    num_bins = min(MOST_BINS, max(LEAST_BINS, int(known.sum()) // ROWS_PER_BIN))
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, num_bins + 1)[1:-1]))
    return np.where(known, np.searchsorted(edges, values, side="right"), -1)


def _cross_fitted_r2(bins: np.ndarray, values: np.ndarray, half: np.ndarray) -> float:
    """R² over both halves, each predicted by the bin means of the other; 0 where the column says nothing."""
    usable = np.isfinite(values)
    bins, values, half = bins[usable] + 1, values[usable], half[usable]
    if min(half.sum(), (~half).sum()) < 2 or np.ptp(values) == 0 or len(np.unique(bins)) < 2:
        return 0.0
    predicted = np.empty(len(values))
    for fitted in (half, ~half):
        mean = values[fitted].mean()
        counts = np.bincount(bins[fitted], minlength=bins.max() + 1)
        sums = np.bincount(bins[fitted], weights=values[fitted], minlength=bins.max() + 1)
        means = (sums + mean) / (counts + 1)  # one pseudo-row of the overall mean steadies rare bins
        predicted[~fitted] = means[bins[~fitted]]
    return float(max(0.0, 1.0 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum()))
