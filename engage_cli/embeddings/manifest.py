"""A feature store's manifest, typed, and its shards, verified: they show what a store holds without its encoder.

A shard carries a hash of its own tensors, so that what a killed writer left is verified too; the manifest, written last,
holds the hash of every shard's file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import xxhash
from pydantic import StringConstraints
from safetensors import SafetensorError
from safetensors.numpy import load

from engage_cli.data.schema import BLOCKS
from engage_cli.errors import EngageError
from engage_cli.io.ranges import Count
from engage_cli.io.record_fields import Fingerprint, Hash, one_of
from engage_cli.io.records import read_record, record, write_record

KIND, VERSION = "engage features", 2
MANIFEST = "manifest.json"
SHARD = re.compile(r"^shard-(\d{5,9})\.safetensors$")
KEY_BYTES = 16
OWN_HASH = "hash"  # the tensor with the hash of all others
AGAIN = "run `engage embed` again, which embeds what is damaged anew"

ShardName = Annotated[str, StringConstraints(pattern=SHARD.pattern)]


@record
class EncoderMeta:
    """All that decides about the vectors, and what the user called the encoder."""

    name: str
    side: Annotated[str, one_of("vision", "text")]
    revision: Fingerprint
    precision: Annotated[str, one_of("fp32", "bf16", "fp16")]
    pooling: str
    tokens: Count
    dtype: Annotated[str, one_of("fp16", "fp32")]
    normalised: bool
    resize: Annotated[str, one_of("native", "squash")]
    preprocessing: str


@record
class Manifest:
    """What a finished store holds."""

    encoder: EncoderMeta
    blocks: tuple[Annotated[str, one_of(*BLOCKS)], ...]
    data: Fingerprint  # of the posts that were embedded last
    vectors: Count
    shards: dict[ShardName, Hash]


def read_manifest(folder: Path) -> Manifest:
    """Read a store's manifest; raise EngageError for whatever is wrong with it."""
    return read_record(folder / MANIFEST, Manifest, kind=KIND, version=VERSION, again=AGAIN)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_record(folder / MANIFEST, manifest, kind=KIND, version=VERSION)


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def shard_numbers(folder: Path) -> list[int]:
    """Return the numbers of the shards that lie in a store, ascending."""
    names = folder.iterdir() if folder.is_dir() else ()
    return sorted(int(found[1]) for path in names if (found := SHARD.match(path.name)))


def parse_shard(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Parse a shard's tensors from its bytes; raise EngageError where they are none."""
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise EngageError(f"the shard {path} is damaged ({str(error)[:120]}); {AGAIN}") from None


def hash_of_tensors(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """(16,) uint8: the XXH3 hash of names, dtypes, shapes and values, OWN_HASH left out."""
    digest = xxhash.xxh3_128()
    for name in sorted(tensors.keys() - {OWN_HASH}):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.view(np.uint8).reshape(-1).data if tensor.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)


def check_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise EngageError where a shard's tensors are not those that its writer hashed."""
    own = tensors.get(OWN_HASH)
    if own is None or own.dtype != np.uint8 or not np.array_equal(own, hash_of_tensors(tensors)):
        raise EngageError(f"the shard {path} was changed or damaged: its tensors do not match their hash; {AGAIN}")
