"""Posts become vectors: what the store lacks is encoded, shard by shard."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from engage_cli.core.config import EncoderConfig
from engage_cli.core.dataset import Dataset
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.features import (
    PLACEHOLDER_KEY,
    FeatureStore,
    StoredBlocks,
    content_keys,
    side_of,
)
from engage_cli.core.images import ImageError, read_bytes, resolve_inside
from engage_cli.core.posts import BLOCKS, texts_of
from engage_cli.core.progress import Reporter, SilentReporter

SHARD_SIZE = {"vision": 128, "text": 2048}


@dataclass(frozen=True, kw_only=True)
class StoreSummary:
    """What embedding one side did."""

    side: str
    encoder: str
    folder: Path
    precision: str
    vectors: int
    added: int
    cut_texts: int
    image_problems: int


def embed(
    dataset: Dataset, config: EncoderConfig, *, blocks: Sequence[str] = BLOCKS, reporter: Reporter | None = None
) -> list[StoreSummary]:
    """Encode every content of the asked blocks that the store lacks."""
    reporter = reporter or SilentReporter()
    stores = open_stores(dataset, config, blocks)
    summaries = []
    for side, store in stores.items():
        store.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(dataset.features_dir / f".{store.folder.name}.lock", timeout=0):
                # What another process wrote until now is seen only after the lock is ours.
                store = FeatureStore(dataset.features_dir, store.encoder)
                summaries.append(_fill(dataset, store, [b for b in blocks if side_of(b) == side], reporter))
        except Timeout:
            raise EngageError(f"another process is writing {store.folder}; wait for it to end") from None
    return summaries


def open_stores(dataset: Dataset, config: EncoderConfig, blocks: Sequence[str]) -> dict[str, FeatureStore]:
    """Open the store of each side that the blocks need."""
    names = {"vision": config.vision, "text": config.text}
    return {
        side: FeatureStore(
            dataset.features_dir,
            Encoder(side, names[side], precision=config.precision, batch_size=config.batch_size),
        )
        for side in dict.fromkeys(side_of(block) for block in blocks)
    }


def stored_blocks(
    dataset: Dataset, config: EncoderConfig, blocks: Sequence[str], reporter: Reporter | None = None
) -> StoredBlocks:
    """Return the blocks' source, embedding first (and saying so) whatever the store lacks."""
    reporter = reporter or SilentReporter()
    stores = open_stores(dataset, config, blocks)
    lacking = sum(len(stores[side_of(block)].missing(content_keys(dataset.posts, block))) for block in blocks)
    if lacking:
        reporter.say(f"the store lacks {lacking:,} vectors: embedding first (as `engage embed` would)")
        embed(dataset, config, blocks=blocks, reporter=reporter)
        stores = open_stores(dataset, config, blocks)
    return StoredBlocks(stores)


def _fill(dataset: Dataset, store: FeatureStore, blocks: Sequence[str], reporter: Reporter) -> StoreSummary:
    posts, side = dataset.posts, store.encoder.side
    wanted: dict[str, str | int] = {}  # content key -> its text, or a row that has the image
    for block in blocks:
        contents: Sequence[str | int] = range(len(posts)) if block == "image" else texts_of(posts, block)
        wanted.update(dict(zip(reversed(content_keys(posts, block)), reversed(contents), strict=True)))
    ordered = [key for block in blocks for key in content_keys(posts, block)]
    todo = store.missing(ordered)
    cut = 0
    with reporter.stage(f"embedding {'images' if side == 'vision' else 'texts'}", len(todo)) as stage:
        for start in range(0, len(todo), SHARD_SIZE[side]):
            keys = todo[start : start + SHARD_SIZE[side]]
            if side == "vision":
                files = [_image_bytes(dataset, posts, key, wanted[key]) for key in keys]
                encoded = store.encoder.encode_images(files, stage.advance)
            else:
                encoded = store.encoder.encode_texts([str(wanted[key]) for key in keys], stage.advance)
            cut += encoded.num_cut
            store.append(keys, encoded.vectors, np.array([problem == "" for problem in encoded.problems]))
    problems = _image_problems(posts, store) if side == "vision" else []
    root = dataset.images_of(posts["source"].iloc[0])
    if side == "vision" and len(problems) == len(posts) and root is not None:
        raise EngageError(f"no image in {root} can be decoded; the first is {posts['image'].iloc[0]}")
    store.finish(problems, {"blocks": sorted(blocks), "data": dataset.fingerprint})
    return StoreSummary(
        side=side,
        encoder=store.encoder.checkpoint.name,
        folder=store.folder,
        precision=store.encoder.precision,
        vectors=len(store),
        added=len(todo),
        cut_texts=cut,
        image_problems=len(problems),
    )


def _image_bytes(dataset: Dataset, posts: pd.DataFrame, key: str, row: str | int) -> bytes | None:
    """Return the bytes that the key was made from; None for the placeholder."""
    root = dataset.images_of(posts["source"].iloc[int(row)])
    if key == PLACEHOLDER_KEY or root is None:
        return None
    name = posts["image"].iloc[int(row)]
    try:
        data = read_bytes(resolve_inside(root, name))
    except ImageError as problem:
        raise EngageError(f"{root / name}: {problem}, but it was there at `engage prepare`") from None
    if hashlib.blake2b(data, digest_size=16).hexdigest() != key:
        raise EngageError(f"{root / name} changed since `engage prepare`; run prepare --overwrite again")
    return data


def _image_problems(posts: pd.DataFrame, store: FeatureStore) -> list[tuple[str, str, str]]:
    """Return (id, image, problem) of each post without a picture, also those that fail only when decoded whole."""
    decoded = store.gather(content_keys(posts, "image")).mask[:, 0]
    return [
        (id, image, reason or "damaged or truncated")
        for id, image, reason, ok in zip(posts["id"], posts["image"], posts["image_problem"], decoded, strict=True)
        if not ok
    ]
