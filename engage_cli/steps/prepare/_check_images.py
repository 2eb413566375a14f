"""Every image opened once, on all cores; what was found is kept, so that a killed or repeated call opens no file again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from engage_cli.data.dataset import COVERS, IMAGES_FILE
from engage_cli.errors import EngageError
from engage_cli.images.archives import UNREADABLE_ARCHIVES, is_archive, unpack
from engage_cli.images.check import LEVELS, Checked, Stamp, check_images, stamp_of
from engage_cli.images.examine import examine
from engage_cli.io.own_folders import own_data
from engage_cli.io.sealed_table import Check, read_sealed, write_sealed
from engage_cli.near_names import did_you_mean_path
from engage_cli.progress.reporters import Reporter

BATCH = 128
FEW = 1000  # up to this many images, starting processes takes longer than the work
KIND = "engage checked images 1"
CHECKS: dict[str, Check] = {
    "root": lambda column: column.map(lambda value: isinstance(value, str)),
    "name": lambda column: column.map(lambda value: isinstance(value, str)),
    "size": lambda column: column >= -1,
    "mtime_ns": lambda column: column.map(lambda value: isinstance(value, int)),
    "level": lambda column: column.isin(LEVELS),
    "digest": lambda column: column.str.fullmatch(r"([0-9a-f]{32})?", na=False),
    "perceptual": lambda column: column.map(lambda value: isinstance(value, bytes) and len(value) in (0, 32)),
    "problem": lambda column: column.map(lambda value: isinstance(value, str)),
}
Key = tuple[str, str]  # root, name


class CheckedImages:
    """What is known of image files, from earlier calls and from this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[Key, tuple[Stamp, str, Checked]] = {}
        table = read_sealed(path, kind=KIND, columns=CHECKS)
        if table is not None:
            for root, name, size, mtime, level, *checked in table.itertuples(index=False, name=None):
                self._known[root, name] = (Stamp(size, mtime), level, Checked(*checked))

    def get(self, root: Path, name: str, level: str) -> Checked | None:
        """Return what is known at this level or a later one of a file that has not changed since."""
        stamp, known_level, checked = self._known.get((str(root), name), (None, "", None))
        if checked is None or LEVELS.index(known_level) < LEVELS.index(level) or stamp != stamp_of(root, name):
            return None
        return checked

    def put(self, root: Path, name: str, level: str, stamp: Stamp, checked: Checked) -> None:
        self._known[str(root), name] = (stamp, level, checked)

    def save(self) -> None:
        rows = [(*key, *stamp, level, *checked) for key, (stamp, level, checked) in self._known.items()]
        write_sealed(self._path, pd.DataFrame(rows, columns=list(CHECKS)), kind=KIND)


def check_all(
    names: Sequence[str], root: Path, *, level: str, folder: Path, title: str, reporter: Reporter
) -> list[Checked]:
    """Check the images of one source, in the order of `names`."""
    cache = CheckedImages(folder / IMAGES_FILE)
    found = {name: checked for name in dict.fromkeys(names) if (checked := cache.get(root, name, level)) is not None}
    todo = [name for name in dict.fromkeys(names) if name not in found]

    def keep(name: str, result: tuple[Stamp, Checked]) -> None:
        stamp, found[name] = result
        cache.put(root, name, level, stamp, found[name])

    look = partial(check_images, root, level=level)
    examine(
        todo,
        look,
        keep=keep,
        save=cache.save,
        title=title,
        what="images were checked",
        batch=BATCH,
        few=FEW,
        reporter=reporter,
    )
    return [found[name] for name in names]


def place_images(
    source: str, images: Path, names: Sequence[str], folder: Path, reporter: Reporter
) -> tuple[Path, dict[str, int]]:
    """Return the folder of a source's images, unpacking an archive into the data folder, and members refused by reason."""
    if images.is_dir():
        return images, {}
    if not images.exists():
        raise EngageError(f"no such file or folder of images: {images}; check the path{did_you_mean_path(images)}")
    if command := UNREADABLE_ARCHIVES.get(images.suffix.lower()):
        raise EngageError(
            f"the images are still packed in {images}: unpack them, as with "
            f"`cd {shlex.quote(str(images.parent))} && {command.format(name=shlex.quote(images.name))}`, and try again"
        )
    if not is_archive(images):
        raise EngageError(f"{images} is neither a folder of images nor an archive (.tar, .tar.gz, .zip)")
    place = own_data(folder).place(COVERS, source)
    wanted = {name for name in names if name}
    with reporter.stage(f"unpacking {images.name}", len(wanted)) as stage:
        refused = unpack(images, wanted, place, stage.advance)
    return place, refused
