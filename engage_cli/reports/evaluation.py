"""evaluation.html: what an evaluation found, in one file that needs no network, for someone who was not there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from engage_cli.config.general import CLASS_NAMES, LEAKY
from engage_cli.data.targets.target import Target
from engage_cli.evaluation.published import NOT_COMPARABLE, STUDY_MODELS, set_beside
from engage_cli.evaluation.results import Evaluation, Score, Slice
from engage_cli.metrics.descriptions import label_of, say_verdict, words_of, write_factor, write_figure
from engage_cli.metrics.metrics import PRIMARY
from engage_cli.metrics.paired_bootstrap import Comparison
from engage_cli.plots.evaluation import WORDS, draw_evaluation
from engage_cli.plots.slices import group_slices
from engage_cli.reports._examples import ShownPost, choose_posts, count_imageless
from engage_cli.reports._templates import ReadImage, data_uri, open_templates, thumbnail
from engage_cli.runs.names import short_names

MOST_SLICES = 40  # of each kind in a table
BESIDE_PRIMARY = {
    "value": ("spearman", "mae", "coverage_80"),
    "classes": ("accuracy", "ordinal_mae"),
}  # in the tables of slices


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What was asked: a target and a kind, with its runs and baselines."""

    target: str
    kind: str
    unit: str
    fitted: Target | None
    class_names: Sequence[str]
    rows: int
    imageless: int
    runs: list[tuple[Score, list[str], Comparison | None]]  # each with what it means, and beside the best baseline
    scores: list[Score]  # the baselines first
    num_baselines: int
    metrics: list[str]
    comparisons: list[tuple[Comparison, str]]  # with the metric's label


@dataclass(frozen=True, kw_only=True)
class _RunSection:
    """A run's plots, slices and posts."""

    score: Score
    plots: list[tuple[str, str, str, str]]  # name, what it shows, and the image for light and for dark screens
    slice_columns: list[str]
    slices: dict[str, list[Slice]]
    left_out: dict[str, int]  # slices that are not shown
    lists: list[tuple[str, list[tuple[ShownPost, str | None]]]]  # heading; posts, each with its image
    imageless: int


def render_report(
    evaluation: Evaluation, posts: pd.DataFrame, read_image: ReadImage, *, targets: Mapping[str, Target]
) -> str:
    """Return the page. Nothing in it comes from outside the file, and every text of a post is escaped.

    A target that `targets` lacks is shown by its formula alone.
    """
    environment = open_templates()
    environment.filters["figure"] = write_figure
    shown = short_names([one.name for one in (*evaluation.runs, *evaluation.baselines)])
    environment.filters["shown"] = lambda name: shown.get(name, name)
    images: dict[int, str | None] = {}  # several runs show the same posts

    def image(row: int) -> str | None:
        if row not in images:
            images[row] = thumbnail(read_image(row))
        return images[row]

    return environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        tasks=_describe_tasks(evaluation, posts, targets),
        runs=[_describe_run(run, posts, targets.get(run.target), image) for run in evaluation.runs],
        marks=list(dict.fromkeys(mark for mark in evaluation.marks if mark != LEAKY)),
        leaky=[run.name for run in evaluation.runs if run.leaky],
        leaky_words=LEAKY,
        study=STUDY_MODELS,
        beside=set_beside(evaluation),
        not_comparable=NOT_COMPARABLE,
        words_of=words_of,
        say_verdict=say_verdict,
        write_factor=write_factor,
        has_intervals=any(run.intervals for run in evaluation.runs),
        has_bounds=any(one["low"] < one["high"] for run in evaluation.runs for one in run.metrics.values()),
    )


def say_plainly(score: Score) -> list[str]:
    """Say in sentences for everybody how good a score is."""
    values = {name: metric["value"] for name, metric in score.metrics.items()}
    said = []
    if score.kind == "value":
        if "pairwise_accuracy" in values:
            said.append(
                f"It puts the better of two posts first in {100 * values['pairwise_accuracy']:.0f} of 100 pairs; "
                "a guess would in 50."
            )
        if "precision_at_10pct" in values:
            said.append(
                f"Of the tenth of the posts that it ranks highest, {100 * values['precision_at_10pct']:.0f} in 100 truly "
                "belong to the best tenth; a guess would find 10."
            )
        if "r2" in values:
            share = 100 * max(0.0, values["r2"])
            said.append(
                f"It explains {share:.0f} % of the differences between posts."
                if values["r2"] > 0
                else "A constant guess, the mean of these very posts, would have been as good or better."
            )
    elif "accuracy" in values:
        usual = 100 * (values["accuracy"] - values.get("majority_lift", 0.0))
        said.append(
            f"It predicts the right one of five classes for {100 * values['accuracy']:.0f} of 100 posts; "
            f"always predicting the most frequent one would be right for {usual:.0f}."
        )
        if "ordinal_mae" in values:
            said.append(f"On average it is {values['ordinal_mae']:.1f} classes away from the true one.")
    return said


def _describe_tasks(evaluation: Evaluation, posts: pd.DataFrame, targets: Mapping[str, Target]) -> list[_Task]:
    """Describe what was asked: each target and kind once, with its table."""
    found = []
    for target, kind in dict.fromkeys((run.target, run.kind) for run in evaluation.runs):
        own, baselines = (
            [one for one in some if (one.target, one.kind) == (target, kind)]
            for some in (evaluation.runs, evaluation.baselines)
        )
        names = {run.name for run in own}
        comparisons = [one for one in evaluation.comparisons if one.first in names]
        scores = [*baselines, *own]
        found.append(
            _Task(
                target=target,
                kind=kind,
                unit=own[0].unit,
                fitted=targets.get(target),
                class_names=CLASS_NAMES,
                rows=own[0].rows,
                imageless=count_imageless(posts, own[0].places),
                runs=[(run, say_plainly(run), _main_of(run, comparisons, baselines)) for run in own],
                scores=scores,
                num_baselines=len(baselines),
                metrics=list(dict.fromkeys(name for score in scores for name in score.metrics)),
                comparisons=[(one, label_of(one.metric)) for one in comparisons],
            )
        )
    return found


def _main_of(run: Score, comparisons: Sequence[Comparison], baselines: Sequence[Score]) -> Comparison | None:
    """Return the run's comparison with a baseline: evaluation compares with the best one alone."""
    names = {one.name for one in baselines}
    return next((one for one in comparisons if one.first == run.name and one.second in names), None)


def _describe_run(
    run: Score, posts: pd.DataFrame, target: Target | None, image: Callable[[int], str | None]
) -> _RunSection:
    light, dark = (draw_evaluation(run, dark=dark) for dark in (False, True))
    columns = [PRIMARY[run.kind], *BESIDE_PRIMARY[run.kind]]
    groups = group_slices(run.slices)
    return _RunSection(
        score=run,
        plots=[
            (name, WORDS[name], data_uri(light[name], "image/png"), data_uri(dark[name], "image/png")) for name in light
        ],
        slice_columns=[name for name in columns if any(name in one.metrics for one in run.slices)],
        slices={by: some[:MOST_SLICES] for by, some in groups.items()},
        left_out={by: max(0, len(some) - MOST_SLICES) for by, some in groups.items()},
        lists=[
            (some.heading, [(post, image(post.row)) for post in some.posts]) for some in choose_posts(run, posts, target)
        ],
        imageless=count_imageless(posts, run.places),
    )
