"""An evaluation's plots as PNG, for light and for dark paper. The same score gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from engage_cli.evaluation.results import Score
from engage_cli.io.files import atomic_write, sweep_dead
from engage_cli.io.own_folders import fits, own_run, plain_files, remove_plain
from engage_cli.plots._classification import make_confusion_figure, make_reliability_figure
from engage_cli.plots._regression import LEVELS, make_coverage_figure, make_misses_figure, make_predicted_figure
from engage_cli.plots._style import DARK, LIGHT, Palette, png_of
from engage_cli.plots._variants import make_variants_figure
from engage_cli.plots.slices import drawn_slices, make_slices_figure

Make = Callable[[Score, Palette], Figure]
PREFIX = "evaluation-"
# What each shows, for someone who does not see it.
WORDS = {
    "predicted": "Each post's prediction against its truth; a perfect prediction lies on the line.",
    "misses": "How far the true value lay from the prediction, by prediction: above 0 a post did better than predicted.",
    "coverage": "How often the true value lies inside the 80 % and the 95 % interval: it should be on the dashed lines.",
    "confusion": "How many posts of each true class (a row) are predicted as each class (a column); stronger: more.",
    "reliability": "How often the predicted class is right, by its predicted probability.",
    "variants": "How often the counts show one variant of a post ahead of another, by the predicted chance.",
    "slices": "The score on part of the posts at a time, with its 95 % interval.",
}


def draw_evaluation(score: Score, *, dark: bool) -> dict[str, bytes]:
    """Return name -> PNG; the names are among those of WORDS."""
    palette = DARK if dark else LIGHT
    return {name: png_of(make(score, palette)) for name, make in figures_of(score).items()}


def figures_of(score: Score) -> dict[str, Make]:
    """Return what can be drawn of a score."""
    if score.kind == "value":
        makers: dict[str, Make] = {"predicted": make_predicted_figure, "misses": make_misses_figure}
        if any(level in score.intervals for level in LEVELS):
            makers["coverage"] = make_coverage_figure
    else:
        makers = {"confusion": make_confusion_figure, "reliability": make_reliability_figure}
    if score.experiments is not None and score.experiments.chances is not None and score.experiments.pairs:
        makers["variants"] = make_variants_figure
    if drawn_slices(score):
        makers["slices"] = make_slices_figure
    return makers


def write_plots(folder: Path, score: Score) -> list[Path]:
    """Write folder/plots/evaluation-NAME.png, each whole or not at all; what an earlier evaluation drew besides goes."""
    drawn = draw_evaluation(score, dark=False)
    sweep_dead(folder / "plots", *(f"{PREFIX}{name}.png" for name in WORDS))
    own = own_run(folder)
    paths = [own.place("plots", f"{PREFIX}{name}.png") for name in drawn]
    for path, data in zip(paths, drawn.values(), strict=True):
        with atomic_write(path) as beside:
            beside.write_bytes(data)
    for old in plain_files(folder / "plots"):
        if old not in paths and fits(old.name, f"{PREFIX}*.png"):
            remove_plain(old)
    return paths
