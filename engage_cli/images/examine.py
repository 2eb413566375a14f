"""Something found out of many image files, on all cores; what is found is kept on the way, so that no call begins anew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from engage_cli.progress.reporters import Reporter
from engage_cli.runtime.worker_processes import map_on_all_cores

SECONDS_BETWEEN_SAVES = 20.0

F = TypeVar("F")  # what names a file
R = TypeVar("R")  # what is found out of it


def examine(
    files: Sequence[F],
    look: Callable[[list[F]], Sequence[R]],
    *,
    keep: Callable[[F, R], None],
    save: Callable[[], None],
    title: str,
    what: str,
    batch: int,
    few: int,
    reporter: Reporter,
) -> None:
    """Call `look` with batches of files and `keep` with each result, in order; `save` every 20 seconds and at the end.

    Of more than `few` files, batches go to processes of their own, to which `look` must be picklable. `what` says what is
    being done, as in "images were checked".
    """
    if not files:
        return
    batches = [list(files[start : start + batch]) for start in range(0, len(files), batch)]
    last_save = time.monotonic()
    with reporter.stage(title, len(files)) as stage:
        for some, results in zip(batches, _look_at(batches, look, what, is_small=len(files) <= few), strict=True):
            for file, result in zip(some, results, strict=True):
                keep(file, result)
            stage.advance(len(some))
            if time.monotonic() - last_save > SECONDS_BETWEEN_SAVES:
                save()
                last_save = time.monotonic()
    save()


def _look_at(
    batches: Sequence[list[F]], look: Callable[[list[F]], Sequence[R]], what: str, *, is_small: bool
) -> Iterator[Sequence[R]]:
    if is_small or (os.cpu_count() or 1) == 1:  # starting processes takes longer than the work
        return map(look, batches)
    return map_on_all_cores(look, batches, what=what)
