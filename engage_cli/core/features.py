"""The store of embeddings: vectors by content, in shards that are whole or absent, and the manifest written last.

features/<encoder>-<hash>/ shard-00000.safetensors ...  problems.csv  manifest.json

A vector is filed under the hash of what was encoded (the image's bytes, the text), so that equal contents are
encoded once and a post that changes costs one vector. A block is a view: which content each post has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engage_cli.core.atomic import file_fingerprint, fingerprint, replacing, write_json, write_text
from engage_cli.core.csv_cells import csv_of_rows
from engage_cli.core.encoders import CHECKPOINTS
from engage_cli.core.encoders.encode import DTYPES, Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.own_folders import HALF_WRITTEN, own_data
from engage_cli.core.pipeline import Encoded
from engage_cli.core.posts import side_of, texts_of

KEY_BYTES = 16
PLACEHOLDER_KEY = hashlib.blake2b(b"the neutral placeholder", digest_size=KEY_BYTES).hexdigest()
SHARD = re.compile(r"^shard-(\d{5,})\.safetensors$")


class Block(NamedTuple):
    """One block of many posts, in the dtype of the store: float16 or float32."""

    values: np.ndarray  # (n, T, D): the pooled vector, or the kept tokens; placeholder or zeros where mask is False
    mask: np.ndarray  # (n, T) bool, True where the post has that content
    pooled: np.ndarray  # (n, P)


class BlockSource(Protocol):
    """Where a model gets its blocks: the store, or the encoders themselves."""

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]: ...


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
        self._own = own_data(features_dir.parent)
        self.encoder = encoder
        self._where: dict[str, tuple[int, int]] = {}
        names = self.folder.iterdir() if self.folder.is_dir() else ()
        self.numbers = sorted(int(found[1]) for path in names if (found := SHARD.match(path.name)))
        for number in self.numbers:
            for row, key in enumerate(self._read_keys(number)):
                self._where[bytes(key).hex()] = (number, row)

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

    def free_numbers(self) -> Iterator[int]:
        """Yield the numbers of shards that are not there, gaps first."""
        taken = set(self.numbers)
        return (number for number in count() if number not in taken)

    def begin(self, *, writing: bool) -> dict[str, Any]:
        """Take away what killed writers left and, before writing, the marker of completeness; return what it held."""
        self._own.place(self.folder.relative_to(self._own.root)).mkdir(parents=True, exist_ok=True)
        self._sweep()
        before = self._read_manifest()
        if before:  # a shard that was deleted may come back with other rows
            there = {self._shard(number).name for number in self.numbers}
            before["shards"] = {name: value for name, value in before["shards"].items() if name in there}
        if writing:
            self._own.remove_file(self.manifest)
        return before

    def _sweep(self) -> None:
        """Take away half-written files: ours, and those that safetensors writes beside the path it is given."""
        self._own.sweep(self.folder, *HALF_WRITTEN)

    def write(self, number: int, keys: Sequence[str], encoded: Encoded) -> None:
        """Write a shard; several processes may write different ones at once."""
        tensors = {
            "keys": np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), KEY_BYTES),
            "pooled": encoded.pooled,
            "decoded": np.array([problem == "" for problem in encoded.problems], dtype=np.uint8),
            "num_cut": encoded.num_cut,
            "num_unknown": encoded.num_unknown,
        }
        if encoded.tokens is not None and encoded.token_mask is not None:
            tensors |= {"tokens": encoded.tokens, "token_mask": encoded.token_mask.astype(np.uint8)}
        path = self._shard(number)
        try:
            with replacing(path) as beside:
                save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, beside)
        except SafetensorError as error:  # it wraps what the system said, as that the disk is full
            raise EngageError(f"{path} cannot be written: {error}") from None

    def finish(
        self,
        problems: Sequence[tuple[str, str, str]],
        *,
        blocks: Sequence[str],
        data: str,
        before: Mapping[str, Any],
    ) -> None:
        """Write problems.csv (id, image, problem), then the manifest; `before` is what `begin` returned."""
        if problems:
            write_text(self.folder / "problems.csv", csv_of_rows(("id", "image", "problem"), problems))
        else:
            self._own.remove_file(self.folder / "problems.csv")
        self._sweep()  # a worker that was killed on the way had no time to
        shards = [self._shard(number) for number in self.numbers]
        hashes = before.get("shards", {})
        content = {
            "encoder": {"name": self.encoder.checkpoint.name, **self.encoder.record},
            "blocks": sorted({*blocks, *before.get("blocks", ())}),
            "data": data,
            "vectors": len(self),
            "shards": {path.name: hashes.get(path.name) or file_fingerprint(path) for path in shards},
        }
        if self._read_manifest() != content:
            write_json(self.manifest, content)

    def gather(self, keys: Sequence[str]) -> Block:
        """Return the vectors of keys as a block; raise EngageError where one is missing."""
        pooled = self.column("pooled", keys)
        has = self.column("decoded", keys).astype(bool) & np.array([key != PLACEHOLDER_KEY for key in keys], dtype=bool)
        if not self.encoder.tokens:
            return Block(pooled[:, None, :], has[:, None], pooled)
        mask = self.column("token_mask", keys).astype(bool) & has[:, None]
        return Block(self.column("tokens", keys), mask, pooled)

    def column(self, name: str, keys: Sequence[str]) -> np.ndarray:
        """Return one tensor's rows of keys, zeros for the key "" of an empty text."""
        if missing := self.missing(keys):
            raise EngageError(f"{self.folder} lacks {len(missing):,} vectors; run `engage embed` again")
        places = np.array([self._where.get(key, (-1, -1)) for key in keys], dtype=np.int64).reshape(-1, 2)
        found: np.ndarray | None = None
        for number in np.unique(places[:, 0][places[:, 0] >= 0]):
            rows = np.flatnonzero(places[:, 0] == number)
            stored = self._read(int(number), name)
            if found is None:
                found = np.zeros((len(keys), *stored.shape[1:]), stored.dtype)
            found[rows] = stored[places[rows, 1]]
        return found if found is not None else self._nothing(name, len(keys))

    def _nothing(self, name: str, num: int) -> np.ndarray:
        """Rows of posts whose texts are all empty."""
        tower, num_tokens, dtype = self.encoder.tower, self.encoder.tokens, DTYPES[self.encoder.dtype]
        shapes = {"pooled": (tower.pooled_dim,), "tokens": (num_tokens, tower.dim), "token_mask": (num_tokens,)}
        return np.zeros((num, *shapes.get(name, ())), dtype if name in ("pooled", "tokens") else np.int32)

    def _read_manifest(self) -> dict[str, Any]:
        """Return the manifest; nothing where it is absent or damaged, for it will be written anew."""
        try:
            content = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        fits = (
            isinstance(content, dict)
            and isinstance(content.get("shards"), dict)
            and isinstance(content.get("blocks"), list)
        )
        return content if fits else {}

    def _shard(self, number: int) -> Path:
        return self.folder / f"shard-{number:05d}.safetensors"

    def _read_keys(self, number: int) -> np.ndarray:
        """Read (n, 16) keys, and see that every other tensor has a row for each."""
        with self._open(number) as file:
            keys = file.get_tensor("keys")
            names = list(file.keys())
            rows = {name: file.get_slice(name).get_shape()[0] for name in names}
            if keys.shape != (len(keys), KEY_BYTES) or keys.dtype != np.uint8 or set(rows.values()) != {len(keys)}:
                raise SafetensorError("its tensors do not fit each other")
            return keys

    def _read(self, number: int, name: str) -> np.ndarray:
        """Read one tensor; the file is mapped, so that of the others no page is touched."""
        with self._open(number) as file:
            return file.get_tensor(name)

    @contextmanager
    def _open(self, number: int) -> Iterator[Any]:
        path = self._shard(number)
        try:
            with safe_open(path, framework="np") as file:
                yield file
        except (SafetensorError, OSError) as error:
            raise EngageError(f"the shard {path} is damaged ({error}); delete it, then run `engage embed` again") from None


class StoredBlocks:
    """Blocks of a data folder's posts, from its store."""

    def __init__(self, stores: dict[str, FeatureStore]) -> None:
        self.stores = stores

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        return {name: self.stores[side_of(name)].gather(content_keys(posts, name)) for name in names}
