"""The folder of chosen frames: its mark names the files that are ours, and those alone are ever replaced."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.io.files import atomic_write, half_written_of, sweep_dead
from engage_cli.io.own_folders import OwnFolder
from engage_cli.io.records import read_record, record, write_record

MARK = ".engage-frames.json"  # written first: the files that it names are ours
FINISHED = "frames.json"  # written last
KIND, VERSION = "engage frames", 1


@record
class Written:
    """What the mark holds."""

    names: tuple[str, ...]


def check_room(folder: Path, *, overwrite: bool) -> None:
    """Raise EngageError where frames may not be written into a folder. Nothing is changed yet."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise EngageError(f"{folder} is a file; name an empty or new folder with --out")
    if (folder / MARK).is_file():
        _read(folder)
        if (folder / FINISHED).exists() and not overwrite:
            raise EngageError(f"{folder} holds frames already; give --overwrite to replace them, or name another --out")
    elif any(half_written_of(entry.name) != MARK for entry in folder.iterdir()):
        raise EngageError(f"{folder} holds files that are not frames of engage; name an empty or new folder with --out")


def write_all(folder: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """Write files, each whole or not at all, in place of those of an earlier call; take them back where it is cut short."""
    check_room(folder, overwrite=overwrite)  # again: looking through a video takes a while
    folder.mkdir(parents=True, exist_ok=True)
    own = OwnFolder(folder, (MARK,))
    before = _read(folder) if (folder / MARK).is_file() else ()
    for name in files:
        if own.place(name).exists() and name not in before:
            raise EngageError(f"{folder / name} was not written by engage; move it, or name another folder with --out")
    sweep_dead(folder, MARK, *before, *files)
    for name in reversed(before):
        own.remove_file(folder / name)
    write_record(folder / MARK, Written(names=tuple(files)), kind=KIND, version=VERSION)
    try:
        for name, data in files.items():
            with atomic_write(own.place(name)) as beside:
                beside.write_bytes(data)
    except BaseException:
        for name in reversed(list(files)):
            own.remove_file(folder / name)
        raise


def _read(folder: Path) -> tuple[str, ...]:
    """Return the names of the files that are ours: plain names alone, whatever the mark says."""
    again = "what is ours there is unknown; name an empty or new folder with --out"
    names = read_record(folder / MARK, Written, kind=KIND, version=VERSION, again=again).names
    if any(Path(name).name != name for name in names):
        raise EngageError(f"{folder / MARK} names files in other folders; {again}")
    return names
