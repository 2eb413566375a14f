"""Fingerprints of large files, remembered: hashing the weights takes a fifth of the time of a whole prediction.

A file is taken for the one that was hashed while its place, its inode, its size and both its times, of content and of
inode, are the same, as git does: no program sets the inode's time. A file that was changed within the last seconds is not
remembered, for it may change again within the resolution of its times.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Annotated

from annotated_types import Len

from engage_cli.errors import EngageError
from engage_cli.io.files import file_fingerprint, sweep_dead
from engage_cli.io.record_fields import Hash
from engage_cli.io.records import read_record, record, write_record

LEAST_BYTES = 1 << 20  # smaller files are hashed sooner than looked up
SETTLED_S = 5.0
KIND, VERSION = "engage fingerprints", 1


@record
class KnownFile:
    """What a file was when it was hashed."""

    stamp: Annotated[tuple[int, ...], Len(5, 5)]
    hash: Hash


@record
class KnownFiles:
    """What is remembered of files, by their resolved paths."""

    files: dict[str, KnownFile]


def stamp_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file's content does, as far as one sees without reading it."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def remembered_fingerprint(path: Path, memory: Path) -> str:
    """Return the file's fingerprint; `memory` is the file that remembers them."""
    status = path.stat()
    if status.st_size < LEAST_BYTES:
        return file_fingerprint(path)
    key, stamp = str(path.resolve()), stamp_of(status)
    known = _read(memory)
    entry = known.get(key)
    if entry is not None and entry.stamp == stamp:
        return entry.hash
    found = file_fingerprint(path)
    is_settled = time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_S
    if is_settled and stamp_of(path.stat()) == stamp:
        value = KnownFiles(files={**known, key: KnownFile(stamp=stamp, hash=found)})
        # A home that cannot be written to, or a path that UTF-8 cannot hold: hashed again next time.
        with contextlib.suppress(OSError, UnicodeEncodeError):
            sweep_dead(memory.parent, memory.name)
            write_record(memory, value, kind=KIND, version=VERSION)
    return found


def _read(memory: Path) -> dict[str, KnownFile]:
    """Return what is remembered; nothing where that is absent or damaged, for it will be written anew."""
    try:
        return read_record(memory, KnownFiles, kind=KIND, version=VERSION, again="it is written anew").files
    except EngageError:
        return {}
