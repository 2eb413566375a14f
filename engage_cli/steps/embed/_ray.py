"""The same stages on a Ray cluster: Ray Data hands shards to a pool of workers, and hands them out again when one dies.

Each worker holds one encoder and writes whole shards into the store, which must lie on a disk that all machines share.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engage_cli.config.general import EmbedConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.schema import COVER_TEXT
from engage_cli.embeddings.store import FeatureStore
from engage_cli.encoders.encoder import Encoder, EncoderIdentity
from engage_cli.errors import EngageError
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runtime.ray_pieces import ray_session, share_cluster
from engage_cli.runtime.timing import Clock
from engage_cli.steps.covers import with_cover_text
from engage_cli.steps.embed._shards import Contents, Shard, write_shards

SHARDS_PER_CALL = 4  # in one call a worker reads the next shard while it computes on this one
FAILED = "engage_failed"


class ShardWriter:
    """A worker: it loads the posts and the encoder once, then writes the shards that Ray gives it."""

    def __init__(
        self, folder: str, side: str, name: str, record: EncoderIdentity, blocks: list[str], config: EmbedConfig
    ) -> None:
        self.dataset, self.config = load_dataset(Path(folder)), config
        if COVER_TEXT in blocks:
            self.dataset = with_cover_text(self.dataset, SilentReporter())
        self.encoder = Encoder(
            side,
            name,
            precision=record["precision"],
            pool=record["pooling"],
            tokens=record["tokens"],
            dtype=record["dtype"],
            resize=record["resize"],
        )
        self.differs = self.encoder.record != record
        self.contents = Contents(self.dataset, blocks)

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
        """Write the shards of a batch {"number", "keys"}; those that a worker before this one has written are kept."""
        shards = [Shard(int(n), keys.split()) for n, keys in zip(batch["number"], batch["keys"], strict=True)]
        store = FeatureStore(self.dataset.features_dir, self.encoder)
        clock, failed = Clock(), ""
        if self.differs:
            failed = f"the encoder '{self.encoder.checkpoint.name}' on {os.uname().nodename} differs from the one here"
        else:
            try:
                left = [shard for shard in shards if shard.number not in store.numbers]
                clock.add_all(write_shards(store, self.contents, left, self.config))
            except EngageError as error:  # the user's to mend: said once by the command, not retried by Ray
                failed = str(error)
        seconds = clock.seconds
        return {
            "rows": [sum(len(shard.keys) for shard in shards)],
            "stages": [list(seconds)],
            "seconds": [list(seconds.values())],
            FAILED: [failed],
        }


def write_shards_on_ray(
    dataset: Dataset,
    store: FeatureStore,
    blocks: Sequence[str],
    shards: Sequence[Shard],
    config: EmbedConfig,
    advance: Callable[[int], None],
    reporter: Reporter,
) -> dict[str, float]:
    """Write shards by a pool of Ray workers; return the seconds of each stage, added up over the workers."""
    with ray_session() as ray:
        from ray.data import DataContext, from_items

        _quiet(DataContext.get_current())
        share = share_cluster(ray, config.workers, len(shards), reporter)
        rows = [{"number": shard.number, "keys": " ".join(shard.keys)} for shard in shards]
        written = from_items(rows, override_num_blocks=len(rows)).map_batches(
            ShardWriter,
            fn_constructor_args=(
                str(dataset.folder.resolve()),
                store.encoder.side,
                store.encoder.checkpoint.name,
                store.encoder.record,
                list(blocks),
                config,
            ),
            batch_size=min(SHARDS_PER_CALL, max(1, len(shards) // (2 * share.workers))),
            concurrency=share.workers,
            num_cpus=1 if share.gpus else share.cores,
            num_gpus=share.gpus,
        )
        clock = Clock()
        for row in written.iter_rows():
            if row[FAILED]:
                raise EngageError(row[FAILED])
            clock.add_all(dict(zip(row["stages"], row["seconds"], strict=True)))
            advance(int(row["rows"]))
        return clock.seconds


def _quiet(context: Any) -> None:
    """Leave the progress to our own reporter."""
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
