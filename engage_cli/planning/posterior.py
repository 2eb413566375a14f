"""What is known of the click rates of variants: what a run predicts, and what was counted since.

The log rates of variants are taken to be normal together: a run's predictions are their means, and its covariance tells how
far two of them may differ from what it says. Clicks are binomial given the rates. The posterior is approximated by a normal
distribution at its mode (Laplace's approximation; Rasmussen and Williams 2006, section 3.4), which is unique: with the
logarithm as link the binomial likelihood is log-concave. With many clicks that is the conjugate update of normal log rates
of variance 1/clicks - 1/impressions; with none it leaves what the run said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NUM_DRAWS = 20_000
JITTER = 1e-6  # of variances: two variants that a run cannot tell apart have a singular covariance
HIGHEST = np.log(0.999)  # log rate
MOST_STEPS, TINY = 100, 1e-10


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Log click rates of n variants, normal together."""

    mean: np.ndarray  # (n,)
    covariance: np.ndarray  # (n, n)

    def __len__(self) -> int:
        return len(self.mean)

    def draw(self, num: int = NUM_DRAWS, *, seed: int = 0) -> np.ndarray:
        """(num, n) log rates; no rate is above 0.999."""
        normal = np.random.default_rng(seed).standard_normal((num, len(self)))
        drawn = self.mean + normal @ _root(self.covariance).T
        return np.minimum(drawn, HIGHEST)

    def take(self, places: np.ndarray) -> Rates:
        """Return those of some variants."""
        return Rates(mean=self.mean[places], covariance=self.covariance[np.ix_(places, places)])


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Who is ahead."""

    rate: np.ndarray  # (n,) expected click rates
    best: np.ndarray  # (n,) the probability that each is the best
    leader: int  # the one with the highest expected rate
    loss: float  # percent of the leader's clicks that it is expected to lack to the best

    @property
    def chance(self) -> float:
        """How probable it is that the leader is the best."""
        return float(self.best[self.leader])


def rates_from_differences(mean: np.ndarray, variance: np.ndarray, *, level: float, level_deviation: float) -> Rates:
    """Return the rates of variants whose differences are known better than their common level.

    `mean` (n,) are log rates up to a constant, `variance` (n, n) the variances of the differences of each two. The
    covariance of what they deviate from their own mean is -J V J / 2, where J takes the mean away (Torgerson 1958).
    """
    num = len(mean)
    away = np.eye(num) - 1 / num
    inner = -0.5 * away @ variance @ away
    return Rates(mean=mean - mean.mean() + level, covariance=_positive(inner) + level_deviation**2)


def update(prior: Rates, clicks: np.ndarray, impressions: np.ndarray) -> Rates:
    """Return what is known after clicks (n,) of impressions (n,)."""
    covariance = prior.covariance + JITTER * np.eye(len(prior))
    precision = np.linalg.inv(covariance)
    missed = impressions - clicks

    def height(log_rates: np.ndarray) -> float:
        away = log_rates - prior.mean
        return float(clicks @ log_rates + missed @ np.log1p(-np.exp(log_rates)) - 0.5 * away @ precision @ away)

    found = np.minimum(prior.mean, HIGHEST)
    for _ in range(MOST_STEPS):
        odds = np.exp(found) / -np.expm1(found)
        slope = clicks - missed * odds - precision @ (found - prior.mean)
        curvature = precision + np.diag(missed * odds * (1 + odds))
        step = np.linalg.solve(curvature, slope)
        size, before = 1.0, height(found)
        while size > TINY and height(np.minimum(found + size * step, HIGHEST)) < before:
            size /= 2
        found = np.minimum(found + size * step, HIGHEST)
        if np.abs(size * step).max() < 1e-8:
            break
    odds = np.exp(found) / -np.expm1(found)
    return Rates(mean=found, covariance=np.linalg.inv(precision + np.diag(missed * odds * (1 + odds))))


def stand(rates: Rates, *, seed: int = 0) -> Standing:
    """Say who is ahead, and what it would cost to stop here."""
    drawn = np.exp(rates.draw(seed=seed))
    is_top = drawn == drawn.max(axis=1, keepdims=True)
    expected = drawn.mean(axis=0)
    leader = int(expected.argmax())
    return Standing(
        rate=expected,
        best=(is_top / is_top.sum(axis=1, keepdims=True)).mean(axis=0),
        leader=leader,
        loss=float(100 * (drawn.max(axis=1).mean() / expected[leader] - 1)),
    )


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return R with R Rᵀ = covariance, of a singular one too."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _positive(covariance: np.ndarray) -> np.ndarray:
    """Return the nearest matrix without negative eigenvalues: variances of differences that do not fit have some."""
    root = _root((covariance + covariance.T) / 2)
    return np.asarray(root @ root.T)
