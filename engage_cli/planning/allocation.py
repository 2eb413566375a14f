"""Which variant the next visitors are shown, while a test runs.

Thompson sampling (Thompson 1933) shows each variant as often as it is likely to be the best. With a run's predictions as
what is known at first, it does not have to find out from clicks what the run knew; with nothing known (independent, uniform
rates: Beta(1, 1)) it is plain Thompson sampling.
"""

from __future__ import annotations

import numpy as np

from engage_cli.planning.posterior import Rates, update

# What deviations of the posterior are multiplied by before a draw: less is found out, and fewer clicks are lost meanwhile
# (posterior reshaping; Chapelle and Li 2011). Chosen in 250 imagined tests, none real (deviation of log rates 0.275,
# rate 0.0125): in 1,000 impressions a variant 0.7 loses 10.2 % of the clicks, where 1 loses 12.2 %, and chooses as well in
# the end; 0.5 and 0.35 lose 9.7 % and 8.8 %, and choose worse.
WIDTH = 0.7


def share_by_thompson(rates: Rates, num: int, generator: np.random.Generator, *, width: float = 1.0) -> np.ndarray:
    """(n,) how many of the next `num` visitors see each variant: each sees the best of a draw of its own.

    `width` is what deviations are multiplied by before.
    """
    shaped = Rates(mean=rates.mean, covariance=rates.covariance * width**2)
    drawn = shaped.draw(num, seed=int(generator.integers(2**32)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(rates))


def share_by_plain_thompson(
    clicks: np.ndarray, impressions: np.ndarray, num: int, generator: np.random.Generator
) -> np.ndarray:
    """The same where nothing is known but the counts: Beta(1 + clicks, 1 + impressions - clicks) each."""
    drawn = generator.beta(1 + clicks, 1 + impressions - clicks, (num, len(clicks)))
    return np.bincount(drawn.argmax(axis=1), minlength=len(clicks))


def share_after(
    prior: Rates,
    clicks: np.ndarray,
    impressions: np.ndarray,
    num: int,
    generator: np.random.Generator,
    *,
    width: float = WIDTH,
) -> np.ndarray:
    """(n,) how many of the next visitors see each variant, by a run's predictions and what was counted since."""
    return share_by_thompson(update(prior, clicks, impressions), num, generator, width=width)
