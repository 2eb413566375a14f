"""Plot of a run's experiments: whether the chance that one variant beats another comes true."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from engage_cli.evaluation.experiments import ECE, NUM_BINS
from engage_cli.evaluation.reliability import Proportion
from engage_cli.evaluation.results import ExperimentScore, Score
from engage_cli.plots._layout import make_frame
from engage_cli.plots._reliability import draw_reliability
from engage_cli.plots._style import Palette


def reliability_of_variants(found: ExperimentScore) -> list[tuple[float, Proportion]]:
    """Return the mean chance and how often it came true, in ten bins; of an odd number of ties half a win is dropped."""
    assert found.chances is not None
    assert found.wins is not None
    bins = np.minimum((found.chances * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return [
        (
            float(found.chances[bins == place].mean()),
            Proportion(name=f"{place}", hits=int(found.wins[bins == place].sum()), rows=int((bins == place).sum())),
        )
        for place in np.unique(bins)
    ]


def make_variants_figure(score: Score, palette: Palette) -> Figure:
    """How often the counts show a variant ahead, by the chance that was given; below, how many pairs have such a one."""
    assert score.experiments is not None
    found = reliability_of_variants(score.experiments)
    error = score.metrics[ECE]["value"]
    figure = make_frame(score, f"Chance that a variant beats another: calibration error {error:.3f}", 4.6, palette)
    places = [int(one.name) for _, one in found]
    draw_reliability(
        figure,
        found,
        places,
        NUM_BINS,
        palette,
        given="chance that the counts show it",
        true="the counts show it",
        counted="pairs",
    )
    return figure
