"""Run folders: run.json begins one, metrics.json is written last; only a folder that has both is a finished run.

metrics.json, the marker, holds the hash of every file that answers depend on, of members their markers. Each file is
verified when it is opened.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engage_cli.data.schema import side_of
from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError
from engage_cli.io.records import check_file, hash_files
from engage_cli.near_names import did_you_mean_path
from engage_cli.runs._below import suggest_runs
from engage_cli.runs.records import (
    AGAIN,
    RunMeta,
    RunMetrics,
    TestFigures,
    read_run_record,
)

FIRST, TARGET_FILE, MARKER, TEST_FILE = "run.json", "target.json", "metrics.json", "test.json"
MEMBERS = "members"  # of an ensemble: the folder of their run folders
META_KIND, TARGET_KIND, METRICS_KIND, TEST_KIND = "run", "run target", "run metrics", "run test"


@dataclass(frozen=True)
class Run:
    """A finished run; one that is trained and not finished has no metrics yet, and its files are not verified."""

    folder: Path
    meta: RunMeta
    target: Target
    metrics: RunMetrics | None = None

    @property
    def kind(self) -> str:
        return self.meta.kind

    @property
    def marks(self) -> tuple[str, ...]:
        """What makes its figures incomparable with honest ones."""
        return self.meta.marks

    @property
    def leaky(self) -> bool:
        return self.meta.leaky

    @property
    def done(self) -> RunMetrics:
        """The metrics of a finished run."""
        assert self.metrics is not None, f"{self.folder} is not finished"
        return self.metrics

    def open(self, name: str) -> Path:
        """Return the path of a file that answers depend on; raise EngageError where it is not the one that was written."""
        path = self.folder / name
        if self.metrics is not None:
            return check_file(path, self.metrics.files.get(name), again=AGAIN)
        if not path.is_file() or path.is_symlink():
            raise EngageError(f"{path} is missing; {AGAIN}")
        return path

    @cached_property
    def members(self) -> list[Run]:
        """The runs that an ensemble weighs; a run of its own is its only member."""
        return [self._member(name) for name in self.meta.members] if self.meta.is_ensemble else [self]

    def _member(self, name: str) -> Run:
        place = self.folder / MEMBERS / name
        if place.is_symlink() or place.parent.is_symlink():
            raise EngageError(f"{place} is a link, not a member of this run; {AGAIN}")
        if self.metrics is not None:
            check_file(place / MARKER, self.metrics.files.get(f"{MEMBERS}/{name}/{MARKER}"), again=AGAIN)
        found = load_run(place)
        if found.meta.is_ensemble:
            raise EngageError(f"{place / FIRST}: model: an ensemble cannot contain an ensemble; {AGAIN}")
        # Levels and percentiles are the ensemble's: of a member that learned from others' posts they may be other ones.
        same = found.kind == self.kind and (found.target.name, found.target.formula) == (
            self.target.name,
            self.target.formula,
        )
        if not same or (self.kind == "classes" and found.target != self.target):
            raise EngageError(f"{place} predicts another target or kind than its ensemble {self.folder}; {AGAIN}")
        return found


def load_run(folder: Path) -> Run:
    """Open a finished run; raise EngageError for anything else."""
    if not os.path.lexists(folder / FIRST):
        raise EngageError(
            f"{folder} is not a run folder: it has no {FIRST}; give the folder that a train command wrote, as in runs/NAME"
            f"{'' if folder.exists() else did_you_mean_path(folder, folder=True)}"
        )
    if not os.path.lexists(folder / MARKER):
        command = read_run_record(folder / FIRST, RunMeta, META_KIND).command
        raise EngageError(f"the run {folder} did not finish; give its `engage {command}` command again to continue it")
    metrics = read_run_record(folder / MARKER, RunMetrics, METRICS_KIND)
    for name in (FIRST, TARGET_FILE):
        check_file(folder / name, metrics.files.get(name), again=AGAIN)
    meta = read_run_record(folder / FIRST, RunMeta, META_KIND)
    if meta.is_ensemble != bool(meta.members):
        raise EngageError(f"{folder / FIRST}: members: a '{meta.model}' run cannot have {len(meta.members)}; {AGAIN}")
    sides = {side_of(block) for block in (*meta.blocks, *meta.dims)}
    if not sides <= set(meta.encoders) or any(side != encoder.side for side, encoder in meta.encoders.items()):
        raise EngageError(f"{folder / FIRST}: the encoders do not match its blocks; {AGAIN}")
    return Run(folder, meta, read_run_record(folder / TARGET_FILE, Target, TARGET_KIND), metrics)


@contextlib.contextmanager
def blaming(path: Path, field: str) -> Iterator[None]:
    """Say that a field of a file is the cause of what goes wrong while something is made from it."""
    try:
        yield
    except (EngageError, ValueError, LookupError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise EngageError(f"{path}: {field}: {str(error).rstrip('.')[:300] or type(error).__name__}; {AGAIN}") from None


def verify_run(folder: Path) -> Run:
    """Verify all files of a finished run, its members' too; raise EngageError that names the first that is damaged."""
    run = load_run(folder)
    for one in dict.fromkeys([folder, *(member.folder for member in run.members)]):
        found = run if one == folder else load_run(one)
        for name in found.done.files:
            found.open(name)
        read_test(found)
    return run


def read_test(run: Run) -> TestFigures | None:
    """Return the figures that `engage evaluate` left in a run's folder; None where there are none of this very run."""
    path = run.folder / TEST_FILE
    if not os.path.lexists(path):
        return None
    found = read_run_record(path, TestFigures, TEST_KIND)
    return found if found.of == hash_files(run.folder, [MARKER])[MARKER] else None


def named_or_newest(folder: Path | None, runs_dir: Path, say: Callable[[str], None]) -> Run:
    """Open the named run; without a name the newest finished one under `runs_dir`, and say which that is."""
    if folder is not None:
        return load_run(folder)
    run = newest_run(runs_dir)
    say(f"run: {run.folder} (the newest finished one)")
    return run


def newest_run(runs_dir: Path) -> Run:
    """Return the run under `runs_dir` that finished last."""
    markers = sorted(runs_dir.glob(f"*/{MARKER}"), key=lambda path: path.lstat().st_mtime_ns)
    if not markers:
        unfinished = len(list(runs_dir.glob(f"*/{FIRST}")))
        there = f"{unfinished} unfinished" if unfinished else "none"
        do = suggest_runs(MARKER, MEMBERS) or "create one with `engage train`, or name the folder with --runs"
        raise EngageError(f"no finished run under {runs_dir} ({there}); {do}")
    return load_run(markers[-1].parent)
