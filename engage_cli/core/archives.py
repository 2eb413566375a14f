"""Packed images: only the members that are asked for by name leave an archive, each into one folder, as a plain file.

A member's own path is never followed: `../x.jpg`, absolute paths, links and devices cannot reach outside. What was
unpacked before is not unpacked again.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from engage_cli.core.atomic import fingerprint, read_json, replacing, write_json
from engage_cli.core.errors import EngageError
from engage_cli.core.images import IMAGE_SUFFIXES

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
COMPRESSED = {".gz": gzip, ".tgz": gzip, ".bz2": bz2, ".xz": lzma}
UNREADABLE_ARCHIVES = {".7z": "7z x {name} -ocover", ".rar": "unrar x {name} cover/"}  # and what unpacks them
MOST_BYTES = 64 << 20  # an image larger than this is none
STARTED = ".unpacking.json"  # written first: the archive that the files beside it come from
DONE = ".unpacked.json"  # written last: the names that were asked for, and what was refused


def is_archive(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith((*TAR_SUFFIXES, ".zip"))


def unpack(archive: Path, wanted: Collection[str], folder: Path, advance: Callable[[], None]) -> dict[str, int]:
    """Write each wanted file into `folder` under its bare name; return how many members were refused, by reason.

    A member is wanted where one of the two paths ends with the other: `cover/i0.jpg` serves `i0.jpg`, and `7/1.jpg` serves
    `train/7/1.jpg`. A name without suffix is served by an image of that stem. Bare names in `wanted` are distinct.
    """
    stat = archive.stat()
    source = {"archive": str(archive.resolve()), "size": stat.st_size, "mtime": stat.st_mtime_ns}
    names = fingerprint(sorted(set(wanted)))
    _make_room(folder, source)
    if (folder / DONE).is_file() and (before := read_json(folder / DONE))["wanted"] == names:
        return dict(before["refused"])
    refused: dict[str, int] = {}
    asked = {PurePosixPath(path).name: PurePosixPath(path) for path in wanted}
    left = set(asked)
    members = _read_zip if archive.name.lower().endswith(".zip") else _read_tar
    try:
        for name, size, reason, open_member in members(archive):
            path = PurePosixPath(name.replace("\\", "/"))
            key = path.name if path.name in asked or path.suffix.lower() not in IMAGE_SUFFIXES else path.stem
            is_wanted = key in asked and _ends_alike(path.with_name(key), asked[key])
            if path.is_absolute() or ".." in path.parts:
                reason = "path leaves the archive"
            elif is_wanted and key not in left:
                reason = "a second file of the same name"
            elif is_wanted and size > MOST_BYTES:
                reason = "larger than 64 MiB"
            if reason:
                refused[reason] = refused.get(reason, 0) + 1
            elif is_wanted:
                left.discard(key)
                _write(open_member, folder / path.name, size)
                advance()
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None and not isinstance(error, tarfile.TarError):
            raise  # the disk, not the archive
        done = len(asked) - len(left)
        raise EngageError(f"{archive} is damaged or encrypted after {done:,} images: {error}; get it again") from None
    write_json(folder / DONE, {"wanted": names, "refused": refused})
    return refused


def _make_room(folder: Path, source: Mapping[str, object]) -> None:
    """Keep what comes from this very archive, and remove what another one left: its pictures are not these posts'."""
    is_same = (folder / STARTED).is_file() and read_json(folder / STARTED) == source
    if folder.is_dir():
        for entry in folder.iterdir():
            if not is_same or entry.name.endswith(".tmp"):  # half a file from a call that was killed
                entry.unlink()
    if not is_same:
        write_json(folder / STARTED, source)


def _ends_alike(member: PurePosixPath, asked: PurePosixPath) -> bool:
    length = min(len(member.parts), len(asked.parts))
    return member.parts[-length:] == asked.parts[-length:]


Member = tuple[str, int, str, Callable[[], IO[bytes]]]  # name, bytes, why it is refused or "", how to open it


def _read_tar(archive: Path) -> Iterator[Member]:
    opened = next((module for suffix, module in COMPRESSED.items() if archive.name.lower().endswith(suffix)), None)
    file = opened.open(archive) if opened else archive.open("rb")
    # Read once from front to back. A decompressor of its own sees where the file ends early; tarfile's does not.
    with file, tarfile.open(fileobj=file, mode="r|") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps every member otherwise
            if member.isdir():
                continue

            def open_member(member: tarfile.TarInfo = member) -> IO[bytes]:
                content = tar.extractfile(member)
                assert content is not None
                return content

            yield member.name, member.size, "" if member.isreg() else "no plain file", open_member


def _read_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.is_dir():
                continue
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000

            def open_member(member: zipfile.ZipInfo = member) -> IO[bytes]:
                return packed.open(member)

            yield member.filename, member.file_size, "no plain file" if is_link else "", open_member


def _write(open_member: Callable[[], IO[bytes]], path: Path, size: int) -> None:
    if path.is_file() and path.stat().st_size == size:
        return
    with open_member() as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) != size:
        raise tarfile.ReadError("unexpected end of data")
    with replacing(path) as beside:
        beside.write_bytes(data)
