"""What a run's figures rest on, and the warnings for each of its answers: too few posts, no better than a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from engage_cli.io.written_numbers import count_of
from engage_cli.metrics.descriptions import label_of, write_figure
from engage_cli.metrics.metrics import PRIMARY, bootstrap_metrics
from engage_cli.metrics.paired_bootstrap import LEAST_FOR_VERDICT
from engage_cli.runs.records import Evidence
from engage_cli.runs.run_folder import Run

if TYPE_CHECKING:
    from engage_cli.evaluation.results import Score

ENOUGH_VALIDATION = 50  # posts: of fewer, every post is predicted in turn
LEAST_FOR_RANGE = 9  # held-out posts, for an interval of 80 of 100
NUM_RESAMPLES = 500
ON_VALIDATION = "validation posts"  # how posts were held out where they suffice
HELPS = "aim for several hundred posts"
COIN_TOSS = "treat this as a coin toss"
TOSSED = 0.5  # of pairs are in the right order by chance


def weigh_evidence(
    kind: str, true: np.ndarray, predicted: np.ndarray, *, posts: int, method: str, called: str | None = None
) -> Evidence:
    """Score predictions (n,) or (n, 5) of held-out posts, with an interval where they are enough for one.

    `called` is the metric's name where it is that of other numbers than the posts' own, as of differences.
    """
    enough = len(true) >= LEAST_FOR_VERDICT
    metric = PRIMARY[kind]
    found = bootstrap_metrics(kind, true, predicted, num_resamples=NUM_RESAMPLES if enough else 0, names=(metric,))[metric]
    return Evidence(
        posts=posts,
        held_out=len(true),
        method=method,
        metric=called or metric,
        value=found["value"],
        low=found["low"] if enough else None,
        high=found["high"] if enough else None,
    )


def warnings_of(run: Run) -> list[str]:
    """Return the warnings for every answer of a run, in sentences; none for a run that is shown to be good."""
    return [] if run.done.evidence is None else list_warnings(run.done.evidence)


def list_warnings(found: Evidence) -> list[str]:
    """Say what these figures do not show."""
    posts = count_of(found.posts)
    if found.held_out < LEAST_FOR_RANGE:
        return [f"{posts}: no interval can be computed; {COIN_TOSS}; {HELPS}"]
    label = label_of(found.metric)
    said = []
    if found.low is None or found.high is None:
        tested = f"{count_of(found.held_out)} held out from training are too few to show it"
        said.append(f"{posts}: the run is not shown to be better than a guess ({tested}); {COIN_TOSS}; {HELPS}")
    elif not found.is_better_than_guess:
        bounds = f"{write_figure(found.low)} to {write_figure(found.high)}"
        said.append(
            f"{posts}: the run is not shown to be better than a guess (on {count_of(found.held_out)} that it had not "
            f"seen {label} is {write_figure(found.value)}, interval {bounds}; a guess has 0); {COIN_TOSS}; {HELPS}"
        )
    elif found.method != ON_VALIDATION:
        said.append(f"{posts} to train on are few: intervals are wide, and figures may change much with more; {HELPS}")
    return said


def score_warnings(metric: str, found: Mapping[str, float], rows: int, split: str) -> list[str]:
    """Say where the posts of an evaluation do not show a score to be better than a guess."""
    where = count_of(rows, f"{split} post")
    if rows < LEAST_FOR_VERDICT:
        return [f"{where}: too few to show whether it is better than a guess; that takes at least {LEAST_FOR_VERDICT}"]
    if found["low"] > 0 or found["low"] == found["high"]:
        return []
    return [
        f"{where}: the run is not shown to be better than a guess, because the interval of {label_of(metric)} reaches 0"
    ]


def warnings_of_few(tested: Score, crossed: Score) -> tuple[str, ...]:
    """Say what few test posts show together with those that cross-validation predicted."""
    if crossed.warnings:
        return (*tested.warnings, *crossed.warnings)
    metric = PRIMARY[crossed.kind]
    found = crossed.metrics[metric]
    alone = f"{count_of(tested.rows, 'test post')} alone are too few to judge it (that takes {LEAST_FOR_VERDICT})"
    figure = f"{label_of(metric)} is {write_figure(found['value'])}"
    if found["low"] < found["high"]:
        figure += f" (95 %: {write_figure(found['low'])} to {write_figure(found['high'])}), better than a guess"
    return (f"{alone}; on {count_of(crossed.rows)}, each predicted by models trained without it, {figure}",)


def variant_warnings(found: Mapping[str, float], pairs: int, split: str) -> list[str]:
    """Say where the pairs of an evaluation do not show that a run tells variants apart; `found` is of variant_pairs."""
    if found["low"] > TOSSED or found["low"] == found["high"]:
        return []
    return [
        f"{pairs:,} {split} pairs of variants: it is not shown to be better than a guess, because the "
        f"interval of {label_of('variant_pairs')} reaches {TOSSED}"
    ]


def warn_of_few(rows: Mapping[str, int]) -> list[str]:
    """Say what so few posts of each part mean, before anything is trained."""
    train, validation, test = (rows[part] for part in ("train", "validation", "test"))
    said = []
    if train + validation < LEAST_FOR_VERDICT:
        said.append(f"{count_of(train + validation)} to learn from: {COIN_TOSS}, whatever is trained on them; {HELPS}")
    elif validation < ENOUGH_VALIDATION:
        said.append(
            f"{count_of(train + validation)} to learn from are few: weights and intervals will come from cross-validation, "
            f"which takes longer, and may show nothing better than a guess; {HELPS}"
        )
    if test < LEAST_FOR_VERDICT:
        said.append(f"{count_of(test)} to test on: too few to tell which of two models is better; {HELPS}")
    return said
