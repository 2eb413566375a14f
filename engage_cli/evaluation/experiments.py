"""How well predictions tell which variant of one post wins: the right order, the clicks gained, and honest probabilities.

What is compared are variants of one experiment, that were shown at random to the same audience. Packages that look alike to
every model (they differ in an image of which there is no file) are one variant, and their counts are added up. Intervals
come from resampling whole stories, for the pairs of one experiment, and the experiments of one story, are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from engage_cli.data.experiments import experiment_codes, variant_names
from engage_cli.data.schema import EXPOSURE, OUTCOME
from engage_cli.data.targets.click_rate import ADDED, variance_of
from engage_cli.evaluation.results import ExperimentScore, Metrics

LEAST_EXPOSURE = 500.0  # of a variant that is compared: of fewer, chance alone decides
SIGNIFICANT = 1.96  # standard errors of the difference of two rates
NUM_BINS = 10
PAIRS, SIGNIFICANT_PAIRS, GAIN, GAIN_SHARE, ECE = NAMES = (
    "variant_pairs",
    "variant_pairs_significant",
    "variant_gain",
    "variant_gain_share",
    "variant_ece",
)


@dataclass(frozen=True, kw_only=True)
class Variants:
    """Variants of experiments that have another one to be compared with, each with its counts."""

    rows: np.ndarray  # (m,) a row of the posts that shows each
    experiment: np.ndarray  # (m,) int64, 0 to the number of experiments - 1, rising
    story: np.ndarray  # (m,) int64, equal for experiments that are resampled together
    outcome: np.ndarray  # (m,) float64
    exposure: np.ndarray  # (m,)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def rate(self) -> np.ndarray:
        return np.asarray(self.outcome / self.exposure)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Every two variants of one experiment: (k,) and (k,) places among the variants."""
        starts = np.flatnonzero(np.diff(self.experiment, prepend=-1))
        sizes = np.diff(np.append(starts, len(self)))
        some = [np.array(np.triu_indices(size, k=1)) + start for start, size in zip(starts, sizes, strict=True)]
        first, second = np.concatenate(some, axis=1) if some else np.zeros((2, 0), np.int64)
        return first, second

    @property
    def z(self) -> np.ndarray:
        """(k,) standard errors between two rates, by their pooled rate."""
        first, second = self.pairs
        shown = (1 / self.exposure[first]) + (1 / self.exposure[second])
        pooled = (self.outcome[first] + self.outcome[second]) / (self.exposure[first] + self.exposure[second])
        error = np.sqrt(pooled * (1 - pooled) * shown)
        return np.divide(self.rate[first] - self.rate[second], error, out=np.zeros(len(first)), where=error > 0)

    @property
    def noise(self) -> np.ndarray:
        """(k,) the known variance of the difference of two log rates."""
        own = variance_of(self.outcome, self.exposure)
        first, second = self.pairs
        return np.asarray(own[first] + own[second])

    @property
    def difference(self) -> np.ndarray:
        """(k,) of the log rates as they are counted, as the target click_rate has them."""
        logs = np.log((self.outcome + ADDED) / (self.exposure + 2 * ADDED))
        first, second = self.pairs
        return np.asarray(logs[first] - logs[second])


def find_variants(posts: pd.DataFrame, *, least_exposure: float = LEAST_EXPOSURE) -> Variants:
    """Return the variants among posts (n,) that were shown so often, of experiments that have two or more such."""
    codes = experiment_codes(posts)
    known = codes >= 0
    if OUTCOME in posts and EXPOSURE in posts:
        known &= (posts[OUTCOME].notna() & posts[EXPOSURE].notna()).to_numpy()
    else:
        known &= False
    rows = np.flatnonzero(known)
    if not len(rows):
        nothing = np.zeros(0, np.int64)
        return Variants(rows=nothing, experiment=nothing, story=nothing, outcome=np.zeros(0), exposure=np.zeros(0))
    some = posts.iloc[rows]
    labels, _ = pd.factorize(variant_names(some))
    counts = np.stack([np.bincount(labels, weights=some[name].to_numpy(np.float64)) for name in (OUTCOME, EXPOSURE)])
    first = np.full(labels.max() + 1, -1)
    first[labels[::-1]] = rows[::-1]
    experiment = codes[first]
    enough = counts[1] >= least_exposure
    several = np.bincount(experiment[enough], minlength=experiment.max() + 1) > 1
    kept = np.flatnonzero(enough & several[experiment])
    kept = kept[np.argsort(experiment[kept], kind="stable")]
    story = pd.factorize(posts["group"].iloc[first[kept]])[0]
    return Variants(
        rows=first[kept],
        experiment=np.unique(experiment[kept], return_inverse=True)[1],
        story=np.asarray(story, np.int64),
        outcome=counts[0, kept],
        exposure=counts[1, kept],
    )


def score_variants(
    variants: Variants,
    predicted: np.ndarray,
    chances: np.ndarray | None = None,
    *,
    num_resamples: int = 0,
    seed: int = 0,
) -> tuple[ExperimentScore, Metrics]:
    """Score predictions (m,) of variants, and chances (k,) that the counts of a pair show its first one ahead.

    variant_pairs is the share of pairs in the right order (a predicted tie is half), variant_pairs_significant that of
    pairs whose rates differ by more than 1.96 standard errors. variant_gain is how many percent more clicks the variant
    predicted best would have got than one taken at random, on average over experiments, and variant_gain_share is that in
    percent of what the one with the best counts would have. variant_ece is the chances' calibration error in ten bins.
    """
    first, second = variants.pairs
    ahead = np.sign(variants.rate[first] - variants.rate[second])
    right = (1 + np.sign(predicted[first] - predicted[second]) * ahead) / 2
    is_told, is_significant = ahead != 0, np.abs(variants.z) > SIGNIFICANT
    gain, best = _gains(variants, predicted)
    starts = np.flatnonzero(np.diff(variants.experiment, prepend=-1))
    of_pair, of_test = variants.story[first], variants.story[starts]
    num = int(variants.story.max()) + 1 if len(variants) else 0

    def by_story(story: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(story, weights=values, minlength=num)

    told = np.isfinite(gain)  # where nobody clicked at all there is nothing to gain
    sums = {
        PAIRS: (by_story(of_pair, right * is_told), by_story(of_pair, is_told)),
        SIGNIFICANT_PAIRS: (by_story(of_pair, right * is_significant), by_story(of_pair, is_significant)),
        GAIN: (by_story(of_test, np.where(told, 100 * gain, 0.0)), by_story(of_test, told)),
        GAIN_SHARE: (by_story(of_test, np.where(told, 100 * gain, 0.0)), by_story(of_test, np.where(told, best, 0.0))),
    }
    generator = np.random.default_rng(seed)
    times = (
        generator.multinomial(num, np.full(num, 1 / num), num_resamples) if num and num_resamples else np.zeros((0, num))
    )
    found = {
        name: _with_bounds(_ratio(*(one.sum() for one in pair)), _ratio(*(times @ one for one in pair)))
        for name, pair in sums.items()
    }
    wins = (1 + ahead) / 2
    if chances is not None and len(first):
        # Both ways round: which variant of a pair stands first in a table may tell who won, and no model sees it.
        both, won = np.concatenate([chances, 1 - chances]), np.concatenate([wins, 1 - wins])
        place = np.tile(of_pair, 2) * NUM_BINS + np.minimum((both * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        gaps = np.bincount(place, weights=both - won, minlength=num * NUM_BINS).reshape(num, NUM_BINS)
        held = 2 * by_story(of_pair, np.ones(len(first)))
        resampled = np.abs(times @ gaps).sum(axis=1) / np.maximum(times @ held, 1)
        found[ECE] = _with_bounds(np.abs(gaps.sum(axis=0)).sum() / held.sum(), resampled)
    score = ExperimentScore(
        experiments=len(starts),
        variants=len(variants),
        pairs=int(is_told.sum()),
        significant=int(is_significant.sum()),
        stories=num,
        best_gain=float(100 * best[told].mean()) if told.any() else 0.0,
        chances=chances,
        wins=None if chances is None else wins,
    )
    return score, found


def _gains(variants: Variants, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, of each experiment, the rate of the predicted best and of the best counts over the mean, less 1.

    Variants that are predicted equal are shown equally often.
    """
    codes, rate = variants.experiment, variants.rate
    num = int(codes.max()) + 1 if len(codes) else 0
    top = np.full(num, -np.inf)
    np.maximum.at(top, codes, predicted)
    chosen = (predicted == top[codes]).astype(np.float64)
    highest = np.full(num, -np.inf)
    np.maximum.at(highest, codes, rate)
    mean = np.bincount(codes, weights=rate, minlength=num) / np.maximum(np.bincount(codes, minlength=num), 1)
    shown = np.bincount(codes, weights=chosen * rate, minlength=num) / np.bincount(codes, weights=chosen, minlength=num)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(shown / mean - 1), np.asarray(highest / mean - 1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the ratio of each two; 0 where there is nothing."""
    total = np.asarray(below, np.float64)
    return np.asarray(np.divide(above, total, out=np.zeros_like(total), where=total != 0))


def _with_bounds(point: float | np.ndarray, samples: np.ndarray) -> dict[str, float]:
    value = float(point)
    low, high = np.percentile(samples, [2.5, 97.5]) if len(samples) else (value, value)
    # A resampled calibration error has the chance error of both samples, and may lie above the one that was measured.
    return {"value": value, "low": min(value, float(low)), "high": max(value, float(high))}
