"""Folders of our own, and the only ways in which anything in them is removed.

A folder is ours where one of its marks, a plain file that is written before all else, lies in it. The user may name it by a
link. Below it nothing is written, swept or removed through a link: what a link leads to is somebody else's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from engage_cli.config.general import DATA_MARK
from engage_cli.errors import EngageError

HALF_WRITTEN = (".*.tmp", ".tmp*")  # what io.files, and what safetensors, write beside the place of a file

DATA_MARKS = (DATA_MARK, "dataset.json")  # data.dataset's marker: that of an older engage may stand alone
RUN_MARKS = ("run.json",)  # what runs.run_folder writes first


@dataclass(frozen=True)
class OwnFolder:
    """A folder that carries one of `marks`; what is removed lies in it."""

    root: Path
    marks: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        return any(is_plain_file(self.root / mark) for mark in self.marks)

    def place(self, *parts: str | Path) -> Path:
        """Return root/parts; raise EngageError where a part of the way below root is a link."""
        path = self.root
        for part in Path(*parts).parts:
            path = path / part
            refuse_link(path)
        return path

    def remove_file(self, path: Path) -> None:
        """Remove a plain file, if it is there."""
        if self._find(path) is not None:
            remove_plain(path)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder with all in it, if it is there; links in it go, what they lead to stays.

        Of root itself the marks go last: a call that is killed meanwhile leaves a folder that is ours still.
        """
        if self._find(path) is None:
            return
        if path == self.root:
            with os.scandir(path) as entries:
                others = [entry for entry in entries if entry.name not in self.marks]
            for entry in others:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
        shutil.rmtree(path)

    def sweep(self, folder: Path, *patterns: str) -> None:
        """Remove the plain files of a folder whose names fit; no other entry, and no link."""
        if self._find(folder) is None:
            return
        for path in plain_files(folder):
            if fits(path.name, *patterns):
                path.unlink(missing_ok=True)

    def _find(self, path: Path) -> os.stat_result | None:
        """Return what lies at path, None for nothing; raise EngageError where it may not be removed."""
        found = _lstat(self.place(path.relative_to(self.root)))
        if found is not None and not self.is_ours:
            raise EngageError(f"{self.root} has no {' or '.join(self.marks)}, so engage does not remove {path}")
        return found


def fits(name: str, *patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def own_data(folder: Path) -> OwnFolder:
    return OwnFolder(folder, DATA_MARKS)


def own_run(folder: Path) -> OwnFolder:
    """Return a run's folder, finished or not."""
    return OwnFolder(folder, RUN_MARKS)


def plain_files(folder: Path) -> Iterator[Path]:
    """Yield the plain files of a folder, by name; of a link or of nothing, none."""
    if os.path.islink(folder) or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    yield from (folder / name for name in names)


def is_plain_file(path: Path) -> bool:
    """Say whether a file lies there itself, not a link to one."""
    found = _lstat(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def remove_plain(path: Path) -> None:
    """Remove a file of ours, if it is there; raise EngageError where a link stands in its place."""
    refuse_link(path)
    path.unlink(missing_ok=True)


def refuse_link(path: Path) -> None:
    """Raise EngageError where path is a symbolic link."""
    if os.path.islink(path):
        raise EngageError(
            f"{path} is a symbolic link; engage does not write or remove through links: "
            "put the file or folder itself there, or name another place"
        )


def _lstat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.lstat(path)
    return None
