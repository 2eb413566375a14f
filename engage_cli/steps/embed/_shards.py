"""A list of shards becomes files: what one process, one rank of torchrun and one Ray worker do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from engage_cli.config.general import EmbedConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import side_of, texts_of
from engage_cli.embeddings.pipeline import Encoded, Pipeline, Unit
from engage_cli.embeddings.store import PLACEHOLDER_KEY, FeatureStore, content_keys
from engage_cli.images.reader import ReadImage, no_image, read_unchanged

SHARD_SIZE = {"vision": 256, "text": 2048}  # a kill costs at most so many vectors
WRITES_AHEAD = 2


class Shard(NamedTuple):
    """A shard that is to be written: its number, and the content keys of its rows."""

    number: int
    keys: list[str]


class Contents:
    """What lies behind content keys, for the blocks of one encoder."""

    def __init__(self, dataset: Dataset, blocks: Sequence[str]) -> None:
        self.dataset, self.blocks = dataset, blocks

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all posts, block by block, as often as they occur."""
        return [key for block in self.blocks for key in content_keys(self.dataset.posts, block)]

    @cached_property
    def _texts(self) -> dict[str, str]:
        texts = [text for block in self.blocks for text in texts_of(self.dataset.posts, block)]
        return dict(zip(self.keys, texts, strict=True))

    @cached_property
    def _rows(self) -> dict[str, int]:
        """Of each image the first post that has it."""
        keys = self.keys
        return dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))

    @cached_property
    def _places(self) -> tuple[list[str], list[str], dict[str, Path | None]]:
        """The source and the image name of every post, and where the images of each source are."""
        sources, names = (self.dataset.posts[column].tolist() for column in ("source", "image"))
        return sources, names, {source: self.dataset.images_of(source) for source in set(sources)}

    def unit(self, shard: Shard) -> Unit:
        """Return a shard's contents: texts, or functions that read images."""
        if side_of(self.blocks[0]) == "text":
            return Unit(shard.number, [self._texts[key] for key in shard.keys])
        return Unit(shard.number, [self._reader(key) for key in shard.keys])

    def _reader(self, key: str) -> ReadImage:
        sources, names, roots = self._places
        row = self._rows[key]
        root = roots[sources[row]]
        return no_image if key == PLACEHOLDER_KEY or root is None else partial(read_unchanged, root, names[row], key)


def plan(store: FeatureStore, keys: Sequence[str]) -> list[Shard]:
    """Cut what the store lacks into shards. Given again after a kill, the rest of the plan is the same."""
    todo, numbers = store.missing(keys), store.free_numbers()
    size = SHARD_SIZE[store.encoder.side]
    return [Shard(next(numbers), todo[start : start + size]) for start in range(0, len(todo), size)]


def write_shards(
    store: FeatureStore,
    contents: Contents,
    shards: Sequence[Shard],
    config: EmbedConfig,
    *,
    advance: Callable[[int], None] = lambda num: None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Encode and write shards, reading, arithmetic and writing at once; return the seconds of each stage."""
    batch_size = None if config.batch_size == "auto" else int(config.batch_size)
    num = sum(len(shard.keys) for shard in shards)
    pipeline = Pipeline(store.encoder, batch_size=batch_size, num_images=num, compile=config.compile, say=say)
    keys: dict[int, list[str]] = {}

    def units() -> Iterator[Unit]:
        for shard in shards:
            keys[shard.number] = shard.keys
            yield contents.unit(shard)

    def write(number: int, encoded: Encoded) -> None:
        with pipeline.clock.wall("write"):
            store.write(number, keys.pop(number), encoded)

    writes: list[Future[None]] = []
    with ThreadPoolExecutor(1) as writer, closing(pipeline.run(units(), advance)) as encoded_units:
        for unit, encoded in encoded_units:
            writes.append(writer.submit(write, unit.name, encoded))
            for done in list(islice(writes, max(0, len(writes) - WRITES_AHEAD))):
                done.result()
                writes.remove(done)
        for rest in writes:
            rest.result()
    return pipeline.clock.seconds
