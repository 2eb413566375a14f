"""engage recalibrate."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.places import FinishedRun, LedgerPlace, Output
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.config.settings import setting


@dataclass(frozen=True, kw_only=True)
class RecalibrateOptions:
    last: int = setting(200, "How many outcomes to fit on: those of the most recently predicted posts.", low=30)
    out: Path | None = setting(
        None, "The new run folder. Default: one under --runs, named after the run.", show_default=False
    )


@generated()
def recalibrate(place: FinishedRun, options: RecalibrateOptions, at: LedgerPlace, output: Output) -> None:
    """Fit a run's intervals again on recent outcomes, write a new run, and show whether the model needs a new training.

    The outcomes are those that `engage score` left in the ledger. The old run and its logged answers stay as they are.

    engage recalibrate --run runs/views
    """
    import itertools

    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.ledger.recalibrate import recalibrate_run
    from engage_cli.steps.travel.hub import find_run

    run = find_run(place.run, place.runs, make_reporter())
    stem = f"{run.folder.name.partition('-recalibrated-')[0]}-recalibrated"
    names = (place.runs / f"{stem}-{number}" for number in itertools.count(1))
    folder = options.out if options.out is not None else next(name for name in names if not name.exists())
    found = recalibrate_run(run, at.of(place.runs), folder, last=options.last)
    if output.json:
        print_json(
            {
                "run": str(found.run.folder),
                "of": str(run.folder),
                "outcomes": found.outcomes,
                "shift": found.shift,
                "width": found.width,
                "e_value": found.e_value,
                "train_again": found.train_again,
            }
        )
        return
    print_line(f"{found.run.folder}: intervals fitted on {found.outcomes:,} outcomes")
    print_line(f"  all predictions move by {found.shift:+.3f}; the intervals are {found.width:.2f} times as wide")
    if found.e_value is not None:
        print_line(f"  e-value {found.e_value:.3g} against the old intervals (20 or more: they missed too often)")
    if found.train_again:
        print_line("Train again with the newer posts: the posts are no longer like those that the model learned from.")
    print_line(f'Next: engage predict cover.jpg --title "One title" --log --run {shlex.quote(str(found.run.folder))}')
