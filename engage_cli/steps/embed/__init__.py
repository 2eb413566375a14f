"""Posts become vectors: what the store lacks is encoded, shard by shard, here, by torchrun's ranks or by Ray."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.general import ENGINES, EmbedConfig, EncoderConfig, setting_of_side
from engage_cli.data.dataset import FEATURES, Dataset
from engage_cli.data.schema import COVER_TEXT, EMBEDDED, side_of
from engage_cli.embeddings.manifest import Manifest
from engage_cli.embeddings.store import PLACEHOLDER_KEY, FeatureStore, StoredBlocks, content_keys
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.locks import hold_lock
from engage_cli.io.own_folders import own_data
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runtime.distributed import get_rank, get_world_size, together, wait_for_all
from engage_cli.runtime.timing import Clock
from engage_cli.steps.covers import stored_covers, with_cover_text
from engage_cli.steps.embed._shards import Contents, Shard, plan, write_shards
from engage_cli.steps.prepare.images import NOT_ASKED_FOR


@dataclass(frozen=True, kw_only=True)
class StoreSummary:
    """What embedding one side did."""

    side: str
    encoder: str
    folder: Path
    precision: str
    pooling: str
    dim: int
    vectors: int
    added: int
    cut_texts: int  # of the asked blocks' texts, those that the tower does not read to their end
    unknown_texts: int  # ... those with tokens that the vocabulary lacks
    image_problems: int
    seconds: float
    stages: dict[str, float]  # seconds of each stage, added up over threads and Ray's workers; of the first rank alone


def embed(
    dataset: Dataset,
    config: EncoderConfig,
    *,
    blocks: Sequence[str] = EMBEDDED,
    how: EmbedConfig | None = None,
    reporter: Reporter | None = None,
) -> list[StoreSummary]:
    """Encode every content of the asked blocks that the store lacks. Under torchrun each rank does its share."""
    reporter, how = reporter or SilentReporter(), how or EmbedConfig()
    _check(how)
    if COVER_TEXT in blocks:
        dataset = with_cover_text(dataset, reporter)
    with together():
        stores = open_stores(dataset, config, blocks)
        return [
            _fill(dataset, store, [b for b in blocks if side_of(b) == side], how, reporter)
            for side, store in stores.items()
        ]


def open_stores(dataset: Dataset, config: EncoderConfig, blocks: Sequence[str]) -> dict[str, FeatureStore]:
    """Open the store of each side that the blocks need."""
    sides = dict.fromkeys(side_of(block) for block in blocks)
    return {side: FeatureStore(dataset.features_dir, make_encoder(side, config)) for side in sides}


def make_encoder(side: str, config: EncoderConfig, *, is_proven: bool = False) -> Encoder:
    """Return the encoder of a side, as configured."""
    config = config.settled(is_own=False)
    return Encoder(
        side,
        {"vision": config.vision, "text": config.text}[side],
        precision=config.precision,
        pool=setting_of_side(config.pool, side, "depths"),
        resize=config.resize,
        tokens=config.tokens,
        dtype=config.dtype,
        is_proven=is_proven,
    )


def stored_blocks(
    dataset: Dataset, config: EncoderConfig, blocks: Sequence[str], reporter: Reporter | None = None
) -> StoredBlocks:
    """Return the blocks' source, embedding first (and saying so) whatever the store lacks."""
    reporter = reporter or SilentReporter()
    covers = None
    if COVER_TEXT in blocks:
        covers = stored_covers(dataset, reporter)
        dataset = with_cover_text(dataset, reporter)
    with together():
        stores = open_stores(dataset, config, blocks)
        lacking = sum(len(stores[side_of(block)].missing(content_keys(dataset.posts, block))) for block in blocks)
        is_whole = all(store.tells_of([b for b in blocks if side_of(b) == side]) for side, store in stores.items())
        wait_for_all()  # until every rank has looked: none writes before
        if lacking:
            reporter.say(f"{lacking:,} vectors are missing: embedding them first (as `engage embed` would)")
        if lacking or not is_whole:  # killed at its very end, or refused: say why again
            embed(dataset, config, blocks=blocks, reporter=reporter)
            stores = open_stores(dataset, config, blocks)
    return StoredBlocks(stores, covers)


def _check(how: EmbedConfig) -> None:
    if how.engine not in ENGINES:
        raise WrongCallError(f"unknown --engine '{how.engine}'; give one of: {', '.join(ENGINES)}")
    if how.batch_size != "auto" and not (how.batch_size.isdecimal() and int(how.batch_size) > 0):
        raise WrongCallError(f"--batch-size {how.batch_size}: give a number from 1, or auto")
    if how.engine == "ray" and get_world_size() > 1:
        raise WrongCallError("--engine ray starts its own workers: call it without torchrun")


def _fill(
    dataset: Dataset, store: FeatureStore, blocks: Sequence[str], how: EmbedConfig, reporter: Reporter
) -> StoreSummary:
    contents, is_first = Contents(dataset, blocks), get_rank() == 0
    started = time.perf_counter()
    before: Manifest | None = None
    with ExitStack() as stack:
        if is_first:
            path = own_data(dataset.folder).place(FEATURES, f".{store.folder.name}.lock")
            stack.enter_context(hold_lock(path, taken=f"another process is writing {store.folder}; wait for it to end"))
            before = _mend(store, reporter)
        wait_for_all()
        # What another process wrote until now is seen only after the lock is ours.
        store = FeatureStore(dataset.features_dir, store.encoder)
        shards = plan(store, contents.keys)
        if is_first:
            store.begin(writing=bool(shards))
        wait_for_all()  # until here nobody writes: every rank has made the same plan
        mine = shards[get_rank() :: get_world_size()]
        clock = Clock()
        clock.add_all(_write(dataset, store, contents, mine, how, reporter))
        wait_for_all()
        store = FeatureStore(dataset.features_dir, store.encoder)
        problems: list[tuple[str, str, str]] = []
        if is_first:
            if store.encoder.side == "vision":
                problems = _image_problems(dataset.posts, store)
                _check_images(dataset, problems)
            store.finish(problems, blocks=blocks, data=dataset.fingerprint, before=before)
    wanted = [key for key in dict.fromkeys(contents.keys) if key]
    num_cut, num_unknown = store.columns(("num_cut", "num_unknown"), wanted)
    return StoreSummary(
        side=store.encoder.side,
        encoder=store.encoder.checkpoint.name,
        folder=store.folder,
        precision=store.encoder.precision,
        pooling=store.encoder.pooling,
        dim=int(store.column("pooled", wanted[:1]).shape[-1]),
        vectors=len(store),
        added=sum(len(shard.keys) for shard in shards),
        cut_texts=int((num_cut > 0).sum()),
        unknown_texts=int((num_unknown > 0).sum()),
        image_problems=len(problems),
        seconds=round(time.perf_counter() - started, 2),
        stages={stage: round(seconds, 2) for stage, seconds in clock.seconds.items()},
    )


def _mend(store: FeatureStore, reporter: Reporter) -> Manifest | None:
    """Take away the shards that are damaged or of no manifest; return what the manifest records of the rest."""
    if not (store.numbers or store.manifest.exists()):
        return None
    with reporter.stage("verifying stored vectors", len(store.numbers)) as stage:
        return store.mend(reporter.say, stage.advance)


def _write(
    dataset: Dataset,
    store: FeatureStore,
    contents: Contents,
    shards: Sequence[Shard],
    how: EmbedConfig,
    reporter: Reporter,
) -> dict[str, float]:
    if not shards:
        return {}
    what = "images" if store.encoder.side == "vision" else "texts"
    share = f" (rank {get_rank()} of {get_world_size()})" if get_world_size() > 1 else ""
    with reporter.stage(f"turning {what} into numbers{share}", sum(len(shard.keys) for shard in shards)) as stage:
        if how.engine == "ray":
            from engage_cli.steps.embed._ray import write_shards_on_ray

            return write_shards_on_ray(dataset, store, contents.blocks, shards, how, stage.advance, reporter)
        return write_shards(store, contents, shards, how, advance=stage.advance, say=reporter.say)


def _image_problems(posts: pd.DataFrame, store: FeatureStore) -> list[tuple[str, str, str]]:
    """Return (id, image, problem) of each post without an image, also those that fail only when decoded whole."""
    keys = content_keys(posts, "image")
    decoded = store.column("decoded", keys).astype(bool)
    is_placeholder = np.array([key == PLACEHOLDER_KEY for key in keys], dtype=bool)
    not_asked_for = (posts["image_problem"] == NOT_ASKED_FOR).to_numpy(bool)
    without = np.flatnonzero((is_placeholder | ~decoded) & ~not_asked_for)
    columns = posts[["id", "image", "image_problem"]].iloc[without].itertuples(index=False)
    return [(str(post.id), str(post.image), str(post.image_problem) or "damaged or truncated") for post in columns]


def _check_images(dataset: Dataset, problems: Sequence[tuple[str, str, str]]) -> None:
    posts = dataset.posts
    root = dataset.images_of(posts["source"].iloc[0])
    if problems and len(problems) == len(posts) and root is not None:
        raise EngageError(f"no image in {root} can be decoded; the first is {posts['image'].iloc[0]}")
