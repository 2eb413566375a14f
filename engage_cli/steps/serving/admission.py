"""How much is taken on at once: places for requests, and room for their bodies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from engage_cli.steps.serving.limits import Limits


class Place:
    """Of one request: what its body takes is given back with the place."""

    def __init__(self, admission: Admission) -> None:
        self.admission, self.bytes = admission, 0

    def take(self, num: int) -> bool:
        """Take room for so many bytes more; return whether there is any."""
        if self.admission.bytes + num > self.admission.limits.waiting_bytes:
            return False
        self.admission.bytes += num
        self.bytes += num
        return True


class Admission:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.places = 0
        self.bytes = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[Place | None]:
        """Hold a place while a request is read, waits and is answered; None where all are taken."""
        if self.places >= self.limits.waiting:
            yield None
            return
        place = Place(self)
        self.places += 1
        try:
            yield place
        finally:
            self.places -= 1
            self.bytes -= place.bytes
