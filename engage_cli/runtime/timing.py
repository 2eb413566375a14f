"""Where the time goes: seconds added up by stage, from many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Clock:
    """Seconds by stage. A stage that many threads work in counts each of them."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def seconds(self) -> dict[str, float]:
        with self._lock:
            return dict(self._seconds)

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def add_all(self, seconds: Mapping[str, float]) -> None:
        for stage, some in seconds.items():
            self.add(stage, some)

    @contextmanager
    def wall(self, stage: str) -> Iterator[None]:
        """Count the time that passes: for waiting on a disk or a device."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    @contextmanager
    def work(self, stage: str) -> Iterator[None]:
        """Count the processor time of this thread: what waits for a core does not count."""
        start = time.thread_time()
        try:
            yield
        finally:
            self.add(stage, time.thread_time() - start)
