"""Which file of a folder is the cover of which post: as the table names it, or called after the id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from engage_cli.images.decode import find_by_stem


def find_images(posts: pd.DataFrame, images_dir: Path, found: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return each post's image, relative to the folder, and notes.

    A post's `image` cell counts as it stands. Where no cell names a file that is there, the files are looked for by the
    cells' names without folder and suffix, and by the ids.
    """
    named = [str(name) for name in posts["image"]] if "image" in posts else []
    if any(_is_there(images_dir, name) for name in named if name):
        return named, []
    by_stem = find_by_stem(images_dir)
    ids = posts["id"].astype(str)
    by_id = [by_stem.get(id, id + ".jpg") for id in ids]
    if not any(named):
        return by_id, []
    column = found.get("image", "image")
    stems = [PurePosixPath(name.replace("\\", "/")).name for name in named]
    by_name = [by_stem.get(stem) or by_stem.get(PurePosixPath(stem).stem) for stem in stems]
    num_named = sum(name is not None for name in by_name)
    num_ids = sum(id in by_stem for id in ids)
    if not max(num_named, num_ids):
        return named, []
    if num_named >= num_ids:
        note = f"column '{column}' names no file of {images_dir}; files with these names and a suffix were used"
        taken = [new or old for new, old in zip(by_name, named, strict=True)]
        return taken, [note] if column != found.get("id") else []
    example = next(name for name in named if name)[:60]
    return by_id, [
        f"column '{column}' names no file of {images_dir}, such as '{example}'; files named after the id were used"
    ]


def _is_there(folder: Path, name: str) -> bool:
    return "\0" not in name and len(name) < 4096 and os.path.lexists(os.path.join(folder, name)) and name not in (".", "..")
