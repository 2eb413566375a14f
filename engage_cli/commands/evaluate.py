"""engage evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engage_cli.commands.options import DEFAULT_DATA, DEFAULT_RUNS, DataOpt, JsonOpt, RunsOpt
from engage_cli.commands.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from engage_cli.steps.evaluate import Evaluation, Score


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


def _show(evaluation: Evaluation, *, with_intervals: bool) -> None:
    tasks = dict.fromkeys((score.target, score.kind) for score in evaluation.runs)
    for target, kind in tasks:
        baselines = [s for s in evaluation.baselines if (s.target, s.kind) == (target, kind)]
        runs = [s for s in evaluation.runs if (s.target, s.kind) == (target, kind)]
        columns = [*baselines, *runs]
        # Metrics down, runs across: eleven columns of numbers fit no terminal.
        rows = [(metric, *(_cell(score, metric, with_intervals) for score in columns)) for metric in columns[0].metrics]
        title = f"{target} as {kind}: {columns[0].rows:,} {evaluation.split} posts"
        print_table(title, ("", *(_name(score) for score in columns)), rows)
        print_line("")
    note = "Brackets: 95 % bootstrap interval. " if with_intervals else ""
    print_line(f"{note}Baselines were fitted on the same training posts. Next: engage predict IMAGE --title ...")


def _name(score: Score) -> str:
    return score.name.removeprefix(f"{DEFAULT_RUNS}/") + (" LEAKY" if score.leaky else "")


def _cell(score: Score, metric: str, with_intervals: bool) -> str:
    found = score.metrics[metric]
    if not with_intervals:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
