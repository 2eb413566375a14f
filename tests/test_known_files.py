"""A file's fingerprint is remembered while the file stays the same, and never believed longer."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from engage_cli.encoders import _hash_cache as known_files
from engage_cli.encoders._hash_cache import (
    KIND,
    LEAST_BYTES,
    SETTLED_S,
    VERSION,
    KnownFile,
    KnownFiles,
    remembered_fingerprint,
    stamp_of,
)
from engage_cli.io.files import file_fingerprint
from engage_cli.io.records import write_record

NOW = time.time


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inode's time cannot be set: the clock is a minute ahead instead."""
    monkeypatch.setattr(known_files.time, "time", lambda: NOW() + 60)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    paths: list[Path] = []

    def hash_it(path: Path) -> str:
        paths.append(path)
        return file_fingerprint(path)

    monkeypatch.setattr(known_files, "file_fingerprint", hash_it)
    return paths


def weights(path: Path, byte: bytes = b"a", *, age: float = 60.0, size: int = LEAST_BYTES) -> Path:
    path.write_bytes(byte * size)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_a_file_is_hashed_once(hashed: list[Path], tmp_path: Path) -> None:
    path, memory = weights(tmp_path / "model.safetensors"), tmp_path / "cache" / "known.json"
    answers = {remembered_fingerprint(path, memory) for _ in range(3)}
    assert answers == {file_fingerprint(path)}
    assert hashed == [path]
    other = weights(tmp_path / "other.safetensors", b"b")
    assert remembered_fingerprint(other, memory) == file_fingerprint(other)
    remembered_fingerprint(path, memory)
    remembered_fingerprint(other, memory)
    assert hashed == [path, other]  # one does not drive out the other


def test_a_link_to_it_is_the_same_file(hashed: list[Path], tmp_path: Path) -> None:
    path, memory = weights(tmp_path / "model.safetensors"), tmp_path / "known.json"
    (tmp_path / "link").symlink_to(path)
    assert remembered_fingerprint(tmp_path / "link", memory) == remembered_fingerprint(path, memory)
    assert len(hashed) == 1


@pytest.mark.parametrize("change", ["time", "size", "replaced", "in place"])
def test_a_changed_file_is_hashed_again(change: str, hashed: list[Path], tmp_path: Path) -> None:
    path, memory = weights(tmp_path / "model.safetensors"), tmp_path / "known.json"
    before, stat = remembered_fingerprint(path, memory), path.stat()
    if change == "time":
        weights(path, b"b", age=30)
    if change == "size":
        path.write_bytes(b"b" * (LEAST_BYTES + 1))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if change == "replaced":  # by another of the same size and time
        weights(tmp_path / "new", b"b").replace(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if change == "in place":  # the same inode, size and time of content
        path.write_bytes(b"b" * LEAST_BYTES)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    after = remembered_fingerprint(path, memory)
    assert after == file_fingerprint(path) != before
    assert remembered_fingerprint(path, memory) == after
    assert len(hashed) == 2


def test_a_file_changed_within_the_last_seconds_is_not_remembered(
    hashed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may change again at what is the same time to the clock of files."""
    monkeypatch.setattr(known_files.time, "time", lambda: NOW() + SETTLED_S / 2)
    path, memory = weights(tmp_path / "model.safetensors"), tmp_path / "known.json"
    stat, before = path.stat(), remembered_fingerprint(path, memory)
    assert not memory.exists()
    path.write_bytes(b"b" * LEAST_BYTES)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert remembered_fingerprint(path, memory) != before
    future = weights(tmp_path / "future", age=-3600)
    remembered_fingerprint(future, memory)
    assert not memory.exists()
    assert len(hashed) == 3


def test_a_small_file_is_always_hashed(hashed: list[Path], tmp_path: Path) -> None:
    path, memory = weights(tmp_path / "config.json", size=LEAST_BYTES - 1), tmp_path / "known.json"
    for _ in range(2):
        assert remembered_fingerprint(path, memory) == file_fingerprint(path)
    assert hashed == [path, path]
    assert not memory.exists()


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", "\xff\xfe", "cut", "a digit", "a stamp of words", "an older one"]
)
def test_a_damaged_memory_is_written_anew(damage: str, hashed: list[Path], tmp_path: Path) -> None:
    path, memory = weights(tmp_path / "model.safetensors"), tmp_path / "known.json"
    known = KnownFiles(files={str(path): KnownFile(stamp=stamp_of(path.stat()), hash="0" * 32)})
    version = VERSION if damage != "an older one" else 0
    if damage == "a stamp of words":
        known = KnownFiles(files={str(path): KnownFile(stamp=("a",) * 5, hash="0" * 32)})
    write_record(memory, known, kind=KIND, version=version)
    whole = memory.read_text()
    texts = {"cut": whole[:-9], "a digit": whole.replace('"00', '"01'), "a stamp of words": whole, "an older one": whole}
    memory.write_bytes(texts.get(damage, damage).encode("latin-1"))
    for _ in range(2):
        assert remembered_fingerprint(path, memory) == file_fingerprint(path)
    assert hashed == [path]
    assert json.loads(memory.read_text())["files"][str(path)]["hash"] == file_fingerprint(path)


@pytest.mark.parametrize(
    "obstacle", ["a folder's place is a file", "the file's place is a folder", "a path that is not UTF-8"]
)
def test_where_nothing_can_be_remembered_the_answer_is_the_same(obstacle: str, tmp_path: Path) -> None:
    path, memory = tmp_path / "model.safetensors", tmp_path / "known.json"
    if obstacle.startswith("a folder"):
        (tmp_path / "cache").write_text("")
        memory = tmp_path / "cache" / "known.json"
    if obstacle.startswith("the file"):
        memory.mkdir()
    if obstacle.startswith("a path"):
        path = tmp_path / os.fsdecode(b"model\xff.safetensors")
        try:
            path.touch()
        except OSError:
            pytest.skip("this file system has no such names")
    weights(path)
    for _ in range(2):
        assert remembered_fingerprint(path, memory) == file_fingerprint(path)
    assert not [one.name for one in tmp_path.iterdir() if one.name.endswith(".tmp")]
