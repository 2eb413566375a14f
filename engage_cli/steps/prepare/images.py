"""The posts' images: placed, checked, and what was found written beside each post."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.preparation import PrepareConfig
from engage_cli.errors import EngageError
from engage_cli.images.archives import is_archive
from engage_cli.images.decode import find_by_stem
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.prepare._check_images import check_all, place_images
from engage_cli.steps.prepare._draft import Draft
from engage_cli.steps.prepare._packed_images import place_packed
from engage_cli.steps.prepare.import_posts import ImportedPosts

NOT_ASKED_FOR = "not asked for"


def check_images_of(
    draft: Draft, imported: ImportedPosts, config: PrepareConfig, folder: Path, *, with_images: bool, reporter: Reporter
) -> None:
    """Add image_hash (BLAKE2b of the bytes, "" without a usable image) and image_problem ("" where it is usable)."""
    posts = draft.posts
    if not with_images:
        draft.posts = posts.assign(image_hash="", image_problem=NOT_ASKED_FOR)
        draft.images = dict.fromkeys(imported.images)
        return
    level = "full" if config.verify_images else "reduced" if config.dedupe else "header"
    digests, problems = np.full(len(posts), "", object), np.full(len(posts), "", object)
    perceptual = np.full(len(posts), b"", object)
    for source, images in imported.images.items():
        if images is None:
            raise EngageError(
                f"no folder of images ({source}); name it with --images-dir, or give --no-images to go without"
            )
        rows = np.flatnonzero((posts["source"] == source).to_numpy())
        paths = posts["image"].iloc[rows]
        if (packed := imported.packed.get(source)) is not None:
            placed = place_packed(
                packed, posts.iloc[rows], source, folder, reporter, allow_private=config.private_addresses
            )
            posts.loc[rows, "image"] = np.array(placed.names, object)
            draft.warnings += [
                f"{source}: {num:,} images could not be downloaded: {why}" for why, num in placed.refused.items()
            ]
            images = placed.root
            if any(placed.problems):
                lost = np.zeros(len(posts), bool)
                lost[rows] = np.array(placed.problems, object) != ""
                draft.note_problems(lost, [f"image not fetched: {problem}" for problem in placed.problems if problem])
        elif is_archive(images):  # its images lie flat where they are unpacked
            posts.loc[rows, "image"] = _flat_names(paths, images).to_numpy()
        root, refused = place_images(source, images, paths.tolist(), folder, reporter)
        if root != images:
            by_stem = find_by_stem(root)
            named = [by_stem.get(name, name) for name in posts["image"].iloc[rows]]
            posts.loc[rows, "image"] = np.array(named, object)
        draft.warnings += [f"{images.name}: {num:,} members refused: {reason}" for reason, num in refused.items()]
        draft.images[source] = root
        title = f"checking images of {source}" if len(imported.images) > 1 else "checking images"
        found = check_all(
            posts["image"].iloc[rows].tolist(), root.resolve(), level=level, folder=folder, title=title, reporter=reporter
        )
        for name, values in zip((digests, perceptual, problems), zip(*found, strict=True), strict=True):
            name[rows] = np.array(values, object)
    draft.posts = posts.assign(image_hash=digests.astype(str), image_problem=problems.astype(str))
    draft.perceptual = perceptual.tolist() if level != "header" else None
    bad = problems != ""
    draft.note_problems(bad, [f"image: {reason}" for reason in problems[bad]])
    if bad.all():
        place = next(images for images in imported.images.values() if images is not None)
        counts = ", ".join(f"{num:,} {reason}" for reason, num in count_problems(draft.posts).items())
        raise EngageError(
            f"no image in {place} can be opened: {counts} (the first post names "
            f"'{posts['image'].iloc[0]}'); check --images-dir, or give --no-images to go without"
        )


def count_problems(posts: pd.DataFrame) -> dict[str, int]:
    """Return how many posts have no usable image, by reason."""
    return {reason: num for reason, num in Counter(posts["image_problem"]).most_common() if reason}


def _flat_names(paths: pd.Series, archive: Path) -> pd.Series:
    """Return the paths without their folders; raise EngageError where that makes two different paths one."""
    names = paths.str.replace(r"^.*/", "", regex=True)
    distinct = pd.DataFrame({"path": paths, "name": names}).drop_duplicates()
    again = distinct[distinct["name"].duplicated(keep=False)]
    if len(again):
        first, second = again.sort_values("name")["path"].iloc[:2]
        raise EngageError(
            f"{archive}: posts name '{first}' and '{second}', which unpack to one and the same file; "
            "unpack the archive and name its folder"
        )
    return names
