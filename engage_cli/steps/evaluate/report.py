"""What an evaluation leaves behind: a page for people, and plots and a model card in each run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from engage_cli.data.dataset import Dataset
from engage_cli.errors import WrongCallError
from engage_cli.evaluation.results import Evaluation, Score
from engage_cli.images.decode import read_same
from engage_cli.io.files import sweep_dead, write_text
from engage_cli.io.own_folders import refuse_link
from engage_cli.io.records import file_hash
from engage_cli.plots.evaluation import write_plots
from engage_cli.progress.reporters import Reporter
from engage_cli.reports.evaluation import render_report
from engage_cli.reports.model_card import render_card
from engage_cli.runs.records import CrossValidatedFigures, SliceFigures, TestFigures, write_run_record
from engage_cli.runs.run_folder import MARKER, TEST_FILE, TEST_KIND, Run, load_run

CARD_FILE, REPORT_FILE = "README.md", "report.html"


def place_report(report: Path | None, folders: Sequence[Path], *, split: str, runs_dir: Path) -> Path:
    """Return where the page goes: as it is named, into the only run's folder, or beside the folders of several."""
    if report is not None:
        if report.is_dir() or report.suffix.lower() not in (".html", ".htm"):
            raise WrongCallError(f"--report {report}: name an .html file")
        refuse_link(report)
        return report
    name = REPORT_FILE if split == "test" else f"report-{split}.html"
    if len(folders) == 1:
        return folders[0] / name
    parents = {folder.parent.resolve() for folder in folders}
    return (folders[0].parent if len(parents) == 1 else runs_dir) / name


def write_report(evaluation: Evaluation, *, dataset: Dataset, report: Path, reporter: Reporter) -> list[Path]:
    """Write the page and, of the test split, each run's plots and card; return the files that people read."""
    runs = [load_run(Path(score.name)) for score in evaluation.runs]
    written = [report]
    sweep_dead(report.parent, report.name)
    for run in runs:
        sweep_dead(run.folder, CARD_FILE, TEST_FILE)
    with reporter.stage("writing the report", 1 + len(runs)) as stage:
        images = _Images(dataset)
        targets = {run.target.name: run.target for run in runs}
        crossed = {score.name: score for score in evaluation.cross_validated}
        write_text(report, render_report(evaluation, dataset.posts, images.read, targets=targets))
        stage.advance(note=str(report))
        for run, score in zip(runs, evaluation.runs, strict=True):
            if evaluation.split == "test":  # the card of a run tells its test figures, and no others
                write_plots(run.folder, score)
                same = [one for one in evaluation.baselines if (one.target, one.kind) == (score.target, score.kind)]
                names = [one.name for one in same]
                card = render_card(
                    {name: value for name, value in dataclasses.asdict(run.meta).items() if value not in ({}, [], (), "")},
                    run.target,
                    score,
                    same,
                    [one for one in evaluation.comparisons if one.first == score.name and one.second in names],
                    split=evaluation.split,
                    marks=run.marks,
                    leaky=run.leaky,
                    data=dataset.meta,
                )
                write_text(run.folder / CARD_FILE, card)
                write_run_record(run.folder / TEST_FILE, _figures_of(run, score, crossed.get(score.name)), TEST_KIND)
                written.append(run.folder / CARD_FILE)
            stage.advance()
    return written


def _figures_of(run: Run, score: Score, crossed: Score | None) -> TestFigures:
    return TestFigures(
        of=file_hash(run.folder / MARKER),
        run=score.name,
        kind=run.meta.kind,
        target=score.target,
        rows=score.rows,
        leaky=score.leaky,
        metrics=score.metrics,
        slices=tuple(SliceFigures(**one.to_json()) for one in score.slices),
        cross_validated=None if crossed is None else CrossValidatedFigures(rows=crossed.rows, metrics=crossed.metrics),
    )


class _Images:
    """The covers of a data folder's posts, by row."""

    def __init__(self, dataset: Dataset) -> None:
        self.posts = dataset.posts
        self.roots = {source: dataset.images_of(source) for source in self.posts["source"].unique()}

    def read(self, row: int) -> bytes | None:
        """Return a post's cover; None where it is not what `prepare` saw: the page shows the post without it."""
        post = self.posts.iloc[row]
        return read_same(self.roots[post["source"]], str(post["image"]), str(post["image_hash"]))
