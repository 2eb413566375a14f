"""The store of embeddings: vectors by content, in shards that are whole or absent, and the manifest written last.

features/<encoder>-<hash>/ shard-00000.safetensors ...  problems.csv  manifest.json

A vector is filed under the hash of what was encoded (the image's bytes, the text), so that equal contents are
encoded once and a post that changes costs one vector. A block is a view: which content each post has.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engage_cli.core.atomic import file_fingerprint, fingerprint, read_json, replacing, write_json, write_text
from engage_cli.core.encoders import CHECKPOINTS
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.posts import texts_of

KEY_BYTES = 16
PLACEHOLDER_KEY = hashlib.blake2b(b"the neutral placeholder", digest_size=KEY_BYTES).hexdigest()


class Block(NamedTuple):
    """One block of many posts."""

    values: np.ndarray  # (n, T, D) float32; the placeholder's vector or zeros where mask is False
    mask: np.ndarray  # (n, T) bool, True where the post has that content


class BlockSource(Protocol):
    """Where a model gets its blocks: the store, or the encoders themselves."""

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]: ...


def side_of(block: str) -> str:
    return "vision" if block == "image" else "text"


def content_keys(posts: pd.DataFrame, block: str) -> list[str]:
    """Return each post's content key: the placeholder's for a missing image, "" for an empty text."""
    if block == "image":
        return [key or PLACEHOLDER_KEY for key in posts["image_hash"]]
    return [text_key(text) if text else "" for text in texts_of(posts, block)]


def text_key(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).hexdigest()


class FeatureStore:
    """The vectors of one encoder. Opening reads only the keys; vectors are read when gathered."""

    def __init__(self, features_dir: Path, encoder: Encoder) -> None:
        name = encoder.checkpoint.name if encoder.checkpoint.name in CHECKPOINTS[encoder.side] else "local"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        self.folder = features_dir / f"{slug}-{encoder.side}-{fingerprint(encoder.record)}"
        self.encoder = encoder
        self._where: dict[str, tuple[int, int]] = {}
        self._num_shards = 0
        while (path := self._shard(self._num_shards)).is_file():
            for row, key in enumerate(self._read(path, "keys")):
                self._where[bytes(key).hex()] = (self._num_shards, row)
            self._num_shards += 1

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def __len__(self) -> int:
        return len(self._where)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys without a vector, each once, in order of appearance."""
        return [key for key in dict.fromkeys(keys) if key and key not in self._where]

    def append(self, keys: Sequence[str], vectors: np.ndarray, decoded: np.ndarray) -> None:
        """Write the next shard: vectors (n, D), and whether each content could be decoded."""
        self.manifest.unlink(missing_ok=True)
        raw_keys = np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), KEY_BYTES)
        with replacing(self._shard(self._num_shards)) as beside:
            tensors = {"keys": raw_keys, "pooled": vectors.astype(np.float32), "decoded": decoded.astype(np.uint8)}
            save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, beside)
        for row, key in enumerate(keys):
            self._where[key] = (self._num_shards, row)
        self._num_shards += 1

    def finish(self, problems: Sequence[tuple[str, str, str]], facts: dict[str, Any]) -> None:
        """Write problems.csv (id, image, problem), then the manifest."""
        if problems:
            text = io.StringIO()
            csv.writer(text).writerows([("id", "image", "problem"), *problems])
            write_text(self.folder / "problems.csv", text.getvalue())
        shards = [self._shard(number) for number in range(self._num_shards)]
        content = {
            "encoder": {"name": self.encoder.checkpoint.name, **self.encoder.record},
            **facts,
            "vectors": len(self),
            "shards": {path.name: file_fingerprint(path) for path in shards},
        }
        if not self.manifest.is_file() or read_json(self.manifest) != content:
            write_json(self.manifest, content)

    def gather(self, keys: Sequence[str]) -> Block:
        """Return the vectors of keys as a block with one token; raise EngageError where one is missing."""
        if missing := self.missing(keys):
            raise EngageError(f"{self.folder} lacks {len(missing):,} vectors; run `engage embed` again")
        places = np.array([self._where.get(key, (-1, -1)) for key in keys], dtype=np.int64).reshape(-1, 2)
        values: np.ndarray | None = None
        mask = np.zeros(len(keys), dtype=bool)
        for shard in np.unique(places[:, 0][places[:, 0] >= 0]):
            rows = np.flatnonzero(places[:, 0] == shard)
            pooled = self._read(self._shard(int(shard)), "pooled")
            if values is None:
                values = np.zeros((len(keys), pooled.shape[1]), np.float32)
            values[rows] = pooled[places[rows, 1]]
            mask[rows] = self._read(self._shard(int(shard)), "decoded")[places[rows, 1]].astype(bool)
        if values is None:  # every text is empty
            values = np.zeros((len(keys), self.encoder.tower.pooled_dim), np.float32)
        mask &= np.array([key != PLACEHOLDER_KEY for key in keys])
        return Block(values[:, None, :], mask[:, None])

    def _shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:05d}.safetensors"

    def _read(self, path: Path, name: str) -> np.ndarray:
        try:
            with safe_open(path, framework="np") as file:
                return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise EngageError(
                f"the shard {path} is damaged ({error}); delete it and those after it, then run `engage embed` again"
            ) from None


class StoredBlocks:
    """Blocks of a data folder's posts, from its store."""

    def __init__(self, stores: dict[str, FeatureStore]) -> None:
        self.stores = stores

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        return {name: self.stores[side_of(name)].gather(content_keys(posts, name)) for name in names}


class LiveBlocks:
    """Blocks of posts that lie in no store; `images` holds each post's file, or None for a post without one."""

    def __init__(self, encoders: dict[str, Encoder], images: Sequence[bytes | None]) -> None:
        self.encoders, self.images = encoders, images

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        found = {}
        for name in names:
            encoder = self.encoders[side_of(name)]
            if name == "image":
                encoded = encoder.encode_images(self.images)
                mask = np.array([problem == "" for problem in encoded.problems])
                found[name] = Block(encoded.vectors[:, None, :], mask[:, None])
                continue
            texts = texts_of(posts, name)
            mask = np.array([bool(text) for text in texts])
            values = np.zeros((len(texts), encoder.tower.pooled_dim), np.float32)
            if mask.any():
                values[mask] = encoder.encode_texts([text for text in texts if text]).vectors
            found[name] = Block(values[:, None, :], mask[:, None])
        return found
