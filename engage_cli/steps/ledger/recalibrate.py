"""The intervals of a run are fitted anew on what its recent posts came to: in a new run folder, the old one stays."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.records import file_hash
from engage_cli.ledger.store import Entry, read, read_outcomes
from engage_cli.runs.arrival import arriving, copy_unmarked, mark
from engage_cli.runs.records import Recalibration
from engage_cli.runs.run_folder import MARKER, Run, load_run
from engage_cli.steps.ledger.score import e_value
from engage_cli.uncertainty.conformal import USUAL, Calibration, recalibrate
from engage_cli.uncertainty.coverage_test import ENOUGH
from engage_cli.uncertainty.forecast import load_uncertainty, save_recalibrated

LEAST = 30  # outcomes


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A new run with new intervals, and what its outcomes say of the old ones."""

    run: Run
    outcomes: int  # that the intervals were fitted on
    shift: float  # by which all values moved, in the target's unit
    width: float  # of the 80 % intervals, relative to the old ones
    e_value: float | None  # of the old run's outcomes against "the intervals hold"

    @property
    def train_again(self) -> bool:
        return self.e_value is not None and self.e_value >= ENOUGH


def recalibrate_run(run: Run, ledger: Path, folder: Path, *, last: int) -> Recalibrated:
    """Write a copy of the run into a new folder, its calibration fitted on the `last` predicted posts with an outcome.

    Posts count whose outcomes `engage score` left in the ledger, and which this run predicted, or one of the same model
    with other intervals. Raises EngageError where there are too few, WrongCallError for a run of classes.
    """
    if run.kind != "value":
        raise WrongCallError(f"{run.folder} predicts classes, which have no intervals; name a run of values with --run")
    marker = file_hash(run.folder / MARKER)
    runs, entries = read(ledger)
    earned = read_outcomes(ledger)
    model = run.done.recalibration.model if run.done.recalibration is not None else marker
    known = [one for one in entries if runs[one.run].model == model and one.key in earned]
    old = load_uncertainty(run).calibration
    placed = [(one, *at) for one in known if (at := _place(one, marker, old)) is not None][-last:]
    if len(placed) < LEAST:
        raise EngageError(
            f"{ledger} holds {len(placed):,} outcomes of posts that {run.folder} predicted, and {LEAST - len(placed):,} "
            "more are needed; add them with `engage score`"
        )
    points, spreads = np.array([(point, spread) for _, point, spread in placed], np.float64).T
    came = np.array([earned[one.key] for one, *_ in placed], np.float64)
    new = recalibrate(old, points, spreads, came)
    told = Recalibration(
        of=marker, model=model, outcomes=len(placed), first=placed[0][0].time, last=placed[-1][0].time, shift=new.shift
    )
    with arriving(folder, option="--out") as place:
        copy_unmarked(run, place)
        save_recalibrated(run, place, new)
        mark(place, dataclasses.replace(run.done, recalibration=told))
    return Recalibrated(
        run=load_run(folder),
        outcomes=len(placed),
        shift=new.shift,
        width=new.width(USUAL) / old.width(USUAL),
        e_value=e_value([one for one in entries if one.run == marker], earned),
    )


def _place(entry: Entry, marker: str, calibration: Calibration) -> tuple[float, float] | None:
    """Return the model's own value of an entry and its spread; of an entry that lacks them, by the run's own interval."""
    if entry.point is not None and entry.spread:
        return entry.point, entry.spread
    if entry.run != marker or entry.low is None or entry.high is None:
        return None
    point, spread = calibration.placed(np.array([entry.low]), np.array([entry.high]))
    return float(point[0]), float(spread[0])
