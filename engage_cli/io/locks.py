"""Locks between processes: a file that one process holds. The system frees it when the process dies, however it dies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from engage_cli.errors import EngageError
from engage_cli.io.own_folders import refuse_link


@contextlib.contextmanager
def try_lock(path: Path, *, leave: bool = True) -> Iterator[bool]:
    """Yield whether the lock is ours until the block ends; never wait for another process.

    `leave` False: the file is removed at the end. Raises EngageError where a link stands in its place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_link(path)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if not leave:
            path.unlink(missing_ok=True)  # while it is held: after, it may be another call's
        lock.release()


@contextlib.contextmanager
def hold_lock(path: Path, *, taken: str, leave: bool = True) -> Iterator[None]:
    """Hold the lock until the block ends; raise EngageError, with the sentence `taken`, where another process holds it."""
    with try_lock(path, leave=leave) as is_ours:
        if not is_ours:
            raise EngageError(taken)
        yield
