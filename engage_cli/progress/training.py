"""Seeing a training: a live display on a terminal, plain lines in a log, nothing in a test.

A view gets steps and epochs and reads nothing from the device. Speed and time left are of this process's own recent
work, so that epochs done before a resume count for neither.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from engage_cli.io.printable import one_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

SECONDS_BETWEEN_STEP_LINES = 10.0
SECONDS_BETWEEN_EPOCH_LINES = 1.0
SECONDS_REMEMBERED = 30.0  # work this long ago weighs 1/e in the speed
WIDEST = 100  # columns of the live display; longer bars say no more
SPARKS = "▁▂▃▄▅▆▇█"
NUM_SPARKS = 24


class TrainingView(Protocol):
    """What a loop tells whoever watches; calls cost microseconds."""

    def step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None = None) -> None:
        """An optimizer step is done: number `step` (from 1) of epoch `epoch` (from 1).

        `rate` is the learning rate used, `posts` how many posts the step saw (all ranks together), `loss` the epoch's mean
        training loss so far, handed over now and then only: reading it costs a device sync.
        """

    def epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        """An epoch is done, its validation too; `line` is its line of history.jsonl."""


class Course:
    """Where a training stands and how fast it goes: what the views show."""

    def __init__(
        self,
        *,
        primary: str,
        epochs: int,
        steps: int,
        done_epochs: int = 0,
        done_steps: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`primary` names the metric to show; `done_steps` counts those of the epoch that a resume goes on with."""
        self.primary, self.epochs, self.steps, self.clock = primary, epochs, steps, clock
        self.epoch, self.step, self.validated = min(done_epochs + 1, epochs), done_steps, done_epochs
        self.rate: float | None = None
        self.loss: float | None = None
        self.line: Mapping[str, Any] | None = None
        self.best: float | None = None
        self.best_epoch = 0
        self.scores: list[float] = []
        self.start = self.last = clock()
        # Sums that fade: seconds of training (validation is not in them), and the steps and posts done in these.
        self._seconds = self._steps = self._posts = 0.0
        self._pause, self._num_pauses = 0.0, 0

    def add_step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None) -> None:
        now = self.clock()
        seconds, self.last = now - self.last, now
        keep = math.exp(-seconds / SECONDS_REMEMBERED)
        self._seconds = self._seconds * keep + seconds
        self._steps = self._steps * keep + step - (self.step if epoch == self.epoch else 0)
        self._posts = self._posts * keep + posts
        if epoch != self.epoch:
            self.loss = None
        self.epoch, self.step, self.rate = epoch, step, rate
        self.loss = self.loss if loss is None else loss

    def add_epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        now = self.clock()
        self._pause, self._num_pauses, self.last = self._pause + now - self.last, self._num_pauses + 1, now
        self.line, self.best, self.best_epoch = line, best, best_epoch
        self.epoch = self.validated = int(line["epoch"])
        self.step, self.loss = self.steps, line["train_loss"]
        self.scores.append(line["validation"][self.primary])

    @property
    def is_validating(self) -> bool:
        return self.step == self.steps and self.validated < self.epoch

    @property
    def posts_per_second(self) -> float | None:
        return self._posts / self._seconds if self._seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Return the time to the last epoch's end, validations included; early stopping may come before."""
        if not self._steps:
            return None
        steps = self.epochs * self.steps - (self.epoch - 1) * self.steps - self.step
        pause = self._pause / self._num_pauses if self._num_pauses else 0.0
        return steps * self._seconds / self._steps + (self.epochs - self.validated) * pause

    @property
    def share_done(self) -> float:
        return ((self.epoch - 1) * self.steps + self.step) / (self.epochs * self.steps)


class SilentView:
    """Shows nothing."""

    def step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None = None) -> None:
        return

    def epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        return


class LineView:
    """Plain lines on stderr: one an epoch where epochs are long, one a second where they are not, and always the last."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self._last_line, self._last_epoch_line = course.start, -math.inf
        self._is_waiting = False  # the newest epoch's line is not printed yet

    def step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None = None) -> None:
        course = self.course
        course.add_step(epoch=epoch, step=step, rate=rate, posts=posts, loss=loss)
        if course.last - self._last_line < SECONDS_BETWEEN_STEP_LINES:
            return
        facts = [] if course.loss is None else [f"loss {loss_words(course.loss)}"]
        facts += [f"rate {rate:.1e}", *speed_words(course), *left_words(course)]
        self._print(f"epoch {epoch}/{course.epochs}, step {step:,}/{course.steps:,}: {', '.join(facts)}")

    def epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        self.course.add_epoch(line, best=best, best_epoch=best_epoch)
        self._is_waiting = self.course.last - self._last_epoch_line < SECONDS_BETWEEN_EPOCH_LINES
        if not self._is_waiting:
            self._last_epoch_line = self.course.last
            self._print_epoch(left_words(self.course))

    def close(self) -> None:
        """Print the last epoch's line if it came too soon after another."""
        if self._is_waiting:
            self._print_epoch([])

    def _print_epoch(self, left: list[str]) -> None:
        course = self.course
        facts = [f"{name} {value}" for name, value in epoch_facts(course)]
        self._print(f"epoch {course.epoch}/{course.epochs}: {', '.join([*facts, *speed_words(course), *left])}")

    def _print(self, line: str) -> None:
        self._last_line = self.course.last
        print(one_line(line), file=sys.stderr, flush=True)


class RichView:
    """What a live display shows of a training; Rich asks for it a few times a second, steps only leave their numbers."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.is_closed = False

    def step(self, *, epoch: int, step: int, rate: float, posts: int, loss: float | None = None) -> None:
        self.course.add_step(epoch=epoch, step=step, rate=rate, posts=posts, loss=loss)

    def epoch(self, line: Mapping[str, Any], *, best: float | None, best_epoch: int) -> None:
        self.course.add_epoch(line, best=best, best_epoch=best_epoch)

    def close(self) -> None:
        """From now on show how long it took, not how long it would take."""
        self.is_closed = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        course, width = self.course, min(options.max_width, WIDEST)
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.width = width
        grid.add_column(no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(ratio=1, min_width=4)
        grid.add_column(justify="right", no_wrap=True, min_width=14)  # bars do not jump when numbers grow
        bars = (("epoch", course.epoch, course.epochs, course.share_done, self._time_words()),
                ("step", course.step, course.steps, course.step / course.steps, self._speed_words()))  # fmt: skip
        for name, at, total, share, words in bars:
            bar = ProgressBar(total=1.0, completed=share)
            grid.add_row(Text(name, "dim"), f"{at:,}/{total:,}", bar, Text(words))
        yield grid

        facts = []
        for name, value in epoch_facts(course):
            is_news = name == "best" and course.best_epoch == course.validated
            fact = Text.assemble((f"{name} ", "dim"), (value, "green" if is_news else ""))
            if name == course.primary and len(course.scores) > 1 and not options.ascii_only:
                fact.append(f" {sparkline(course.scores[-NUM_SPARKS:])}", "cyan")
            facts.append(fact)
        if course.rate is not None:
            facts.append(Text.assemble(("rate ", "dim"), f"{course.rate:.1e}"))
        for line in packed(facts, width):
            line.truncate(width, overflow="ellipsis" if not options.ascii_only else "crop")
            yield line

    def _time_words(self) -> str:
        if self.is_closed:
            return f"took {clock_words(self.course.last - self.course.start)}"
        return next(iter(left_words(self.course)), "starting")

    def _speed_words(self) -> str:
        if self.course.is_validating and not self.is_closed:
            return "validating"
        return next(iter(speed_words(self.course)), "")


def packed(facts: Sequence[Any], width: int) -> Iterator[Any]:
    """Join texts by two blanks into lines of at most `width` columns; a text is never broken."""
    from rich.text import Text

    gap, line = Text("  "), Text()
    for fact in facts:
        if line and line.cell_len + gap.cell_len + fact.cell_len > width:
            yield line
            line = Text()
        line = line + gap + fact if line else fact.copy()
    if line:
        yield line


def epoch_facts(course: Course) -> Iterator[tuple[str, str]]:
    """Yield name and value of losses and scores, as far as known."""
    if course.loss is not None or course.line is not None:
        yield "loss", loss_words(course.line["train_loss"] if course.loss is None and course.line else course.loss)
    if course.line is not None:
        yield "validation", loss_words(course.line["validation_loss"])
        yield course.primary, score_words(course.line["validation"][course.primary])
    if course.best is not None:
        yield "best", f"{score_words(course.best)} in epoch {course.best_epoch}"


def speed_words(course: Course) -> list[str]:
    speed = course.posts_per_second
    return [] if speed is None else [f"{speed:,.0f} posts/s" if speed >= 10 else f"{speed:.1f} posts/s"]


def left_words(course: Course) -> list[str]:
    left = course.seconds_left
    return [] if left is None or course.validated == course.epochs else [f"{clock_words(left)} left"]


def clock_words(seconds: float) -> str:
    """65 as 1:05, 3910 as 1:05:10."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def loss_words(loss: float | None) -> str:
    if loss is None or not math.isfinite(loss):
        return "not finite"
    return f"{loss:.3f}" if 0.1 <= abs(loss) < 1000 else f"{loss:.3g}"


def score_words(score: float | None) -> str:
    if score is None or not math.isfinite(score):
        return "not finite"
    return f"{score:.4f}" if abs(score) < 100 else f"{score:.4g}"


def sparkline(scores: Sequence[float | None]) -> str:
    """Draw scores as a row of bars, the lowest to the highest of them; a blank where a score is not finite."""
    known = [score for score in scores if score is not None and math.isfinite(score)]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    return "".join(
        SPARKS[round((score - low) / span * (len(SPARKS) - 1))] if score is not None and math.isfinite(score) else " "
        for score in scores
    )
