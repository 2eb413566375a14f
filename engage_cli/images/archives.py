"""Packed images: only the members that are asked for by name leave an archive, each into one folder, as a plain file.

A member's own path is never followed: `../x.jpg`, absolute paths, links and devices cannot reach outside, and no member
takes the name of a file of ours. What was unpacked before is not unpacked again. An archive that unpacks to far more than
images can be packed into is given up.
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
from typing import IO, Any

from engage_cli.errors import EngageError
from engage_cli.images.decode import IMAGE_SUFFIXES, MOST_BYTES
from engage_cli.io.files import atomic_write, fingerprint, read_json, write_json
from engage_cli.io.own_folders import HALF_WRITTEN, OwnFolder, fits, is_plain_file

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
FURTHER_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
COMPRESSED = {".gz": gzip, ".tgz": gzip, ".bz2": bz2, ".xz": lzma}
UNREADABLE_ARCHIVES = {".7z": "7z x {name} -ocover", ".rar": "unrar x {name} cover/"}  # and what unpacks them
MOST_HEADER_BYTES = 1 << 20  # of a tar's further header, as of a long name: tarfile holds it in memory
# Images are packed already. What unpacks to far more than the archive's own size is none of them.
MOST_EXPANSION, ALWAYS_UNPACKED = 100, 1 << 30  # times, bytes
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
    before = _read_mark(folder / DONE)
    counted = before.get("refused")
    if before.get("wanted") == names and isinstance(counted, dict) and all(isinstance(n, int) for n in counted.values()):
        return counted
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
            elif is_wanted and path.name.startswith("."):  # as are all files of ours beside the images
                reason = "hidden file"
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
    except NotImplementedError as error:  # a packing that zipfile does not know
        raise EngageError(f"{archive} cannot be unpacked: {error}; pack it again as .tar.gz") from None
    write_json(folder / DONE, {"wanted": names, "refused": refused})
    return refused


def _make_room(folder: Path, source: dict[str, object]) -> None:
    """Keep what comes from this very archive, and remove what another one left: its images are not these posts'.

    Nothing is removed from a folder that does not carry our mark, nor anything but plain files.
    """
    own = OwnFolder(folder, (STARTED,))
    if folder.is_dir():
        names = {entry.name for entry in folder.iterdir()}
        if not own.is_ours and (others := sorted(name for name in names if not fits(name, *HALF_WRITTEN))):
            raise EngageError(f"{folder} holds files that engage did not unpack ({others[0]}); move them elsewhere")
        if own.is_ours:
            own.sweep(folder, *HALF_WRITTEN)
    if _read_mark(folder / STARTED) == source:
        return
    if own.is_ours:
        for name in sorted(names - {STARTED}, key=lambda name: name != DONE):
            own.remove_file(folder / name)
    write_json(folder / STARTED, source)
    OwnFolder(folder, (STARTED,)).sweep(folder, *HALF_WRITTEN)  # of a call that was killed while it wrote the mark


def _read_mark(path: Path) -> Mapping[str, object]:
    """Return a mark of ours; nothing where it is absent or damaged: the archive is unpacked again."""
    try:
        return read_json(path) if is_plain_file(path) else {}
    except (ValueError, AssertionError, RecursionError):
        return {}


def _ends_alike(member: PurePosixPath, asked: PurePosixPath) -> bool:
    length = min(len(member.parts), len(asked.parts))
    return member.parts[-length:] == asked.parts[-length:]


Member = tuple[str, int, str, Callable[[], IO[bytes]]]  # name, bytes, why it is refused or "", how to open it


def _read_tar(archive: Path) -> Iterator[Member]:
    opened = next((module for suffix, module in COMPRESSED.items() if archive.name.lower().endswith(suffix)), None)
    file = opened.open(archive) if opened else archive.open("rb")
    counted: Any = _Counted(file, _Budget(archive))
    # Read once from front to back. A decompressor of its own sees where the file ends early; tarfile's does not.
    with file, tarfile.open(fileobj=counted, mode="r|", tarinfo=_Header) as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # it keeps every member otherwise
            if member.isdir():
                continue

            def open_member(member: tarfile.TarInfo = member) -> IO[bytes]:
                content = tar.extractfile(member)
                assert content is not None
                return content

            yield member.name, member.size, "" if member.isreg() else "no plain file", open_member


class _Header(tarfile.TarInfo):
    """A member's header; tarfile reads what a further header says of itself whole, whatever its size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in FURTHER_HEADERS and header.size > MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


class _Budget:
    """What an archive may unpack to; more raises ReadError."""

    def __init__(self, archive: Path) -> None:
        self.num, self.most = 0, max(ALWAYS_UNPACKED, MOST_EXPANSION * archive.stat().st_size)

    def spend(self, num: int) -> None:
        self.num += num
        if self.num > self.most:
            raise tarfile.ReadError(f"it unpacks to more than {MOST_EXPANSION} times its size, as images do not")


class _Counted:
    """A file whose reader spends a budget."""

    def __init__(self, file: IO[bytes], budget: _Budget) -> None:
        self.file, self.budget = file, budget

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.budget.spend(len(data))
        return data


def _read_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        budget = _Budget(archive)
        for member in packed.infolist():
            if member.is_dir():
                continue
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000

            def open_member(member: zipfile.ZipInfo = member) -> IO[bytes]:
                budget.spend(member.file_size)
                return packed.open(member)

            yield member.filename, member.file_size, "no plain file" if is_link else "", open_member


def _write(open_member: Callable[[], IO[bytes]], path: Path, size: int) -> None:
    if is_plain_file(path) and path.stat().st_size == size:
        return
    with open_member() as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) != size:
        raise tarfile.ReadError("unexpected end of data")
    with atomic_write(path) as beside:
        beside.write_bytes(data)
