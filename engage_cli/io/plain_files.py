"""Opening a file that somebody else named: it may be a pipe that never ends, a device, or forty empty gigabytes."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

from engage_cli.errors import EngageError

MIB, GIB = 1 << 20, 1 << 30
MOST_TABLE_BYTES = 4 * GIB  # a table is held in memory several times
SHARE_OF_MEMORY = 4  # and may take no more than a fourth of it


class NoPlainFileError(Exception):
    """Why a path is not read, in a few words."""


def open_plain(path: Path, most_bytes: int) -> BinaryIO:
    """Open a plain file (or a link to one); raise NoPlainFileError for anything else, and for one that is larger.

    It never waits: a pipe without a writer is refused, not read. OSError and ValueError are those of `open`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, os.strerror(21), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise NoPlainFileError("a pipe, socket or device")
        if found.st_size > most_bytes:
            raise NoPlainFileError(f"larger than {_size(most_bytes)}")
        return io.open(descriptor, "rb")  # noqa: UP020
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, most_bytes: int) -> bytes:
    """Return a plain file's bytes; raises as `open_plain`."""
    with open_plain(path, most_bytes) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:  # it grew
        raise NoPlainFileError(f"larger than {_size(most_bytes)}")
    return data


def read_table_bytes(path: Path) -> bytes:
    """Return the bytes of a table or of JSON; raise EngageError for what is not a plain file, and for one far too large."""
    try:
        return read_plain(path, most_table_bytes())
    except NoPlainFileError as reason:
        raise EngageError(f"{path} is {reason}; {_hint(path)}") from None


def _hint(path: Path) -> str:
    return "divide it, or drop what is not needed" if path.is_file() else "name a file"


def most_table_bytes() -> int:
    """Return how large a table may be on this machine."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return MOST_TABLE_BYTES
    return min(MOST_TABLE_BYTES, memory // SHARE_OF_MEMORY)


def _size(num: int) -> str:
    return f"{num / GIB:.3g} GiB" if num >= GIB else f"{num // MIB} MiB"
