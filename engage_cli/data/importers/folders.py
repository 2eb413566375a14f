"""What folders of data sets have in common: one file of a pattern, and images in a folder or still packed."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path

from engage_cli.config.general import DATA_MARK
from engage_cli.errors import EngageError
from engage_cli.images.archives import UNREADABLE_ARCHIVES, is_archive
from engage_cli.near_names import did_you_mean_path

IMAGE_FOLDER = re.compile(r"(^|[ _-])(covers?|images?)$", re.IGNORECASE)
IMAGE_ARCHIVE = re.compile(r"(^|[ _-])(covers?|images?)[ ._-]", re.IGNORECASE)
MOST_SUBFOLDERS = 1000  # a folder with more is one of images by user, and holds no table


class Tree:
    """The files below a folder at any depth, folders of images left unopened: they can hold millions."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            if folder.exists():
                raise EngageError(f"{folder} is a file; name its folder")
            raise EngageError(f"no such folder: {folder}{did_you_mean_path(folder, folder=True)}")
        self.folder = folder
        self.files: list[Path] = []
        self.image_folders: list[Path] = []
        for place, folders, names in os.walk(folder):
            if DATA_MARK in names:  # a data folder that `prepare` made here
                folders.clear()
                continue
            images = [name for name in folders if IMAGE_FOLDER.search(name)]
            self.image_folders += [Path(place, name) for name in images]
            self.files += [Path(place, name) for name in names]
            folders[:] = sorted(set(folders) - set(images)) if len(folders) <= MOST_SUBFOLDERS else []
        self.files.sort()
        self.image_folders.sort(key=lambda path: (len(path.parts), path))

    def find(self, *patterns: str) -> list[Path]:
        """Return the files whose name fits the first pattern that fits any."""
        for pattern in patterns:
            if paths := [path for path in self.files if fnmatch(path.name, pattern)]:
                return paths
        return []

    def one(self, *patterns: str) -> Path:
        """Return the one such file; raise EngageError where there is none or several."""
        paths = self.find(*patterns)
        if not paths:
            raise EngageError(f"no {' or '.join(patterns)} below {self.folder}; there is: {listing(self.folder)}")
        if len(paths) > 1:
            some = ", ".join(map(str, paths[:5]))
            raise EngageError(f"several files below {self.folder} could be the table, name the folder of one: {some}")
        return paths[0]

    def images(self) -> Path | None:
        """Return the folder of images, or the archive of one, readable or not; None where there is neither."""
        if self.image_folders:
            return self.image_folders[0]
        packed = [path for path in self.files if IMAGE_ARCHIVE.search(path.name)]
        for path in packed:
            if is_archive(path):
                return path
        return next((path for path in packed if path.suffix.lower() in UNREADABLE_ARCHIVES), None)


def listing(folder: Path) -> str:
    """Return the first names in a folder, for a message."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    more = f" and {len(names) - 10:,} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more if names else "nothing"
