"""engage evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_cli.commands.evaluate_output import show_evaluation
from engage_cli.commands.next_step import after_evaluate
from engage_cli.commands.options import DEFAULT_DATA, DEFAULT_RUNS, SLICE_NAMES, DataOpt, JsonOpt, RunsOpt
from engage_cli.commands.output import print_json, print_line
from engage_cli.core.errors import WrongCallError


def evaluate(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders. Without: the newest one.")
    ] = None,
    data: DataOpt = DEFAULT_DATA,
    runs_dir: RunsOpt = DEFAULT_RUNS,
    split: Annotated[str, typer.Option("--split", help="Which posts are predicted: test or validation.")] = "test",
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help=f"Also score groups of posts: by {', '.join(SLICE_NAMES)}, or a column kept by prepare; several times.",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option("--resamples", min=0, help="Bootstrap resamples behind the 95 % intervals; 0 for none.")
    ] = 500,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Where the page is written. Without: report.html in the run's folder, or in --runs."),
    ] = None,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write nothing: no page, and no plots and model card in the runs.")
    ] = False,
    stack: Annotated[
        bool, typer.Option("--stack", help="Also weigh the runs together, and store the ensemble as a run of its own.")
    ] = False,
    run: Annotated[
        Path | None, typer.Option("--run", help="Of --stack: the ensemble's folder. Without it: a new one under --runs.")
    ] = None,
    json: JsonOpt = False,
) -> None:
    """Score runs on the test split, beside baselines fitted on the same training rows.

    engage evaluate runs/regressor-views runs/catboost-views --by tag

    engage evaluate runs/regressor-views runs/catboost-views --stack --run runs/both

    engage evaluate runs/* --json --no-report
    """
    if run is not None and not stack:
        raise WrongCallError("--run names the ensemble of --stack; the runs to score are named without an option")
    if report is not None and no_report:
        raise WrongCallError("--report and --no-report: give one of the two")
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.core.runs import newest_run
    from engage_cli.steps.evaluate import evaluate as run_step
    from engage_cli.steps.evaluate import finished_among

    reporter, dataset = make_reporter(), load_dataset(data)
    folders = finished_among(runs or [], reporter)
    if stack:
        from engage_cli.steps.stack import stack as stack_step

        folders.append(stack_step(folders, dataset=dataset, run=run, runs_dir=runs_dir, reporter=reporter).folder)
    folders = folders or [newest_run(runs_dir).folder]
    place = None
    if not no_report:
        from engage_cli.steps.report import place_report, write_report

        place = place_report(report, folders, split=split, runs_dir=runs_dir)
    evaluation = run_step(
        folders,
        dataset=dataset,
        runs_dir=runs_dir,
        split=split,
        by=by or [],
        num_resamples=resamples,
        reporter=reporter,
    )
    written: list[Path] = []
    try:
        if place is not None:
            written = write_report(evaluation, dataset=dataset, report=place, reporter=reporter)
    finally:  # what was measured is told, also where the page cannot be written
        if json:
            print_json({**evaluation.to_json(), "written": [str(path) for path in written]})
        else:
            if stack:
                print_line(f"The ensemble is {folders[-1]}.\n")
            next_command = after_evaluate(evaluation, dataset, runs_dir)
            show_evaluation(evaluation, written, next_command, with_intervals=resamples > 0)
