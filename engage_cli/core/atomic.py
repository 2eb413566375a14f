"""Files that are whole or absent: written beside their place, then renamed; and the fingerprints of what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engage_cli.core.own_folders import refuse_link


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; rename it into place when the block ends well, remove it otherwise.

    Raise EngageError where `path` is a link: what it leads to is not ours to replace, nor is the link.
    """
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.unlink(missing_ok=True)
        beside.touch(exist_ok=False)  # a new file: a link that stands there would be written through
        mode = beside.stat().st_mode
        yield beside
        beside.chmod(mode)  # some writers make their file readable by its owner alone
        os.replace(beside, path)
    except OSError as error:
        error.filename = str(path)  # some writers do not say which file did not fit
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write strict JSON: a NaN that would not be read back by others is an error here, not there."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict), path
    return value


def fingerprint(value: Any) -> str:
    """Return 16 hex digits of the BLAKE2b hash of a JSON-like value, the same for equal values."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_fingerprint(path: Path) -> str:
    """Return 32 hex digits of the BLAKE2b hash of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
