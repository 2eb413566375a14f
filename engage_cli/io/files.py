"""Files that are whole or absent: written beside their place, then renamed; and the fingerprints of what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engage_cli.io.own_folders import refuse_link

# What a writer that was killed leaves: our files and folders, and the files of the library that writes safetensors.
HALF_WRITTEN = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.tmp|\.tmp[0-9A-Za-z]{6}")


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`; rename it into place when the block ends well, remove it otherwise.

    Raise EngageError where `path` is a link: what it leads to is not ours to replace, nor is the link.
    """
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        beside.unlink(missing_ok=True)
        beside.touch(exist_ok=False)  # a new file: a link that stands there would be written through
        mode = beside.stat().st_mode
        yield beside
        beside.chmod(mode)  # some writers make their file readable by its owner alone
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # the first error is reported; what stays is swept by the next call
            beside.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # some writers do not say which file did not fit
        raise


@contextlib.contextmanager
def atomic_write_by_library(path: Path) -> Iterator[Path]:
    """Do the same for a writer that makes files of its own beside the one it is given: all lie in a folder beside."""
    refuse_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = _beside(path)
    try:
        folder.mkdir()
        mode = folder.stat().st_mode & 0o666
        yield folder / path.name
        (folder / path.name).chmod(mode)  # some writers make their file readable by its owner alone
        os.replace(folder / path.name, path)
        folder.rmdir()
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def half_written_of(name: str) -> str | None:
    """Return the name of the file that a writer had not finished; "" of a library's, None for any other file's name."""
    found = HALF_WRITTEN.fullmatch(name)
    return None if found is None else found["name"] or ""


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder. The caller holds its lock: no other writer is at work there."""
    for entry in _half_written_in(folder):
        _remove(entry)


def sweep_dead(folder: Path, *names: str) -> None:
    """Remove what writers of these files left in a folder without a lock, where their process is gone from this machine."""
    for entry in _half_written_in(folder):
        found = HALF_WRITTEN.fullmatch(entry.name)
        if found is not None and found["name"] in names and not _is_alive(int(found["pid"])):
            _remove(entry)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that it holds, where it is there; raise EngageError where a link stands in its place."""
    refuse_link(folder)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _half_written_in(folder: Path) -> list[Path]:
    """Of a link to a folder none: what it leads to is somebody else's."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    half_written = [entry for entry in folder.iterdir() if half_written_of(entry.name) is not None]
    return [entry for entry in half_written if not entry.is_symlink()]  # no writer of ours leaves a link


def _remove(entry: Path) -> None:
    if entry.is_dir():
        remove_tree(entry)
    else:
        entry.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """Return strict JSON: a NaN that would not be read back by others is an error here, not there."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> Mapping[str, object]:
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
