"""Which files this process has verified: each is hashed once, and again where it changed since."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engage_cli.errors import EngageError

LARGEST = 2 << 30  # bytes
_Identity = tuple[int, ...]
_known: dict[tuple[str, _Identity], str] = {}  # path and identity -> the hash that was found


@dataclass(frozen=True)
class Seen:
    """A file as it was while it was read."""

    path: str
    identity: _Identity

    def verified(self, hash: str) -> None:
        """Remember that these bytes have this hash."""
        _known[self.path, self.identity] = hash


def is_known(path: Path, hash: str) -> bool:
    """Whether this process has found that hash, and the file is the same since."""
    try:
        return _known.get((str(path), _identity(os.lstat(path)))) == hash
    except OSError:
        return False


def read_whole(path: Path, again: str) -> tuple[Seen, bytes]:
    """Read a regular file whole, with what it was; raise EngageError where that cannot be."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise EngageError(f"{path} is not a regular file; {again}")
            if status.st_size > LARGEST:
                raise EngageError(f"{path} has {status.st_size:,} bytes, too many or too few for a shard; {again}")
            return Seen(str(path), _identity(status)), file.read()
    except FileNotFoundError:
        raise EngageError(f"{path} is missing; {again}") from None
    except OSError as error:
        raise EngageError(f"{path} cannot be read ({error.strerror}); {again}") from None


def _identity(status: os.stat_result) -> _Identity:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
