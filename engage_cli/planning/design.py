"""How many impressions decide between variants, and which of them are worth any.

A test is imagined many times: true rates are drawn from what is known, clicks are counted of so many impressions, and the
variant that then has the highest posterior mean is shown from there on. That is the expected value of a sample (Raiffa and
Schlaifer 1961), by simulation; noise and update are normal on log rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engage_cli.planning.posterior import JITTER, Rates

NUM_WORLDS = 4000
IMPRESSIONS = (100, 200, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
WORTH = 0.5  # percent of the clicks of the best, which a variant must be expected to add to be worth its impressions


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is to be expected after so many impressions of each variant."""

    impressions: int
    chance: float  # that the leader is then the best
    loss: float  # percent of clicks that the leader is then expected to lack to the best


@dataclass(frozen=True, kw_only=True)
class Plan:
    stages: tuple[Stage, ...]
    certainty: float
    tolerance: float  # percent

    @property
    def until_sure(self) -> int | None:
        """Impressions of each variant after which the leader is the best with that certainty; None beyond a million."""
        return next((one.impressions for one in self.stages if one.chance >= self.certainty), None)

    @property
    def until_cheap(self) -> int | None:
        """The same after which it is expected to lack no more than tolerated, whether it is the best or not."""
        return next((one.impressions for one in self.stages if one.loss <= self.tolerance), None)

    @property
    def until_decided(self) -> int | None:
        """After whichever comes first the test can be stopped."""
        return min((one for one in (self.until_sure, self.until_cheap) if one is not None), default=None)


def plan_test(rates: Rates, *, certainty: float, tolerance: float, seed: int = 0) -> Plan:
    """Imagine tests of all variants with each number of impressions, 0 first."""
    generator = np.random.default_rng((seed, 1))  # other numbers than those that the worlds are drawn by
    worlds = rates.draw(NUM_WORLDS, seed=seed)
    noise = generator.standard_normal(worlds.shape)
    truth = np.exp(worlds)
    best = truth.max(axis=1)
    stages = []
    for number in (0, *IMPRESSIONS):
        chosen = _choose(rates, worlds, noise, number)
        shown = np.take_along_axis(truth, chosen[:, None], axis=1)[:, 0]
        stages.append(
            Stage(
                impressions=number,
                chance=float((shown == best).mean()),
                loss=float(100 * (best.mean() / shown.mean() - 1)),
            )
        )
    return Plan(stages=tuple(stages), certainty=certainty, tolerance=tolerance)


def worth_testing(rates: Rates, *, seed: int = 0) -> np.ndarray:
    """(n,) bool: False for variants without which the best of the others is expected to be nearly as good.

    The one that adds least is taken away, then of the others the one that then adds least, as long as it adds too little.
    """
    drawn = np.exp(rates.draw(seed=seed))
    kept = list(range(len(rates)))
    while len(kept) > 1:
        whole = drawn[:, kept].max(axis=1).mean()
        added = [100 * (whole / drawn[:, [k for k in kept if k != one]].max(axis=1).mean() - 1) for one in kept]
        if min(added) >= WORTH:
            break
        kept.pop(int(np.argmin(added)))
    return np.isin(np.arange(len(rates)), kept)


def _choose(rates: Rates, worlds: np.ndarray, noise: np.ndarray, number: int) -> np.ndarray:
    """(worlds,) the variant with the highest posterior expected rate after `number` impressions of each."""
    if number == 0:
        return np.full(len(worlds), int((rates.mean + np.diag(rates.covariance) / 2).argmax()))
    rate = np.exp(rates.mean)
    own = np.maximum((1 - rate) / (number * rate), JITTER)  # variance of a log rate, by what is known before
    seen = worlds + noise * np.sqrt(np.maximum((1 - np.exp(worlds)) / (number * np.exp(worlds)), 0.0))
    weight = np.linalg.solve(rates.covariance + np.diag(own), rates.covariance).T
    after = rates.covariance - weight @ rates.covariance
    posterior = rates.mean + (seen - rates.mean) @ weight.T
    return np.asarray((posterior + np.diag(after) / 2).argmax(axis=1))
