"""Raw posts become a data folder: checked, split, with targets fitted on the training rows."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli import __version__
from engage_cli.core.config import PARTS, PrepareConfig
from engage_cli.core.dataset import MARKER, POSTS_FILE, Dataset, save_dataset
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.images import ImageError, read_bytes, read_size, resolve_inside
from engage_cli.core.importers import IMPORTERS, Import
from engage_cli.core.posts import BOOKKEEPING_COLUMNS, CONTENT_COLUMNS, COUNTERS, EXTRA_COUNTERS, TEXT_COLUMNS
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.splits import SPLITS, UNUSED, find_groups, parse_fractions
from engage_cli.core.targets import TARGETS, fit_target


def prepare(
    config: PrepareConfig,
    *,
    folder: Path,
    pixelrec_dir: Path | None = None,
    table: Path | None = None,
    images_dir: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    with_images: bool = True,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Dataset:
    """Import posts from one source and write the data folder."""
    reporter = reporter or SilentReporter()
    fractions = parse_fractions(config.fractions)
    if config.fit_target_on not in ("train", "all"):
        raise WrongCallError(f"--fit-target-on {config.fit_target_on}: there are: train, all")
    if config.split != "auto":
        SPLITS.check(config.split)
    _check_source(pixelrec_dir, table, images_dir, mapping)
    if (folder / MARKER).exists() and not overwrite:
        raise EngageError(f"{folder} is a finished data folder; give --overwrite to replace it, or another --data")
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists() and not _is_unfinished(folder):
        raise EngageError(f"{folder} holds other files; name an empty or new folder with --data")
    imported = _import(pixelrec_dir, table, images_dir, mapping)
    posts, left_out = _leave_out(imported.posts)
    warnings = list(imported.warnings)
    posts, problems = _check_images(posts, imported, with_images=with_images, reporter=reporter)
    nothing = (posts["image_problem"] != "") & (posts[list(TEXT_COLUMNS)] == "").all(axis=1)
    if nothing.any():
        left_out["no image and no text"] = int(nothing.sum())
        posts = posts[~nothing].reset_index(drop=True)
    if posts.empty:
        raise EngageError(f"no usable post in {imported.source}: {_join(left_out)}")

    posts["group"] = find_groups(posts)
    has_dates = "posted_at" in posts and bool(posts["posted_at"].notna().any())
    method = config.split if config.split != "auto" else ("time" if has_dates else "random")
    posts["split"] = SPLITS.load(method)(posts, fractions, config.seed)
    group_sizes = posts["group"].value_counts()
    fit_rows = posts if config.fit_target_on == "all" else posts[posts["split"] == "train"]
    targets, unavailable = {}, {}
    for name in TARGETS:
        try:
            targets[name] = fit_target(name, fit_rows, fit_on=config.fit_target_on)
        except EngageError as error:
            unavailable[name] = str(error)
    if not targets:
        raise EngageError(f"no target can be computed from {imported.source}: {'; '.join(unavailable.values())}")
    for target in targets.values():
        warnings += target.warnings
        without = int((~np.isfinite(target.score(posts))).sum())
        if without:
            warnings.append(f"target {target.name}: {without:,} posts lack a counter it needs and are left out of it")
    if config.fit_target_on == "all":
        warnings.append("targets were fitted on all rows, test rows included (the study's way)")
    meta: dict[str, Any] = {
        "engage": __version__,
        "source": imported.source,
        "columns": imported.found,
        "images_dir": str(imported.images_dir.resolve()) if imported.images_dir and with_images else None,
        "config": dataclasses.asdict(config),
        "rows": {"read": len(imported.posts), "kept": len(posts), "left_out": left_out},
        "missing": {column: int((posts[column] == "").sum()) for column in TEXT_COLUMNS},
        "image_problems": problems,
        "split": {
            "method": method,
            "rows": {part: int((posts["split"] == part).sum()) for part in PARTS},
            "unused": int((posts["split"] == UNUSED).sum()),
            "groups_of_duplicates": int((group_sizes > 1).sum()),
            "rows_in_groups": int(group_sizes[group_sizes > 1].sum()),
        },
        "targets": {name: target.to_json() for name, target in targets.items()},
        "targets_unavailable": unavailable,
        "warnings": warnings,
    }
    columns = [*CONTENT_COLUMNS, *BOOKKEEPING_COLUMNS, *COUNTERS, *EXTRA_COUNTERS]
    return save_dataset(folder, posts[[column for column in columns if column in posts]], meta)


def _is_unfinished(folder: Path) -> bool:
    """Only what an interrupted `prepare --overwrite` leaves may lie there: our posts, features, temporary files."""
    ours = {POSTS_FILE, "features"}
    return all(entry.name in ours or entry.name.endswith(".tmp") for entry in folder.iterdir())


def _check_source(
    pixelrec_dir: Path | None, table: Path | None, images_dir: Path | None, mapping: Mapping[str, str] | None
) -> None:
    if (pixelrec_dir is None) == (table is None):
        raise WrongCallError("name one source: --pixelrec-dir DIR, or --table FILE --images-dir DIR")
    if pixelrec_dir is not None and (mapping or images_dir):
        raise WrongCallError("--map and --images-dir belong to --table; PixelRec's columns and covers are known")


def _import(
    pixelrec_dir: Path | None, table: Path | None, images_dir: Path | None, mapping: Mapping[str, str] | None
) -> Import:
    if pixelrec_dir is not None:
        return IMPORTERS.load("pixelrec")(pixelrec_dir)
    return IMPORTERS.load("table")(table, images_dir=images_dir, mapping=mapping)


def _leave_out(posts: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop rows that say nothing, count them by reason; stop at ids that two different posts share."""
    left_out: dict[str, int] = {}
    again = posts.duplicated()
    if again.any():
        left_out["the same row again"] = int(again.sum())
        posts = posts[~again]
    clash = posts["id"][posts["id"].duplicated()]
    if len(clash):
        raise EngageError(
            f"{len(clash):,} ids stand for several different posts, '{clash.iloc[0]}' (row {clash.index[0] + 1}) for one; "
            "make ids unique"
        )
    counters = [column for column in (*COUNTERS, *EXTRA_COUNTERS) if column in posts]
    empty = posts[counters].isna().all(axis=1)
    if empty.any():
        left_out["every counter missing"] = int(empty.sum())
        posts = posts[~empty]
    return posts.reset_index(drop=True), left_out


def _check_images(
    posts: pd.DataFrame, imported: Import, *, with_images: bool, reporter: Reporter
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Add image_hash (BLAKE2b of the bytes, "" without a usable image) and image_problem ("" without one)."""
    root = imported.images_dir
    if not with_images:
        hashes, reasons = [""] * len(posts), ["not asked for"] * len(posts)
    elif root is None:
        raise EngageError(
            f"no folder of images ({imported.source}); name it with --images-dir, or give --no-images to go without"
        )
    else:
        with ThreadPoolExecutor() as pool, reporter.stage("checking images", len(posts)) as stage:
            found = []
            for result in pool.map(lambda name: check_image(root, name), posts["image"].tolist(), chunksize=64):
                found.append(result)
                stage.advance()
        hashes, reasons = [digest for digest, _ in found], [reason for _, reason in found]
    posts = posts.assign(image_hash=hashes, image_problem=reasons)
    problems = {reason: num for reason, num in Counter(reasons).most_common() if reason}
    if with_images and sum(problems.values()) == len(posts) and len(posts):
        raise EngageError(
            f"no image in {root} can be opened: {_join(problems)} (the first post wants '{posts['image'].iloc[0]}'); "
            "check --images-dir, or give --no-images to go without"
        )
    return posts, problems


def check_image(root: Path, name: str) -> tuple[str, str]:
    """Return (hash of the bytes, "") for an image whose header reads, else ("", why not)."""
    if not name:
        return "", "no image named"
    try:
        data = read_bytes(resolve_inside(root, name))
        read_size(data)
    except ImageError as problem:
        return "", str(problem)
    return hashlib.blake2b(data, digest_size=16).hexdigest(), ""


def _join(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{num:,} {reason}" for reason, num in counts.items()) or "nothing was read"
