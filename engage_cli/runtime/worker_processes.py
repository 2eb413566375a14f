"""Processes that share work on files: they end with the process that started them, and one that is killed is a sentence.

Nothing here imports torch: a process is to be ready in a second.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

from engage_cli.errors import EngageError

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_IDLE = 60
# Of a process that does one thing at a time.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def worker_processes(num: int) -> Iterator[Any]:
    """Start an executor of `num` processes, and end them with the block."""
    from joblib.externals.loky import ProcessPoolExecutor

    processes = ProcessPoolExecutor(
        num, timeout=SECONDS_IDLE, initializer=_live_with_parent, initargs=(os.getpid(),), env=ENVIRONMENT
    )
    try:
        yield processes
    finally:
        processes.shutdown(wait=True, kill_workers=True)


def map_on_all_cores(function: Callable[[T], R], batches: Sequence[T], *, what: str) -> Iterator[R]:
    """Yield the function of each batch, in order; `what` says what is being done, as in "images were checked"."""
    from joblib import cpu_count

    num = min(cpu_count(), len(batches))
    ahead: deque[Future[R]] = deque()
    with in_a_sentence(what), worker_processes(num) as processes:
        for batch in batches:
            ahead.append(processes.submit(function, batch))
            if len(ahead) > 2 * num:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@contextmanager
def in_a_sentence(what: str) -> Iterator[None]:
    """A process that takes too much memory is killed; all that was handed over then fails, and whatever comes after it."""
    try:
        yield
    except (MemoryError, BrokenExecutor) as error:
        why = "memory ran out" if isinstance(error, MemoryError) else "a process died, most likely because memory ran out,"
        raise EngageError(f"{why} while {what}; close other programs, or shrink the largest images") from None


def _live_with_parent(parent: int) -> None:
    """End when the parent ends, in whatever way; leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
