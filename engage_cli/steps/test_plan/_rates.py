"""A run's predictions as click rates of variants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.planning.posterior import Rates, rates_from_differences
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.uncertainty.error_correlation import draw_together

USUAL_RATE = 0.05  # where neither the run nor the user says one
LEVEL_DEVIATION = 0.5  # of the common log rate, where the run does not predict it
MOST_LOG_RATE = float(np.log(0.9))


def rates_of(
    session: InferenceSession, posts: pd.DataFrame, contents: Sequence[bytes | None], rate: float | None
) -> tuple[Rates, float]:
    """Return what the run knows of the variants' log click rates, and the usual rate that they are set beside.

    What two variants differ by is the run's; a run of counts, as of views, says what a click rate is multiplied by.
    """
    target = session.run.target
    _check(session, target)
    predictions = session.predict(posts, contents)
    uncertainty = session.uncertainty
    correlation = uncertainty.correlation.of_variants(uncertainty.points(predictions), len(predictions))
    drawn = draw_together(uncertainty.calibration, predictions, correlation)
    mean = uncertainty.main(predictions)
    level, deviation = np.log(rate or USUAL_RATE), LEVEL_DEVIATION
    if target.formula.per_exposure:
        deviation = float(drawn.mean(axis=1).std())
        if rate is None:
            level = float(mean.mean())
    level = min(float(level), MOST_LOG_RATE)
    variance = np.stack([(drawn - drawn[:, one : one + 1]).var(axis=0) for one in range(len(mean))])
    pairs = np.triu_indices(len(posts), k=1)
    true = uncertainty.true_differences(session.predictor, posts, session.sources.of(contents), predictions, pairs)
    if true is not None and true.variance is not None:
        away = np.zeros((len(posts), len(posts)))
        variance[pairs] = variance[pairs[::-1]] = true.variance
        away[pairs], away[pairs[::-1]] = true.mean, -true.mean
        mean = mean.mean() + away.mean(axis=1)
    return rates_from_differences(mean, variance, level=level, level_deviation=deviation), float(np.exp(level))


def _check(session: InferenceSession, target: Target) -> None:
    """Raise EngageError for a run whose differences are no logarithms of ratios."""
    if session.run.kind != "value" or target.formula.transform == "identity":
        raise EngageError(
            f"{session.run.folder} predicts {target.name} as {session.run.kind}, which cannot be read as percentages of "
            "clicks; name a run of click_rate, views, likes, popularity, rate or relative, as a value, with --run"
        )
