"""Drawn vectors into a data folder's store, through the writer of `engage embed`: no encoder runs.

python -m drawn.store DATA WORLD    (from the folder benchmarks)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from drawn.posts import Vectors, World
from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.schema import BLOCKS, side_of
from engage_cli.embeddings.pipeline import Encoded
from engage_cli.embeddings.store import content_keys
from engage_cli.steps.embed import open_stores
from engage_cli.steps.embed._shards import plan


def fill(data: Path, world: Path) -> None:
    """Write a vector of every content that the store lacks; of posts that share one, by the first."""
    dataset = load_dataset(data)
    with np.load(world) as arrays:
        vectors = Vectors(World(**arrays))
    rows = dataset.posts["id"].str.removeprefix("i").astype(int).to_numpy()
    for side, store in open_stores(dataset, EncoderConfig(), BLOCKS).items():
        blocks = [block for block in BLOCKS if side_of(block) == side]
        keys = {block: content_keys(dataset.posts, block) for block in blocks}
        where: dict[str, tuple[str, int]] = {}
        for block in blocks:
            for key, row in zip(keys[block], rows.tolist(), strict=True):
                where.setdefault(key, (block, row))
        shards = plan(store, [key for block in blocks for key in keys[block]])
        store.begin(writing=bool(shards))
        for shard in shards:
            drawn = np.zeros((len(shard.keys), 0), np.float16)
            for block in blocks:
                some = [place for place, key in enumerate(shard.keys) if where[key][0] == block]
                if some:
                    found = vectors.of(block, np.array([where[shard.keys[place]][1] for place in some]))
                    drawn = drawn if drawn.shape[1] else np.zeros((len(shard.keys), found.shape[1]), np.float16)
                    drawn[some] = found
            nothing = np.zeros(len(drawn), np.int32)
            store.write(shard.number, shard.keys, Encoded(drawn, None, None, [""] * len(drawn), nothing, nothing))
        filled = open_stores(dataset, EncoderConfig(), blocks)[side]
        filled.finish([], blocks=blocks, data=dataset.fingerprint, before=None)


if __name__ == "__main__":
    fill(Path(sys.argv[1]), Path(sys.argv[2]))
