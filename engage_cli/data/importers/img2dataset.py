"""Shards of img2dataset, or any WebDataset: 00000.tar with images, and what is known of them in 00000.parquet or the tar.

img2dataset README, "Output format": key, status (success, failed_to_download, failed_to_resize), url, caption.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pandas as pd

from engage_cli.data.importers import Import, Packed
from engage_cli.data.importers.folders import Tree
from engage_cli.data.tables._columns import match_columns
from engage_cli.data.tables._documents import MOST_BYTES
from engage_cli.data.tables._flatten import Record
from engage_cli.data.tables.reading import Raw, raw_of_records, read_frame, read_json_text
from engage_cli.data.tables.typed import Typed
from engage_cli.errors import EngageError

LAYOUT = "00000.tar, 00001.tar, ... of img2dataset or WebDataset, with 00000.parquet or JSON in the tar"
OK = "success"
NOT_COLUMNS = (
    "key",
    "status",
    "error_message",
    "url",
    "width",
    "height",
    "original_width",
    "original_height",
    "exif",
    "sha256",
)


def _shards(tree: Tree) -> list[Path]:
    return [path for path in tree.files if path.suffix == ".tar" and path.stem.isdigit()]


def recognise(tree: Tree) -> bool:
    return bool(_shards(tree))


def read_img2dataset(folder: Path) -> Import:
    """Read all shards; an image that was not downloaded is none, and its post stays with its text."""
    shards = _shards(Tree(folder))
    if not shards:
        raise EngageError(f"no {LAYOUT} below {folder}")
    raws = [_read_shard(shard) for shard in shards]
    frame = pd.concat([raw.frame for raw in raws], ignore_index=True).fillna("").astype(str)
    numbers = frozenset.intersection(*(raw.numbers for raw in raws))
    raw = Raw(frame=frame, numbers=numbers)
    known = {ours: theirs for ours, theirs in {"id": "key", "title": "caption"}.items() if theirs in frame}
    matched = match_columns(raw, {}, folder, known=known)
    matched.found.pop("image", None)
    typed = Typed(frame, matched.found, folder, numbers=numbers)
    posts = typed.posts
    has_image = frame["status"] == OK if "status" in frame else pd.Series(True, index=frame.index)
    stems = [shard.stem for shard, part in zip(shards, raws, strict=True) for _ in range(len(part.frame))]
    posts["image"] = (pd.Series(stems, dtype=str) + "/" + frame["key"]).where(has_image, "")
    failed = frame["status"][~has_image].value_counts() if "status" in frame else pd.Series(dtype=int)
    notes = [f"{num:,} images were not downloaded ({status}); their posts have none" for status, num in failed.items()]
    return Import(
        posts=posts,
        source="img2dataset",
        images=folder,
        found=matched.found,
        unused=tuple(str(column) for column in frame if column not in (*matched.found.values(), "key", "status")),
        warnings=(*notes, *matched.notes, *typed.notes),
        problems=typed.problems,
        formats=typed.formats,
        packed=Packed(archives=tuple(shards)),
    )


def _read_shard(shard: Path) -> Raw:
    table = shard.with_suffix(".parquet")
    raw = read_frame(table) if table.is_file() else raw_of_records(_records_in(shard), shard)
    if "key" not in raw.frame:
        raise EngageError(f"{table if table.is_file() else shard} has no column 'key', which links images to rows")
    return raw


def _records_in(shard: Path) -> list[Record]:
    """Return the objects of NAME.json in a tar, each with its name as `key`; NAME.txt is its caption."""
    records: dict[str, dict[str, object]] = {}
    try:
        with tarfile.open(shard, "r|") as tar:
            for member in tar:
                stem, _, suffix = Path(member.name).name.partition(".")
                if not member.isreg() or suffix not in ("json", "txt", "caption") or member.size > MOST_BYTES:
                    continue
                content = tar.extractfile(member)
                text = content.read().decode("utf-8", "replace") if content is not None else ""
                found = read_json_text(text, f"{shard}, {member.name}") if suffix == "json" else {"caption": text}
                record = records.setdefault(stem, {"key": stem})
                record |= (
                    {name: value for name, value in found.items() if name not in record} if isinstance(found, dict) else {}
                )
    except tarfile.TarError as error:
        raise EngageError(f"{shard} is damaged: {error}; get it again") from None
    return list(records.values())
