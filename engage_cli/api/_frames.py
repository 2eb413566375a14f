"""A DataFrame becomes a table and image files, as the steps read them."""

from __future__ import annotations

import datetime
import io
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageFile

from engage_cli.images.decode import ImageError, resolve_inside
from engage_cli.near_names import did_you_mean, did_you_mean_path

TABLE, IMAGES = "posts.jsonl", "images"
USUAL = "image"  # the column of images where none is named
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


@dataclass(frozen=True, kw_only=True)
class WrittenPosts:
    """Where the posts of a DataFrame lie now."""

    table: Path  # JSON lines, a line a row, in their order
    images: Path | None  # the folder that names of images are relative to; None where no image is known
    mapping: dict[str, str]  # our column -> the DataFrame's, as the caller gave it


def write_posts(
    posts: pd.DataFrame, folder: Path, *, image_column: str | None, images_dir: str | os.PathLike[str] | None
) -> WrittenPosts:
    """Write rows, and those images that are not files, into `folder`; raise ValueError for what are not posts."""
    check_frame(posts)
    if image_column is not None and image_column not in posts.columns:
        there = ", ".join(posts.columns) + did_you_mean(image_column, posts.columns)
        raise ValueError(f"image_column='{image_column}': there is no such column; give one of: {there}")
    column = image_column or (USUAL if USUAL in posts.columns else None)
    root = None if images_dir is None else Path(images_dir).absolute()
    if root is not None and not root.is_dir():
        raise ValueError(f"images_dir='{images_dir}': there is no such folder{did_you_mean_path(root)}")
    columns = {name: posts[name].tolist() for name in posts.columns}
    if column is not None:
        root, columns[column] = _place_images(columns[column], column, folder / IMAGES, root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("w", encoding="utf-8") as file:
        for number in range(len(posts)):
            row = {name: _plain(cells[number], name, number) for name, cells in columns.items()}
            file.write(json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n")
    return WrittenPosts(table=folder / TABLE, images=root, mapping={"image": column} if column is not None else {})


def check_frame(posts: pd.DataFrame) -> None:
    """Raise TypeError for what is not a DataFrame, ValueError for one without rows or with unclear columns."""
    if not isinstance(posts, pd.DataFrame):
        raise TypeError(f"expected posts as a pandas DataFrame with one row per post, got {type(posts).__name__}")
    if posts.empty:
        raise ValueError("the DataFrame has no rows or no columns")
    if strange := [name for name in posts.columns if not isinstance(name, str)]:
        raise ValueError(f"the name of a column must be a text; this one is {strange[0]!r}")
    if posts.columns.has_duplicates:
        raise ValueError(f"two columns are called '{posts.columns[posts.columns.duplicated()][0]}'; rename one")


def _place_images(cells: Sequence[Any], column: str, made: Path, root: Path | None) -> tuple[Path | None, list[str]]:
    """Return the folder of the images and each one's name in it; "" is a post without.

    Files stay where they are, unless some of the images are not files: then all are written into `made`.
    """
    kinds = [_kind(cell, column, row) for row, cell in enumerate(cells)]
    if not any(kinds):
        return root, [""] * len(cells)
    if "memory" not in kinds:
        paths = [Path(cell) if kind else None for cell, kind in zip(cells, kinds, strict=True)]
        if root is None:
            absolute = [None if path is None else Path(os.path.abspath(path)) for path in paths]
            root = Path(os.path.commonpath([path.parent for path in absolute if path is not None]))
            root = next(folder for folder in (root, *root.parents) if folder.is_dir())
            return root, ["" if path is None else str(path.relative_to(root)) for path in absolute]
        return root, ["" if path is None else _inside(path, root, row) for row, path in enumerate(paths)]
    if made.is_dir():  # of an earlier call of ours
        shutil.rmtree(made)
    made.mkdir(parents=True)
    names = []
    for row, (cell, kind) in enumerate(zip(cells, kinds, strict=True)):
        names.append(f"{row}.png" if kind == "memory" else "" if not kind else f"{row}{Path(cell).suffix}")
        if kind == "memory":
            (made / names[row]).write_bytes(cell if isinstance(cell, bytes) else _file_bytes(cell))
        elif kind:
            source = _file_of(root, cell)
            if source.is_file():  # else the post is one without a usable image, as it is where all are files
                shutil.copyfile(source, made / names[row])
    return made, names


def _file_of(root: Path | None, name: str | Path) -> Path:
    """Return the file of an image that is named below `root`, or from here; raise ValueError where it leaves `root`."""
    if root is None:
        return Path(name)
    try:
        return resolve_inside(root, str(name))
    except ImageError as problem:
        raise ValueError(f"image {name}: {problem}") from None


def _inside(path: Path, root: Path, row: int) -> str:
    if not path.is_absolute():
        return str(path)
    if not path.is_relative_to(root):
        raise ValueError(f"row {row}: the image {path} lies outside images_dir {root}")
    return str(path.relative_to(root))


def _kind(cell: Any, column: str, row: int) -> str:
    """Return "memory" for the image itself, "file" for its name, "" for none."""
    if isinstance(cell, (bytes, Image.Image)):
        return "memory" if not isinstance(cell, bytes) or cell else ""
    if isinstance(cell, (str, Path)):
        return "file" if str(cell).strip() else ""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    raise ValueError(
        f"column '{column}', row {row}: expected an image as a path, bytes or a PIL.Image, got {type(cell).__name__}"
    )


def _file_bytes(image: Image.Image) -> bytes:
    """Write an image without loss; what a viewer turns by its EXIF tags stays so.

    A file that was opened and not yet decoded is taken as it is: a JPEG decoded small differs a little from its PNG.
    """
    if isinstance(image, ImageFile.ImageFile) and image.tile and image.fp is not None:
        place = image.fp.tell()
        image.fp.seek(0)
        data = image.fp.read()
        image.fp.seek(place)
        return data
    kept = image if image.mode in PNG_MODES else image.convert("RGB")
    out = io.BytesIO()
    kept.save(out, "PNG", exif=image.getexif())
    return out.getvalue()


def _plain(cell: Any, column: str, row: int) -> Any:
    """Return what JSON can say of a cell: null for an unknown one, a date as ISO 8601."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and not math.isfinite(cell)):
        return None
    if isinstance(cell, (datetime.datetime, datetime.date)):
        return cell.isoformat()
    if isinstance(cell, (list, tuple, set)):
        return [_plain(one, column, row) for one in cell]
    if isinstance(cell, (bytes, Image.Image)):
        raise ValueError(f"column '{column}', row {row}, holds an image; name it with image_column='{column}'")
    return cell if isinstance(cell, (str, bool, int, float)) else str(cell)
