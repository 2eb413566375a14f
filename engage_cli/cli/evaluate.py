"""engage evaluate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DEFAULT_DATA, DataPlace, Output, RunsPlace
from engage_cli.cli.render.evaluate import show_evaluation
from engage_cli.cli.render.next_step import after_evaluate
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.config.settings import setting
from engage_cli.errors import WrongCallError


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    folders: list[Path] | None = setting(None, "Run folders. Default: the newest run.", argument="[RUN]...")
    split: str = setting("test", "Which posts to score: test or validation.")
    by: list[str] | None = setting(
        None,
        "Also score groups of posts, by one of these names or by a column kept by prepare. May be given several times.",
        table="engage_cli.evaluation.slice_names:SLICES",
        is_open=True,
    )
    resamples: int = setting(
        500, "How often to draw the test posts again (bootstrap) for the 95 % intervals; 0 leaves them out.", low=0
    )
    report: Path | None = setting(
        None,
        "Where to write the page. Default: report.html in the run's folder, or in --runs for several runs.",
        show_default=False,
    )
    no_report: bool = setting(
        False, "Write nothing: no page, and no plots and model card in the runs.", flags=("--no-report",)
    )
    ensemble: bool = setting(
        False,
        "Also combine the runs into an ensemble, and store it as a run of its own.",
        flags=("--ensemble",),
        former_flags=("--stack",),
    )
    run: Path | None = setting(
        None, "With --ensemble: the folder of the ensemble. Default: a new one under --runs.", show_default=False
    )


@generated()
def evaluate(options: EvaluateOptions, at: DataPlace, place: RunsPlace, output: Output) -> None:
    """Score runs on the test split, beside baselines fitted on the same training rows.

    engage evaluate runs/regressor-views runs/catboost-views --by tag

    engage evaluate runs/regressor-views runs/catboost-views --ensemble --run runs/both

    engage evaluate runs/* --json --no-report
    """
    if options.run is not None and not options.ensemble:
        raise WrongCallError(
            "--run names the folder of a new ensemble and needs --ensemble; to score runs, name them without --run"
        )
    if options.report is not None and options.no_report:
        raise WrongCallError("--report and --no-report exclude each other; give one")
    from engage_cli.data.dataset import load_dataset
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.runs.run_folder import named_or_newest
    from engage_cli.steps.evaluate import evaluate as run_step
    from engage_cli.steps.evaluate import finished_among
    from engage_cli.steps.evaluate.data_folder import open_data

    reporter = make_reporter()
    named = None if at.data == DEFAULT_DATA else load_dataset(at.data)  # report a wrong one first
    folders = finished_among(options.folders or [], reporter)
    if not folders and not options.ensemble:
        folders = [named_or_newest(None, place.runs, reporter.say).folder]
    dataset = named or open_data(at.data, run=folders[0] if folders else None, say=reporter.say)
    if options.ensemble:
        from engage_cli.steps.train.ensemble import combine

        folders.append(combine(folders, dataset=dataset, run=options.run, runs_dir=place.runs, reporter=reporter).folder)
    page = None
    if not options.no_report:
        from engage_cli.steps.evaluate.report import place_report, write_report

        page = place_report(options.report, folders, split=options.split, runs_dir=place.runs)
    evaluation = run_step(
        folders,
        dataset=dataset,
        split=options.split,
        by=options.by or [],
        num_resamples=options.resamples,
        reporter=reporter,
    )
    written: list[Path] = []
    try:
        if page is not None:
            written = write_report(evaluation, dataset=dataset, report=page, reporter=reporter)
    finally:  # show what was measured, even if the page cannot be written
        if output.json:
            print_json({**evaluation.to_json(), "written": [str(path) for path in written]})
        else:
            if options.ensemble:
                print_line(f"The ensemble is {folders[-1]}.\n")
            next_command = after_evaluate(evaluation, place.runs)
            show_evaluation(evaluation, written, next_command, with_intervals=options.resamples > 0)
