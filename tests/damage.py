"""Damages of files, and changes of records whose checksums are made right again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engage_cli.io.records import CHECKSUM, checksum


def write_checked(path: Path, content: dict[str, Any]) -> None:
    """Write a record's content with the checksum that belongs to it."""
    content = {name: value for name, value in content.items() if name != CHECKSUM}
    path.write_text(json.dumps({**content, CHECKSUM: checksum(content)}))


def flip(path: Path, place: int, bit: int) -> bytes:
    """Flip one bit of a file; return what it held before."""
    before = path.read_bytes()
    changed = bytearray(before)
    changed[place] ^= 1 << bit
    path.write_bytes(changed)
    return before
