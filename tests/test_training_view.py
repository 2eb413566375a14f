"""Seeing a training, by value: lines under a fake clock, the live display as text, and words for collapsed predictions."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from rich.console import Console

from engage_cli.models.neural.training._collapse import find_collapse
from engage_cli.progress import reporters as progress
from engage_cli.progress.reporters import LineReporter, Reporter, RichReporter, SilentReporter
from engage_cli.progress.training import Course, LineView, RichView, clock_words, loss_words, score_words, sparkline


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_course(
    *, epochs: int = 40, steps: int = 10, done_epochs: int = 0, done_steps: int = 0
) -> tuple[Course, FakeClock]:
    clock = FakeClock()
    course = Course(primary="r2", epochs=epochs, steps=steps, done_epochs=done_epochs, done_steps=done_steps, clock=clock)
    return course, clock


def line_of(epoch: int, *, r2: float = 0.2871, validation_loss: float | None = 0.79) -> dict[str, object]:
    scores = {"r2": r2, "mae": 1.0}
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "train_loss": 0.812,
        "validation_loss": validation_loss,
        "validation": scores,
    }


def run_epochs(
    view: LineView | RichView,
    clock: FakeClock,
    epochs: Iterator[int] | range,
    *,
    seconds: float,
    pause: float = 0.0,
    loss: float | None = None,
) -> None:
    """Each epoch of the course's steps takes `seconds`, 100 posts a step, and then `pause` to validate."""
    steps = view.course.steps
    for epoch in epochs:
        for step in range(1, steps + 1):
            clock.now += seconds / steps
            view.step(epoch=epoch, step=step, rate=4.7e-4, posts=100, loss=loss)
        clock.now += pause
        view.epoch(line_of(epoch), best=0.291, best_epoch=2)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    course, clock = make_course()
    view = LineView(course)
    run_epochs(view, clock, range(1, 4), seconds=4, pause=1)
    view.close()
    # 10 steps of 100 posts in 4 s, validation not counted; 37 epochs of 4 + 1 s are left.
    words = "loss 0.812, validation 0.790, r2 0.2871, best 0.2910 in epoch 2, 250 posts/s"
    assert printed(capsys) == [
        f"epoch {epoch}/40: {words}, {left} left" for epoch, left in ((1, "3:15"), (2, "3:10"), (3, "3:05"))
    ]


def test_lines_within_a_long_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    course, clock = make_course(epochs=2, steps=2000)
    view = LineView(course)
    for step in range(1, 2001):
        clock.now += 0.0125
        view.step(epoch=1, step=step, rate=4.7e-4, posts=16, loss=0.9 if step == 1000 else None)
    assert printed(capsys) == [
        "epoch 1/2, step 800/2,000: rate 4.7e-04, 1,280 posts/s, 0:40 left",
        "epoch 1/2, step 1,600/2,000: loss 0.900, rate 4.7e-04, 1,280 posts/s, 0:30 left",
    ]
    view.epoch(line_of(1), best=0.2871, best_epoch=1)
    assert len(printed(capsys)) == 1
    for step in range(1, 801):  # 10 s after the epoch's line; the loss of an epoch that is over is not this one's
        clock.now += 0.0125
        view.step(epoch=2, step=step, rate=1.2e-5, posts=16)
    (line,) = printed(capsys)
    assert line.startswith("epoch 2/2, step 800/2,000: rate 1.2e-05, ")


@pytest.mark.parametrize(
    ("epochs", "expected"), [(1, [1]), (65, [1, 65]), (129, [1, 65, 129]), (200, [1, 65, 129, 193, 200])]
)
def test_fast_epochs_are_a_line_a_second_and_the_last(
    epochs: int, expected: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    course, clock = make_course(epochs=epochs, steps=1)
    view = LineView(course)
    run_epochs(view, clock, range(1, epochs + 1), seconds=1 / 64)  # exact in binary
    view.close()
    lines = printed(capsys)
    assert [int(line.split()[1].partition("/")[0]) for line in lines] == expected
    assert lines[-1].endswith("best 0.2910 in epoch 2, 6,400 posts/s")


def test_speed_and_time_left_are_of_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    """A resume after 38 of 40 epochs, in the middle of one, is as slow as its own steps."""
    course, clock = make_course(done_epochs=38, done_steps=4)
    assert course.posts_per_second is None
    assert course.seconds_left is None
    assert course.share_done == pytest.approx(38.4 / 40)
    view = LineView(course)
    clock.now += 2
    view.step(epoch=39, step=5, rate=1e-4, posts=100)
    assert course.posts_per_second == pytest.approx(50)
    assert course.seconds_left == pytest.approx((5 + 10) * 2)
    for step in range(6, 11):
        clock.now += 2
        view.step(epoch=39, step=step, rate=1e-4, posts=100)
    clock.now += 7
    view.epoch(line_of(39), best=0.3, best_epoch=39)
    assert course.seconds_left == pytest.approx(10 * 2 + 7)
    assert printed(capsys)[-1].endswith("best 0.3000 in epoch 39, 50 posts/s, 0:27 left")


def test_speed_follows_a_change() -> None:
    course, clock = make_course(epochs=1, steps=1000)
    for step in range(1, 601):
        clock.now += 1.0 if step <= 100 else 0.5
        course.add_step(epoch=1, step=step, rate=1.0, posts=100, loss=None)
    assert course.posts_per_second == pytest.approx(200, rel=0.01)


def test_numbers_in_words() -> None:
    assert [clock_words(seconds) for seconds in (0, 59.6, 65, 3599.7, 3910, 90_000)] == [
        "0:00", "1:00", "1:05", "1:00:00", "1:05:10", "25:00:00",
    ]  # fmt: skip
    assert [loss_words(loss) for loss in (0.8124, 0.01234, 12345.6, 0.0, float("inf"), None)] == [
        "0.812", "0.0123", "1.23e+04", "0", "not finite", "not finite",
    ]  # fmt: skip
    assert [score_words(score) for score in (0.28714, -52.1, -1234.5, float("nan"))] == [
        "0.2871", "-52.1000", "-1234", "not finite",
    ]  # fmt: skip
    assert sparkline([0.0, 0.5, 1.0, float("nan"), 0.1]) == "▁▅█ ▂"
    assert sparkline([0.3, 0.3]) == "▁▁"


def shown(view: RichView, width: int) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(view)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_live_view_is_three_lines_on_a_wide_terminal() -> None:
    course, clock = make_course()
    view = RichView(course)
    first, second = shown(view, 120)
    assert first.startswith("epoch 1/40 ━━━")
    assert first.endswith("━       starting")
    assert second.startswith("step  0/10 ━━━")
    run_epochs(view, clock, range(1, 3), seconds=4, pause=1, loss=0.8)
    clock.now += 0.4
    view.step(epoch=3, step=1, rate=4.7e-4, posts=100, loss=0.75)
    first, second, third = shown(view, 120)
    assert first.startswith("epoch 3/40 ━")
    assert first.endswith("3:10 left")
    assert second.startswith("step  1/10 ━")
    assert second.endswith("250 posts/s")
    assert third == "loss 0.750  validation 0.790  r2 0.2871 ▁▁  best 0.2910 in epoch 2  rate 4.7e-04"
    assert len(first) == len(second) == 100


@pytest.mark.parametrize("width", [60, 40, 24])
def test_live_view_keeps_to_a_narrow_terminal(width: int) -> None:
    course, clock = make_course(epochs=1000, steps=123_456)
    view = RichView(course)
    for epoch in range(1, 31):
        clock.now += 4
        view.step(epoch=epoch, step=123_456, rate=4.7e-4, posts=1000)
        view.epoch(line_of(epoch), best=0.291, best_epoch=2)
    lines = shown(view, width)
    assert all(len(line) <= width for line in lines)
    facts = ["loss 0.812", "validation 0.790", "best 0.2910 in epoch 2", "rate 4.7e-04"]
    for fact in facts:  # never broken over two lines
        assert sum(fact in line for line in lines) == 1
    if width == 60:
        assert len(lines) == 5
        assert lines[0].startswith("epoch        30/1,000 ╸━")
        assert lines[0].endswith("━   1:04:40 left")
        assert lines[1].startswith("step  123,456/123,456 ━━")
        assert lines[1].endswith("━    250 posts/s")


def test_live_view_tells_validating_and_the_end() -> None:
    course, clock = make_course(epochs=2)
    view = RichView(course)
    for step in range(1, 11):
        clock.now += 0.4
        view.step(epoch=1, step=step, rate=4.7e-4, posts=100)
    assert shown(view, 60)[1].endswith("validating")
    view.epoch(line_of(1, validation_loss=None), best=0.2871, best_epoch=1)
    assert shown(view, 60)[1].endswith("250 posts/s")
    assert "validation not finite" in shown(view, 60)[2]
    clock.now += 0.4
    view.step(epoch=2, step=1, rate=4.7e-4, posts=100)
    assert shown(view, 60)[2].startswith("loss 0.812  ")  # the last epoch's, until this one's is known
    view.close()
    assert shown(view, 60)[0].endswith("took 0:04")


def test_what_is_said_stands_above_the_live_view() -> None:
    reporter = RichReporter()
    reporter.console = Console(width=60, file=io.StringIO(), force_terminal=True, color_system=None, record=True)
    with reporter.training(kind="value", epochs=1, steps=2) as view:
        view.step(epoch=1, step=1, rate=0.1, posts=1)
        reporter.say("a line with [brackets]")
        print("a stray line", file=sys.stderr)
        view.step(epoch=1, step=2, rate=0.1, posts=1)
        view.epoch(line_of(1), best=0.2871, best_epoch=1)
    text = reporter.console.export_text()
    said, stray, last = text.index("a line with [brackets]\n"), text.index("a stray line\n"), text.rindex("epoch 1/1")
    assert said < stray < last
    assert "took 0:00" in text[last:]


@pytest.mark.parametrize("make", [SilentReporter, LineReporter])
@pytest.mark.parametrize(("kind", "primary"), [("value", "r2"), ("classes", "kappa")])
def test_reporters_show_the_kinds_own_metric(
    make: Callable[[], Reporter], kind: str, primary: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {**line_of(3), "validation": {primary: 0.25}}
    with make().training(kind=kind, epochs=5, steps=2, done_epochs=2, done_steps=1) as view:
        view.step(epoch=3, step=2, rate=0.1, posts=7)
        view.epoch(line, best=0.25, best_epoch=3)
    lines = printed(capsys)
    if make is SilentReporter:
        assert lines == []
    else:
        assert len(lines) == 1
        assert lines[0].startswith(f"epoch 3/5: loss 0.812, validation 0.790, {primary} 0.2500, best 0.2500 in epoch 3, ")


def probabilities(labels: list[int]) -> np.ndarray:
    return np.eye(5)[labels] * 0.6 + 0.08


def test_a_collapsed_classifier_is_named() -> None:
    true = np.repeat(np.arange(5), 20)
    assert find_collapse("classes", true, probabilities([1] * 97 + [2] * 3)) == (
        "97 % of the validation posts are predicted as 'Low' (20 % are): the classifier has collapsed; try a smaller "
        "--learning-rate, more --warmup, --class-weights balanced or --objective ordinal"
    )
    found = find_collapse("classes", true, probabilities([4] * 100))
    assert found is not None
    assert found.startswith("all validation posts are predicted as 'Very High' (20 % are): ")
    assert find_collapse("classes", true, probabilities([1] * 95 + [2] * 5)) is not None
    assert find_collapse("classes", true, probabilities([1] * 94 + [2] * 6)) is None
    assert find_collapse("classes", true, probabilities(true.tolist())) is None
    # Where nearly all posts truly are of one class, calling them so is not a collapse.
    for num, is_collapse in ((79, True), (80, False)):
        skewed = np.array([0] * num + [1] * (100 - num))
        assert (find_collapse("classes", skewed, probabilities([0] * 100)) is not None) == is_collapse
    assert find_collapse("classes", np.arange(9) % 5, probabilities([0] * 9)) is None
    assert find_collapse("classes", np.arange(10) % 5, probabilities([0] * 10)) is not None


def test_a_collapsed_regressor_is_named() -> None:
    true = np.random.default_rng(0).normal(11.2, 2.0, 200)
    assert find_collapse("value", true, 11.2 + (true - true.mean()) * 0.012) == (
        "the validation posts are all predicted at about 11.2, with 1.2 % of the true spread: the regressor has collapsed; "
        "try a smaller --learning-rate, more --warmup, less --dropout or other --blocks"
    )
    assert find_collapse("value", true, true * 0.029) is not None
    assert find_collapse("value", true, true * 0.031) is None
    assert find_collapse("value", np.full(50, 3.0), np.full(50, 3.0)) is None
    assert find_collapse("value", true[:9], np.zeros(9)) is None
    assert find_collapse("value", true[:10], np.zeros(10, np.float32)) is not None


@pytest.mark.parametrize(
    ("done", "seconds", "left"),
    [(25, 10, "at most 30 s left"), (10, 30, "at most 4 min 30 s left"), (1, 100, "at most 2 h 45 min left"), (100, 9, "")],
)
def test_a_line_says_how_long_it_takes_at_most(
    done: int, seconds: float, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress._Lines("boosting", 100)
    now[0], lines.done = seconds, done
    assert ("left" in lines.line("loss 1")) == bool(left)
    assert left in lines.line("loss 1")
