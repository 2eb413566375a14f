"""Whether 80 % intervals still hold: a test that may be looked at after every post, as often as one likes.

The hypothesis is that, whatever came before, a post ends below its interval with a probability of at most 12.5 %, and
above it with at most 12.5 %, so that the interval holds 75 % or more. A bet against it begins with a capital of 1. While
the hypothesis is true the bet is fair or worse, so by Ville's inequality (1939) its capital ever reaches 20 with a
probability of at most 5 %. The bets are likelihood ratios of one coin against another (Waudby-Smith and Ramdas 2024,
"Estimating means of bounded random variables by betting"), averaged over many coins and over both sides (Vovk and Wang
2021, "E-values: calibration, combination and applications"). Part of the capital waits for each later post (as in Shin,
Ramdas and Rinaldo 2024, "E-detectors"), so that a shift after a long time without one is found too.
"""

from __future__ import annotations

import numpy as np

TOLERATED = 0.125  # of misses on one side; an 80 % interval is to have 10 %
ENOUGH = 20.0  # capital: a true hypothesis reaches it in at most 1 of 20 cases
MOST = 1e12  # capital of one coin: more would say nothing more
WAIT = 50  # posts until half of the capital is staked
COINS = np.linspace(TOLERATED, 1, 41)[1:-1]  # the alternatives: probabilities of a miss


def bet_on_misses(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Return (..., n) the highest capital so far after each of n posts, 1 at least.

    `below` and `above` (..., n) bool say on which side of its interval each post ended, in the order of the predictions.
    """
    capital = (_capital(below) + _capital(above)) / 2
    return np.maximum.accumulate(np.maximum(1.0, capital), axis=-1)


def _capital(missed: np.ndarray) -> np.ndarray:
    """Return (..., n) the capital of bets on misses of one side.

    Of it, WAIT / ((k + WAIT - 1) (k + WAIT)) is staked on post k and all after it.
    """
    win, loss = COINS / TOLERATED, (1 - COINS) / (1 - TOLERATED)
    staked = np.zeros((*missed.shape[:-1], len(COINS)))
    capital = np.zeros(missed.shape)
    for place in range(missed.shape[-1]):
        new = WAIT / ((place + WAIT) * (place + 1 + WAIT))
        staked = np.minimum((staked + new) * np.where(missed[..., place, None], win, loss), MOST)
        capital[..., place] = staked.mean(axis=-1) + WAIT / (place + 1 + WAIT)
    return capital
