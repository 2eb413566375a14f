"""SMPD, the Social Media Prediction data set of Flickr: row-aligned files, and a ready-made popularity score.

Wu et al. 2019, "SMP Challenge: An Overview of Social Media Prediction Challenge", arXiv:1910.01795. File names of the
first releases and of 2020 are known.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from engage_cli.data.importers import Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.schema import OWN
from engage_cli.data.tables.reading import frame_of_records, read_json_text, read_text
from engage_cli.data.tables.typed import Typed
from engage_cli.errors import EngageError
from engage_cli.images.archives import is_archive

PATHS = ("train_img_filepath.txt", "train_img.txt")
LABELS = "train_label.txt"
# What is read of each JSON file (first release's name, name of 2020): their field -> ours.
RECORDS: dict[tuple[str, str], dict[str, str]] = {
    ("train_text.json", "train_tags.json"): {"Title": "title", "Alltags": "tags"},
    ("train_category.json", "train_category.json"): {
        "Category": "category",
        "Subcategory": "subcategory",
        "Concept": "concept",
    },
    ("train_temporalspatial_information.json", "train_temporalspatial.json"): {"Postdate": "posted_at"},
}
OWN_FIELDS = ("category", "subcategory", "concept")
NOTHING = ("none", "null", "nan")
LAYOUT = f"{' or '.join(PATHS)}, {LABELS}, and the row-aligned train_*.json, at any depth"


def recognise(tree: Tree) -> bool:
    return bool(tree.find(*PATHS))


def read_smpd(folder: Path) -> Import:
    """Read the training part, which alone has scores: target `given`. Authors and dates are known, counters are not."""
    tree = Tree(folder)
    paths_file, labels_file = tree.one(*PATHS), tree.one(LABELS)
    paths, labels = _lines(paths_file), _lines(labels_file)
    if len(paths) != len(labels):
        raise EngageError(f"{paths_file} has {len(paths):,} rows and {labels_file} {len(labels):,}; they must be aligned")
    users, posts = _parse_paths(paths, paths_file)
    found = {"id": "Pid", "author": "Uid", "image": paths_file.name, "score": labels_file.name}
    raw = pd.DataFrame(dict(zip(found.values(), (posts, users, paths, labels), strict=True)), dtype=str)
    notes = []
    for names, fields in RECORDS.items():
        if not tree.find(*names):
            notes.append(
                f"no {' or '.join(dict.fromkeys(names))} below {folder}: posts are without {', '.join(fields.values())}"
            )
            continue
        path = tree.one(*names)
        records = _read_records(path, len(raw), posts)
        for theirs, ours in fields.items():
            if theirs in records:
                raw[theirs] = records[theirs].mask(records[theirs].str.strip().str.lower().isin(NOTHING), "")
                found[OWN + ours if ours in OWN_FIELDS else ours] = theirs
    keep = [theirs for ours, theirs in found.items() if ours.startswith(OWN)]
    typed = Typed(raw, {ours: theirs for ours, theirs in found.items() if not ours.startswith(OWN)}, folder, keep)
    typed.posts.columns = [column.lower() if column.startswith(OWN) else column for column in typed.posts.columns]
    return Import(
        posts=typed.posts,
        source="smpd",
        images=_find_images(tree, paths),
        found=found,
        warnings=(*notes, *typed.notes),
        problems=typed.problems,
    )


def _lines(path: Path) -> list[str]:
    lines = [line.strip() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise EngageError(f"{path} is empty; get the dataset's file again")
    return lines


def _parse_paths(paths: list[str], file: Path) -> tuple[list[str], list[str]]:
    users, posts = [], []
    for number, path in enumerate(paths, start=1):
        parts = re.fullmatch(r"(?:.*/)?([^/]+)/([^/]+)\.\w+", path)
        if parts is None:
            raise EngageError(f"{file}, row {number}: '{path[:60]}' is not a train/<Uid>/<Pid>.jpg")
        users.append(parts[1])
        posts.append(parts[2])
    return users, posts


def _read_records(path: Path, num: int, posts: list[str]) -> pd.DataFrame:
    """Return the records as text; raise EngageError where they are not aligned with the paths."""
    records = read_json_text(read_text(path), str(path))
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise EngageError(f"{path}: expected a list of JSON objects")
    if len(records) != num:
        raise EngageError(f"{path} has {len(records):,} records where the paths have {num:,} rows; they must be aligned")
    frame = frame_of_records(records, path)
    if "Pid" in frame:
        wrong = frame["Pid"].str.strip() != pd.Series(posts, dtype=str)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise EngageError(
                f"{path}, row {row + 1}: Pid '{frame['Pid'].iloc[row]}' where the path has '{posts[row]}'; "
                "the files must be aligned"
            )
    return frame


def _find_images(tree: Tree, paths: list[str]) -> Path | None:
    """Return the folder that the paths are relative to, or an archive; None where there is neither."""
    for folder in dict.fromkeys((tree.folder, *tree.image_folders, *(file.parent for file in tree.files))):
        if any((folder / path).is_file() for path in paths[:20]) or (folder / paths[0]).parent.is_dir():
            return folder
    archives = [path for path in tree.files if is_archive(path)]
    return archives[0] if archives else tree.images()
