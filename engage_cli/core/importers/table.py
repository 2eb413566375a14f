"""Any table: csv, tsv, jsonl or parquet, its columns found by name, by well-known alias, or by --map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.images import find_by_stem
from engage_cli.core.importers import Import
from engage_cli.core.importers.columns import Typed, match_columns
from engage_cli.core.importers.delimited import warn_of_swallowed_rows
from engage_cli.core.importers.reading import read_frame
from engage_cli.core.posts import GIVEN_PART, KNOWN_AFTER, OWN, TEXT_COLUMNS, is_counter_name

END_OF_TIME = pd.Timestamp("2200-01-01", tz="UTC")


def read_table(
    path: Path,
    *,
    images_dir: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    split_column: str = "",
) -> Import:
    """Read posts from one file.

    `mapping` is our column -> the file's column and wins over what is found by name; `keep` names columns of the
    file that the user declares known before publication; `split_column` has the part of each post. `images_dir` may be
    an archive.
    """
    if images_dir is not None and not images_dir.exists():
        raise EngageError(f"no such image folder: {images_dir}")
    raw, notes, delimiter = read_frame(path)
    found = match_columns(list(raw.columns), mapping or {}, path)
    for column in keep:
        if column not in raw.columns:
            raise WrongCallError(f"--keep {column}: {path} has no such column; it has: {', '.join(raw.columns)}")
        ours = next((ours for ours, theirs in found.items() if theirs == column), None)
        if ours in KNOWN_AFTER or is_counter_name(column):
            raise WrongCallError(f"--keep {column}: that is a counter, known only after publication")
        if ours is not None:
            raise WrongCallError(f"--keep {column}: {path} has it as '{ours}', which is kept anyway")
    if split_column and split_column not in raw.columns:
        raise WrongCallError(
            f"--split-from {split_column}: no such file, and {path} has no such column; it has: {', '.join(raw.columns)}"
        )
    if delimiter:
        notes += warn_of_swallowed_rows(raw, found, delimiter, path)
    typed = Typed(raw, found, path, keep)
    posts = typed.posts
    if split_column:
        posts[GIVEN_PART] = raw[split_column].str.strip()
    if images_dir is not None and images_dir.is_dir():
        posts["image"] = find_images(posts, images_dir)
    elif "image" not in posts:
        posts["image"] = posts["id"] if images_dir is not None else ""  # in an archive, under any suffix
    return Import(
        posts=posts,
        source=path.name,
        images=images_dir,
        found=found,
        unused=tuple(column for column in raw.columns if column not in (*found.values(), *keep, split_column)),
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
    )


def read_unpublished(path: Path, *, images_dir: Path | None, mapping: Mapping[str, str], reads: Sequence[str]) -> Import:
    """Read posts that are to be predicted; of counters, and of columns of the user's own, only those that a run `reads`.

    They may be published at any time to come.
    """
    if images_dir is not None and not images_dir.is_dir():
        raise EngageError(f"no such image folder: {images_dir}")
    raw, notes, delimiter = read_frame(path)
    matched = match_columns(list(raw.columns), mapping, path, needs_counter=False)
    found = {ours: theirs for ours, theirs in matched.items() if ours not in KNOWN_AFTER or ours in reads}
    if not set(found) & {"image", *TEXT_COLUMNS} and images_dir is None:
        raise EngageError(
            f"{path} has no column with an image or a text that could be found by name; it has the columns: "
            f"{', '.join(raw.columns)}; name one, as in --map title={raw.columns[0]}"
        )
    own = [name.removeprefix(OWN) for name in reads if name.startswith(OWN)]
    keep = [name for name in own if name in raw.columns]
    if delimiter:
        notes += warn_of_swallowed_rows(raw, found, delimiter, path)
    typed = Typed(raw, found, path, keep, now=END_OF_TIME)
    posts = typed.posts
    if images_dir is not None:
        posts["image"] = find_images(posts, images_dir)
    elif "image" not in posts:
        posts["image"] = ""
    return Import(
        posts=posts,
        source=path.stem,
        images=images_dir,
        found=found,
        unused=tuple(column for column in raw.columns if column not in (*found.values(), *keep)),
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
    )


def find_images(posts: pd.DataFrame, images_dir: Path) -> list[str]:
    """Return each post's image, relative to the folder: its `image` column as it stands, or the file named by its id."""
    if "image" in posts:
        return [str(name) for name in posts["image"]]
    by_stem = find_by_stem(images_dir)
    return [by_stem.get(id, id + ".jpg") for id in posts["id"]]
