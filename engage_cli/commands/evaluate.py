"""engage evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engage_cli.commands.options import DEFAULT_DATA, DEFAULT_RUNS, DataOpt, JsonOpt, RunsOpt
from engage_cli.commands.output import print_json, print_line, print_table
from engage_cli.core.config import LEAKY

if TYPE_CHECKING:
    from engage_cli.core.scores import Evaluation, Score


def evaluate(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders. Without: the newest one.")
    ] = None,
    data: DataOpt = DEFAULT_DATA,
    runs_dir: RunsOpt = DEFAULT_RUNS,
    split: Annotated[str, typer.Option("--split", help="Which posts are predicted: test or validation.")] = "test",
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Bootstrap resamples behind the 95 % intervals; 0 for none.")
    ] = 500,
    json: JsonOpt = False,
) -> None:
    """Score runs on the test split, beside baselines fitted on the same training rows.

    engage evaluate runs/regressor-views runs/catboost-views

    engage evaluate runs/* --json
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.evaluate import evaluate as run_step

    evaluation = run_step(
        runs or [],
        dataset=load_dataset(data),
        runs_dir=runs_dir,
        split=split,
        num_resamples=resamples,
        reporter=make_reporter(),
    )
    if json:
        print_json(evaluation.to_json())
        return
    _show(evaluation, with_intervals=resamples > 0)


# How a metric is called where a column is narrow.
HEADERS = {
    "pairwise_accuracy": "pairs",
    "precision_at_10pct": "top 10 %",
    "majority_lift": "lift",
    "macro_f1": "macro f1",
    "ordinal_mae": "class mae",
}
# What fits 80 columns, the primary metric first; --json has every one.
SHOWN = {
    "value": ("r2", "spearman", "pairwise_accuracy", "precision_at_10pct", "mae"),
    "classes": ("kappa", "accuracy", "majority_lift", "macro_f1", "ordinal_mae", "ece"),
}
RECALL = "recall_"
NEEDED = 3  # columns that are shown however narrow the terminal: the name, the primary metric, its interval


def _show(evaluation: Evaluation, *, with_intervals: bool) -> None:
    for target, kind in dict.fromkeys((score.target, score.kind) for score in evaluation.runs):
        scores = [s for s in (*evaluation.baselines, *evaluation.runs) if (s.target, s.kind) == (target, kind)]
        metrics = list(SHOWN[kind])
        title = f"{target} as {kind}: {scores[0].rows:,} {evaluation.split} posts"
        columns = ["", *(HEADERS.get(name, name) for name in metrics)]
        if with_intervals:
            columns.insert(2, "95 %")
        print_table(title, columns, [_row(score, metrics, with_intervals) for score in scores], needed=NEEDED)
        recalls = [name for name in scores[0].metrics if name.startswith(RECALL)]
        if recalls:
            columns = ["", *(name.removeprefix(RECALL).replace("_", " ") for name in recalls)]
            print_table("Recall of each class", columns, [_row(score, recalls, False) for score in scores])
    for comparison in evaluation.comparisons:
        verdict = comparison.verdict.replace(comparison.second, _short(comparison.second))
        print_line(f"{_short(comparison.first)}: {verdict}")
    if evaluation.comparisons:
        print_line("")
    for mark in evaluation.marks:
        print_line(f"mark: {mark}")
    for score in evaluation.runs:
        if score.leaky:
            print_line(f"{score.name}: {LEAKY}")
    if with_intervals:
        print_line("95 %: bootstrap interval of the first metric; --json has every one. Differences: paired bootstrap.")
    print_line("Baselines were fitted on the same training posts.\n\nNext: engage predict IMAGE --title ...")


def _row(score: Score, metrics: list[str], with_intervals: bool) -> list[str]:
    cells = [_short(score.name) + (" LEAKY" if score.leaky else "")]
    for name in metrics:
        cells.append(f"{score.metrics[name]['value']:.3f}")
    if with_intervals:
        first = score.metrics[metrics[0]]
        cells.insert(2, f"{first['low']:.2f} to {first['high']:.2f}")
    return cells


def _short(name: str) -> str:
    return name.removeprefix(f"{DEFAULT_RUNS}/")
