"""An archive becomes a run folder: every entry checked before it is written, every file by its hash, the name last."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.io.files import sweep_dead
from engage_cli.near_names import did_you_mean_path
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.arrival import arriving
from engage_cli.runs.run_folder import FIRST, MARKER, MEMBERS, TARGET_FILE, Run, load_run, verify_run
from engage_cli.runs.travel_format import CARD_FILE, MOST_BYTES, MOST_ENTRIES, MOST_ENTRY_BYTES, SUFFIXES

NAME = re.compile(rf"({MEMBERS}/[^./\\\x00-\x1f][^/\\\x00-\x1f]{{0,199}}/)?[^./\\\x00-\x1f][^/\\\x00-\x1f]{{0,199}}")
AGAIN = "get the archive again from whoever made it"
CHUNK = 1 << 20
NO_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    UnicodeError,
)  # RuntimeError: encrypted


def import_run(archive: Path, folder: Path, *, reporter: Reporter | None = None) -> Run:
    """Write the run of an archive into a new folder; raise EngageError where anything about the archive is wrong.

    A call that is killed leaves a hidden folder that no command takes for a run, and the next call removes it. A folder
    that holds the archive's run is verified and left as it is.
    """
    reporter = reporter or SilentReporter()
    if not archive.is_file():
        near = "" if archive.exists() else did_you_mean_path(archive)
        raise EngageError(f"{archive} is not a file; name an archive that `engage export` wrote{near}")
    if _is_there(archive, folder):
        sweep_dead(folder.parent, folder.name)
        reporter.say(f"{folder} holds this run already; verifying it")
        return verify_run(folder)
    with arriving(folder, option="--run") as place:
        _unpack(archive, place, reporter)
        try:
            verify_run(place)
            _check_entries(place)
        except EngageError as error:
            raise EngageError(f"{archive}: {str(error).replace(f'{place}/', '').rpartition(';')[0]}; {AGAIN}") from None
    return load_run(folder)


def _is_there(archive: Path, folder: Path) -> bool:
    """Say whether the folder has the archive's own marker, which tells the hash of every file."""
    marker = folder / MARKER
    if folder.is_symlink() or marker.is_symlink() or not marker.is_file():
        return False
    try:
        with zipfile.ZipFile(archive) as packed:
            entry = packed.getinfo(MARKER)
            return entry.file_size == marker.stat().st_size and packed.read(entry) == marker.read_bytes()
    except (*NO_ARCHIVE, KeyError):
        return False  # unpacking reports what is wrong with it


def _unpack(archive: Path, place: Path, reporter: Reporter) -> None:
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = packed.infolist()
            _check(archive, entries)
            with reporter.stage("unpacking", len(entries)) as stage:
                for entry in entries:
                    if entry.filename != CARD_FILE:  # the folder itself tells what the card tells
                        _write(packed, entry, place / entry.filename)
                    stage.advance(1)
    except NO_ARCHIVE as error:
        raise EngageError(f"{archive} is damaged, or not an archive of a run ({error}); {AGAIN}") from None


def _check(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise EngageError for the first entry that a run's archive does not have; nothing is written before."""
    if len(entries) > MOST_ENTRIES:
        raise EngageError(f"{archive} has {len(entries):,} entries; a run has at most {MOST_ENTRIES:,}; {AGAIN}")
    seen: set[str] = set()
    for entry in entries:
        name, mode = entry.filename, entry.external_attr >> 16
        why = ""
        if entry.orig_filename != name or (name != CARD_FILE and NAME.fullmatch(name) is None):
            why = "its name is not that of a file of a run folder"
        elif name != CARD_FILE and not name.endswith(SUFFIXES):
            why = "a run folder has no such file"
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            why = "it is a link or a device, not a file"
        elif name.casefold() in seen:
            why = "it is there twice"
        elif entry.flag_bits & 1:
            why = "it is encrypted"
        elif entry.file_size > MOST_ENTRY_BYTES:
            why = f"it unpacks to {entry.file_size:,} bytes, and the limit is {MOST_ENTRY_BYTES:,}"
        if why:
            raise EngageError(f"{archive}: entry '{name[:100]}': {why}; {AGAIN}")
        seen.add(name.casefold())
    if (total := sum(entry.file_size for entry in entries)) > MOST_BYTES:
        raise EngageError(f"{archive} unpacks to {total:,} bytes, and the limit is {MOST_BYTES:,}; {AGAIN}")
    if missing := [name for name in (FIRST, TARGET_FILE, MARKER) if name not in seen]:
        raise EngageError(f"{archive} is not an archive of a run: it has no {missing[0]}; {AGAIN}")


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with packed.open(entry) as source, path.open("xb") as file:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{entry.filename} is larger than it says")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _check_entries(place: Path) -> None:
    """Raise EngageError for a file that no marker names."""
    run = load_run(place)
    known = {MARKER, *run.done.files}
    if run.meta.is_ensemble:
        for member in run.members:
            known |= {f"{MEMBERS}/{member.folder.name}/{name}" for name in (MARKER, *member.done.files)}
    for path in sorted(place.rglob("*")):
        if path.is_file() and (name := path.relative_to(place).as_posix()) not in known:
            raise EngageError(f"the entry '{name}' is not recorded by the run's marker; remove it")
