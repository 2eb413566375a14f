"""How a step tells what it is doing: Rich bars on a terminal, plain lines in a log, nothing in a test."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from engage_cli.io.printable import one_line
from engage_cli.progress.training import Course, LineView, RichView, SilentView, TrainingView

SECONDS_BETWEEN_LINES = 10.0


class Stage(Protocol):
    """One piece of work with a known number of units."""

    def advance(self, num: int = 1, note: str = "") -> None: ...


class Reporter(Protocol):
    """What every step is given; everything goes to stderr."""

    def stage(self, title: str, total: int) -> contextlib.AbstractContextManager[Stage]: ...

    def training(
        self, *, kind: str, epochs: int, steps: int, done_epochs: int = 0, done_steps: int = 0
    ) -> contextlib.AbstractContextManager[TrainingView]:
        """Show a training; `steps` are an epoch's optimizer steps, `done_steps` those of the epoch that is resumed."""

    def say(self, line: str) -> None: ...


class _Silence:
    def advance(self, num: int = 1, note: str = "") -> None:
        return


class SilentReporter:
    """Says nothing: for tests and for use as a library."""

    @contextlib.contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        yield _Silence()

    @contextlib.contextmanager
    def training(
        self, *, kind: str, epochs: int, steps: int, done_epochs: int = 0, done_steps: int = 0
    ) -> Iterator[TrainingView]:
        yield SilentView()

    def say(self, line: str) -> None:
        return


class _Lines:
    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self.start = self.last = time.monotonic()

    def advance(self, num: int = 1, note: str = "") -> None:
        self.done += num
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            print(one_line(self.line(note)), file=sys.stderr, flush=True)

    def line(self, note: str = "") -> str:
        rate = self.done / max(time.monotonic() - self.start, 1e-9)
        left = f", at most {_duration((self.total - self.done) / rate)} left" if note and 0 < self.done < self.total else ""
        return f"{self.title}: {self.done:,}/{self.total:,}, {rate:,.1f}/s{left}{'  ' + note if note else ''}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class LineReporter:
    """Plain lines, at most one every ten seconds, where stderr is not a terminal."""

    @contextlib.contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        lines = _Lines(title, total)
        yield lines
        if lines.done:
            print(one_line(lines.line()), file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def training(
        self, *, kind: str, epochs: int, steps: int, done_epochs: int = 0, done_steps: int = 0
    ) -> Iterator[TrainingView]:
        view = LineView(_course(kind, epochs, steps, done_epochs, done_steps))
        try:
            yield view
        finally:
            view.close()

    def say(self, line: str) -> None:
        print(one_line(line), file=sys.stderr, flush=True)


class RichReporter:
    """A live bar with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    @contextlib.contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        # Titles and notes name files and columns: nothing in them is markup.
        words, notes = (TextColumn(form, markup=False) for form in ("{task.description}", "{task.fields[note]}"))
        columns = (words, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), notes)
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(one_line(title), total=total, note="")

            class Bar:
                def advance(self, num: int = 1, note: str = "") -> None:
                    progress.update(task, advance=num)
                    if note:
                        progress.update(task, note=one_line(note))

            yield Bar()

    @contextlib.contextmanager
    def training(
        self, *, kind: str, epochs: int, steps: int, done_epochs: int = 0, done_steps: int = 0
    ) -> Iterator[TrainingView]:
        from rich.live import Live

        view = RichView(_course(kind, epochs, steps, done_epochs, done_steps))
        # stdout is the answer's, and may be a file: only what is written to stderr is put above the display.
        with Live(view, console=self.console, redirect_stdout=False):
            try:
                yield view
            finally:
                view.close()

    def say(self, line: str) -> None:
        self.console.print(one_line(line), markup=False, highlight=False)


def _course(kind: str, epochs: int, steps: int, done_epochs: int, done_steps: int) -> Course:
    from engage_cli.metrics.metrics import PRIMARY  # heavy; whoever trains has it already

    return Course(primary=PRIMARY[kind], epochs=epochs, steps=steps, done_epochs=done_epochs, done_steps=done_steps)


def make_reporter() -> Reporter:
    """The reporter that fits stderr."""
    return RichReporter() if sys.stderr.isatty() else LineReporter()
