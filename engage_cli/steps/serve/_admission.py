"""How much is taken on at once: room for bodies while they arrive and wait, and places for questions that are whole.

A body that is half sent takes no place. It has a pace to keep, and where room is short, the one that keeps it least gives
way: who sends slowly, or not at all, can hinder nobody for long.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

from engage_cli.steps.serve._limits import Limits


class TooSlowError(Exception):
    """A body did not keep its pace, or was not whole in time."""


class NoRoomError(Exception):
    """Other bodies take all room."""


DAWDLES = 1.0  # seconds behind its pace, from which on a body gives way to others


@dataclass(eq=False)
class Body:
    """Of one request. Every byte buys time for the next ones, up to `client_seconds`; times are anyio's."""

    admission: Admission
    bytes: int = 0
    gave_way: bool = False
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _end: float = 0.0  # by when all of it must be there
    _due: float = 0.0  # by when the next bytes must be

    @contextlib.contextmanager
    def arriving(self) -> Iterator[None]:
        """Cancel what is awaited inside, and raise TooSlowError or NoRoomError, where the body dawdles or gives way."""
        limits, now = self.admission.limits, anyio.current_time()
        self._end, self._due = now + limits.body_seconds, now + limits.client_seconds
        self._scope.deadline = min(self._due, self._end)
        self.admission.arriving.add(self)
        try:
            with self._scope:
                yield
        finally:
            self.admission.arriving.discard(self)
        if self._scope.cancelled_caught:
            raise NoRoomError if self.gave_way else TooSlowError

    def take(self, num: int) -> None:
        """Take room for so many bytes that arrived; raise NoRoomError where there is none."""
        self.keep_pace(num)
        self.admission.make_room(num, anyio.current_time())
        self.admission.bytes += num
        self.bytes += num

    def keep_pace(self, num: int) -> None:
        """Note so many bytes that arrived; they buy time, and take no room by themselves."""
        limits, now = self.admission.limits, anyio.current_time()
        self._due = min(self._due + num / limits.body_rate, now + limits.client_seconds)
        self._scope.deadline = min(self._due, self._end)

    def give_way(self) -> None:
        self.gave_way = True
        self.give_back()
        self.admission.arriving.discard(self)
        self._scope.cancel()

    def give_back(self) -> None:
        self.admission.bytes -= self.bytes
        self.bytes = 0

    def behind(self, now: float) -> float:
        """Seconds that the client has lost against the pace."""
        return now + self.admission.limits.client_seconds - self._due


class Admission:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.places = 0
        self.bytes = 0
        self.arriving: set[Body] = set()

    @property
    def is_full(self) -> bool:
        return self.places >= self.limits.waiting

    @contextlib.contextmanager
    def body(self) -> Iterator[Body]:
        """Account for a body until its request is answered."""
        body = Body(self)
        try:
            yield body
        finally:
            body.give_back()

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """Hold a place while a question waits and is answered; yield False where all are taken."""
        if self.is_full:
            yield False
            return
        self.places += 1
        try:
            yield True
        finally:
            self.places -= 1

    def make_room(self, num: int, now: float) -> None:
        """Let bodies that dawdle give way to so many bytes, the slowest first; raise NoRoomError where they are too few."""
        while self.bytes + num > self.limits.waiting_bytes:
            slowest = max(self.arriving, key=lambda one: one.behind(now), default=None)
            if slowest is None or slowest.behind(now) <= DAWDLES:
                raise NoRoomError
            slowest.give_way()
