"""Fingerprints of large files, remembered: hashing the weights takes a fifth of the time of a whole prediction.

A file is taken for the one that was hashed while its place, size, and time of change are the same, as git does; not so one
that was changed within the last seconds, for it may change again within the resolution of its time.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from engage_cli.core.atomic import file_fingerprint, sweep_dead, write_json

LEAST_BYTES = 1 << 20  # smaller files are hashed sooner than looked up
SETTLED_S = 5.0


def remembered_fingerprint(path: Path, memory: Path) -> str:
    """Return the file's fingerprint; `memory` is the file that remembers them."""
    stat = path.stat()
    if stat.st_size < LEAST_BYTES:
        return file_fingerprint(path)
    key, stamp = str(path.resolve()), [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    known = _read(memory)
    entry = known.get(key)
    if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("hash"), str):
        return str(entry["hash"])
    found = file_fingerprint(path)
    if time.time() - stat.st_mtime > SETTLED_S:
        # A home that cannot be written to, or a path that UTF-8 cannot hold: hashed again next time.
        with contextlib.suppress(OSError, UnicodeEncodeError):
            sweep_dead(memory.parent, memory.name)
            write_json(memory, {**known, key: {"stamp": stamp, "hash": found}})
    return found


def _read(memory: Path) -> dict[str, object]:
    """Return what is remembered; nothing where that is absent or damaged, for it will be written anew."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
