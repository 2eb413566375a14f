"""A tracker follows a training: its parameters first, each epoch, its figures and plots at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engage_cli.errors import EngageError
from engage_cli.progress.reporters import Reporter, Stage
from engage_cli.progress.training import TrainingView
from engage_cli.runs.run_folder import Run
from engage_cli.tracking import TRACKERS

PROJECT = "engage"
NONE = "none"


class Tracker(Protocol):
    """What one tool receives of one training."""

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Begin a run called `name`; raise EngageError where the tool is not installed or cannot write."""

    def log(self, figures: Mapping[str, float], *, step: int) -> None:
        """Take note of an epoch, `step`."""

    def finish(self, figures: Mapping[str, float], tags: Mapping[str, str], plots: Sequence[Path]) -> None:
        """Take note of how it ended, and close."""

    def fail(self) -> None:
        """Close a run that did not end well."""


class _Patient:
    """A tracker whose failure is reported once, and ends the tracking and not the training."""

    def __init__(self, tracker: Tracker | None, say: Callable[[str], None]) -> None:
        self.tracker, self.say = tracker, say

    def tell(self, what: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            what(self.tracker)
        except EngageError as error:
            self.tracker = None
            self.say(f"warning: {error}; the training goes on untracked")


@dataclass
class Tracked:
    """A training under way: `reporter` goes to its step, and `finish` gets its run."""

    reporter: Reporter
    patient: _Patient
    is_finished: bool = field(default=False, init=False)

    def finish(self, run: Run) -> None:
        self.is_finished = True
        self.patient.tell(lambda tracker: tracker.finish(_figures(run), _tags(run), _plots(run)))


@contextlib.contextmanager
def tracking(name: str, title: str, parameters: Mapping[str, Any], reporter: Reporter) -> Iterator[Tracked]:
    """Track a training by the tool called `name`; by none, only its reporter is handed on."""
    if name == NONE:
        yield Tracked(reporter, _Patient(None, reporter.say))
        return
    tracker: Tracker = TRACKERS.load(name)(title, {key: value for key, value in parameters.items() if value is not None})
    patient = _Patient(tracker, reporter.say)
    tracked = Tracked(_TrackedReporter(reporter, patient), patient)
    try:
        yield tracked
    finally:
        if not tracked.is_finished:
            patient.tell(lambda tracker: tracker.fail())


class _TrackedReporter:
    """Hands everything on to another reporter, and epochs to a tracker too."""

    def __init__(self, inner: Reporter, patient: _Patient) -> None:
        self.inner, self.patient, self.trainings = inner, patient, 0

    def stage(self, title: str, total: int) -> contextlib.AbstractContextManager[Stage]:
        return self.inner.stage(title, total)

    def say(self, line: str) -> None:
        self.inner.say(line)

    @contextlib.contextmanager
    def training(
        self, *, kind: str, epochs: int, steps: int, done_epochs: int = 0, done_steps: int = 0
    ) -> Iterator[TrainingView]:
        self.trainings += 1  # an ensemble has several
        prefix = "" if self.trainings == 1 else f"training_{self.trainings}/"
        with self.inner.training(
            kind=kind, epochs=epochs, steps=steps, done_epochs=done_epochs, done_steps=done_steps
        ) as view:
            yield _TrackedView(view, self.patient, prefix)


class _TrackedView:
    def __init__(self, inner: TrainingView, patient: _Patient, prefix: str) -> None:
        self.inner, self.patient, self.prefix = inner, patient, prefix

    def step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None = None) -> None:
        self.inner.step(epoch=epoch, step=step, rate=rate, posts=posts, loss=loss)

    def epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        self.inner.epoch(line, best=best, best_epoch=best_epoch)
        found = {f"validation/{name}": float(value) for name, value in line["validation"].items()}
        found |= {f"loss/{name}": float(line[f"{name}_loss"]) for name in ("train", "validation")}
        found["learning_rate"] = float(line["learning_rate"])
        figures = {self.prefix + name: value for name, value in found.items()}
        self.patient.tell(lambda tracker: tracker.log(figures, step=int(line["epoch"])))


def _figures(run: Run) -> dict[str, float]:
    """Return what the run's marker records of it, and of the members of an ensemble."""
    done = run.done
    found = {f"final/{name}": value for name, value in done.metrics.items()}
    for member, figures in (done.members or {}).items():
        found |= {f"{member}/{name}": value for name, value in figures.items()}
    found |= {f"weight/{member}": weight for member, weight in (done.weights or {}).items()}
    if done.evidence is not None:
        found[f"evidence/{done.evidence.metric}"] = done.evidence.value
    if done.seconds is not None:
        found["seconds"] = done.seconds
    return found


def _tags(run: Run) -> dict[str, str]:
    """Return what it was trained on and its warnings; no path of this machine."""
    meta = run.meta
    found = {
        "run": run.folder.name,
        "model": meta.model,
        "kind": meta.kind,
        "target": run.target.name,
        "engage": meta.engage,
        "data": meta.data.fingerprint,
        "split": meta.data.split,
        "posts": ", ".join(f"{number} {part}" for part, number in run.done.rows.items()),
        "marks": "; ".join(run.marks) or "none",
    }
    return found | {f"encoder_{side}": f"{one.name} {one.revision}" for side, one in meta.encoders.items()}


def _plots(run: Run) -> list[Path]:
    """Return the plots of a run and of its members."""
    return [path for path in sorted(run.folder.rglob("*.png")) if not path.is_symlink()]
