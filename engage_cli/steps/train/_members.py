"""Train several models of one target, one after another, and weigh them to one run; a killed training goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.files import remove_tree
from engage_cli.io.own_folders import own_run
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.lifecycle import clear_stage, open_run
from engage_cli.runs.records import RunMeta
from engage_cli.runs.run_folder import MARKER, MEMBERS, load_run
from engage_cli.steps.train.ensemble import weigh
from engage_cli.steps.train.neural import TrainSummary

Train = Callable[..., TrainSummary]


def train_members(
    members: Mapping[str, Train],
    meta: RunMeta,
    *,
    target: Target,
    dataset: Dataset,
    run: Path | None,
    runs_dir: Path,
    reporter: Reporter,
    is_equal: bool = False,
) -> TrainSummary:
    """Each member is called with run=, its folder; `meta` names them.

    `is_equal`: all members count alike, and no weight is fitted.
    """
    with open_run(run, runs_dir, meta=meta, target=target, say=reporter.say) as (folder, goes_on):
        if not goes_on:
            clear_stage(folder)
        then = "their mean" if is_equal else "their weights"
        reporter.say(f"{'continuing' if goes_on else 'training'} {folder}: {', '.join(members)}, then {then}")
        started = time.monotonic()
        warnings = list(dataset.marks)
        for number, (name, train) in enumerate(members.items(), start=1):
            place = own_run(folder).place(MEMBERS, name)
            if (place / MARKER).is_file():
                load_run(place)
                continue
            reporter.say(f"{number} of {len(members)}: {name}")
            try:
                summary = train(run=place)
            except EngageError:
                if not any(entry.is_dir() for entry in place.parent.glob("*")):  # a member was locked, and none begun
                    remove_tree(place.parent)  # open_run clears the rest
                raise
            warnings += [f"{name}: {warning}" for warning in summary.warnings if warning not in dataset.marks]
        finished = weigh(folder, meta, target, dataset, reporter, started=started, is_equal=is_equal)
    return TrainSummary(run=finished, went_on=goes_on, warnings=tuple(warnings))
