"""The store of embeddings: vectors by content, in shards that are whole or absent, and the manifest written last.

features/<encoder>-<hash>/ shard-00000.safetensors ...  problems.csv  manifest.json

A vector is filed under the hash of what was encoded (the image's bytes, the text), so that equal contents are
encoded once and a post that changes costs one vector. A block is a view: which content each post has.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from engage_cli.covers.numbers import texts_on
from engage_cli.covers.source import CoverSource
from engage_cli.data.schema import COVER_TEXT, side_of, texts_of
from engage_cli.embeddings._key_index import KeyIndex
from engage_cli.embeddings.manifest import (
    AGAIN,
    KEY_BYTES,
    MANIFEST,
    OWN_HASH,
    EncoderMeta,
    Manifest,
    hash_of_tensors,
    read_manifest,
    shard_numbers,
    shard_path,
    write_manifest,
)
from engage_cli.embeddings.pipeline import Encoded
from engage_cli.embeddings.shards import Layout, damaged_shards, hash_of_new_shard, read_keys, read_verified
from engage_cli.encoders import CHECKPOINTS
from engage_cli.encoders.encoder import DTYPES, Encoder
from engage_cli.errors import EngageError
from engage_cli.io.array_writing import save_arrays
from engage_cli.io.csv_cells import csv_of_rows
from engage_cli.io.files import fingerprint, sweep, write_text
from engage_cli.io.own_folders import own_data, refuse_link

PLACEHOLDER_KEY = hashlib.blake2b(b"the neutral placeholder", digest_size=KEY_BYTES).hexdigest()


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
    """The vectors of one encoder. Opening reads nothing; the keys are read when one is asked for, vectors when gathered."""

    def __init__(self, features_dir: Path, encoder: Encoder) -> None:
        name = encoder.checkpoint.name if encoder.checkpoint.name in CHECKPOINTS[encoder.side] else "local"
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        self.folder = features_dir / f"{slug}-{encoder.side}-{fingerprint(encoder.record)}"
        self._own = own_data(features_dir.parent)
        self.encoder = encoder
        self.numbers = shard_numbers(self.folder)
        self._layout = Layout(dtype=DTYPES[encoder.dtype], num_tokens=encoder.tokens)

    @property
    def manifest(self) -> Path:
        return self.folder / MANIFEST

    @cached_property
    def _keys(self) -> dict[int, bytes]:
        """The keys of each shard, as they stand there."""
        return {number: read_keys(shard_path(self.folder, number)) for number in self.numbers}

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex(self._keys)

    @cached_property
    def _told(self) -> Manifest | None:
        """What the manifest records; None where the store is not finished. Raises where it is of another store."""
        if not self.manifest.exists():
            return None
        told = read_manifest(self.folder)
        if name := self.unlike(told):
            raise EngageError(f"{self.manifest}: encoder.{name} does not match this store; {AGAIN}")
        self._look_again()
        names = {shard_path(self.folder, number).name for number in self.numbers}
        if unlike := sorted(names ^ set(told.shards)):
            what = "is not named by the manifest" if unlike[0] in names else "is missing"
            raise EngageError(f"the shard {self.folder / unlike[0]} {what}; {AGAIN}")
        if told.vectors != len(self):
            raise EngageError(f"{self.manifest}: it lists {told.vectors:,} vectors, but there are {len(self):,}; {AGAIN}")
        return told

    def _look_again(self) -> None:
        """See the shards that were added after this store was opened, as when another member of an ensemble read more."""
        if (numbers := shard_numbers(self.folder)) != self.numbers:
            self.numbers = numbers
            for name in ("_keys", "_index"):
                vars(self).pop(name, None)

    def __contains__(self, key: str) -> bool:
        return bool((self._index.places([key])[:, 0] >= 0).all())

    def __len__(self) -> int:
        return len(self._index)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys without a vector, each once, in order of appearance."""
        wanted = [key for key in dict.fromkeys(keys) if key]
        return [wanted[place] for place in np.flatnonzero(self._index.places(wanted)[:, 0] < 0)]

    def tells_of(self, blocks: Sequence[str]) -> bool:
        """Whether there is a manifest that tells of the blocks; what is wrong with a damaged one, its reader says."""
        known = readable_manifest(self.folder)
        return self.manifest.is_file() and (known is None or {*blocks} <= {*known.blocks})

    def free_numbers(self) -> Iterator[int]:
        """Yield the numbers of shards that are not there, gaps first."""
        taken = set(self.numbers)
        return (number for number in count() if number not in taken)

    def mend(self, say: Callable[[str], None], advance: Callable[[int], object]) -> Manifest | None:
        """Take away what is damaged, to be embedded again; return what the manifest records of the rest."""
        manifest = readable_manifest(self.folder)
        if manifest is not None and self.unlike(manifest):
            manifest = None
        damaged = dict(damaged_shards(self.folder, manifest, self._layout, advance))
        if self.manifest.exists() and (manifest is None or damaged or manifest.vectors != len(self)):
            _take_away(self.manifest)  # it is written anew
        for path, problem in damaged.items():
            say(f"{problem.partition(';')[0]}: it is embedded again")
            _take_away(path)
        if manifest is None:
            return None
        gone = {path.name for path in damaged}
        rest = {name: value for name, value in manifest.shards.items() if name not in gone}
        return dataclasses.replace(manifest, shards=rest)

    def unlike(self, manifest: Manifest) -> str:
        """Return the first field by which a manifest is that of another store, or ""."""
        record = self.encoder.record
        return next((name for name, value in record.items() if getattr(manifest.encoder, name) != value), "")

    def begin(self, *, writing: bool) -> None:
        """Take away what killed writers left and, before writing, the marker of completeness."""
        self._own.place(self.folder.relative_to(self._own.root)).mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        if writing:
            self._own.remove_file(self.manifest)

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
        tensors[OWN_HASH] = hash_of_tensors(tensors)
        save_arrays(shard_path(self.folder, number), tensors)

    def finish(
        self,
        problems: Sequence[tuple[str, str, str]],
        *,
        blocks: Sequence[str],
        data: str,
        before: Manifest | None,
    ) -> None:
        """Write problems.csv (id, image, problem), then the manifest; `before` is what `mend` returned."""
        if problems:
            write_text(self.folder / "problems.csv", csv_of_rows(("id", "image", "problem"), problems))
        else:
            self._own.remove_file(self.folder / "problems.csv")
        sweep(self.folder)  # a worker that was killed on the way had no time to
        known: Mapping[str, str] = before.shards if before else {}
        paths = [shard_path(self.folder, number) for number in self.numbers]
        content = Manifest(
            encoder=EncoderMeta(name=self.encoder.checkpoint.name, **self.encoder.record),
            blocks=tuple(sorted({*blocks, *(before.blocks if before else ())})),
            data=data,
            vectors=len(self),
            shards={path.name: hash_of_new_shard(path, known.get(path.name), self._layout) for path in paths},
        )
        if readable_manifest(self.folder) != content:
            write_manifest(self.folder, content)

    def gather(self, keys: Sequence[str]) -> Block:
        """Return the vectors of keys as a block; raise EngageError where one is missing, or a shard damaged."""
        names = ("pooled", "decoded", *(("tokens", "token_mask") if self.encoder.tokens else ()))
        found = dict(zip(names, self.columns(names, keys), strict=True))
        has = found["decoded"].astype(bool) & np.array([key != PLACEHOLDER_KEY for key in keys], dtype=bool)
        if not self.encoder.tokens:
            return Block(found["pooled"][:, None, :], has[:, None], found["pooled"])
        return Block(found["tokens"], found["token_mask"].astype(bool) & has[:, None], found["pooled"])

    def column(self, name: str, keys: Sequence[str]) -> np.ndarray:
        """Return one tensor's rows of keys, zeros for the key "" of an empty text."""
        return self.columns((name,), keys)[0]

    def columns(self, names: Sequence[str], keys: Sequence[str]) -> list[np.ndarray]:
        """Return several tensors' rows of keys: every shard is read once, and verified when this process first reads it."""
        if missing := self.missing(keys):
            raise EngageError(f"{self.folder} lacks {len(missing):,} vectors; run `engage embed` again")
        if not keys:
            return [self._nothing(name, 0) for name in names]
        places = self._index.places(keys)
        order = np.argsort(places[:, 0], kind="stable")
        numbers, starts = np.unique(places[order, 0], return_index=True)
        found: dict[str, np.ndarray] = {}
        for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
            if number < 0:
                continue
            for name, stored in self._read(number, names).items():
                if name not in found:
                    found[name] = np.zeros((len(keys), *stored.shape[1:]), stored.dtype)
                if found[name].shape[1:] != stored.shape[1:]:
                    path = shard_path(self.folder, number)
                    raise EngageError(f"the shard {path} holds {name} of another size than the other shards; {AGAIN}")
                found[name][rows] = stored[places[rows, 1]]
        return [found[name] if name in found else self._nothing(name, len(keys)) for name in names]

    def _read(self, number: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Read tensors of a verified shard."""
        path = shard_path(self.folder, number)
        expected = self._told.shards.get(path.name) if self._told else None
        tensors = read_verified(path, expected, is_finished=self._told is not None, layout=self._layout)
        if tensors is None:  # verified before: the file is mapped, so that of other tensors no page is touched
            try:
                with safe_open(path, framework="np") as file:
                    return {name: file.get_tensor(name) for name in names}
            except (SafetensorError, OSError) as error:
                raise EngageError(f"the shard {path} is damaged ({error}); {AGAIN}") from None
        if tensors["keys"].tobytes() != self._keys[number]:
            raise EngageError(f"the shard {path} changed while it was read; try again")
        return {name: tensors[name] for name in names}

    def _nothing(self, name: str, num: int) -> np.ndarray:
        """Rows of posts whose texts are all empty."""
        tower, num_tokens, dtype = self.encoder.tower, self.encoder.tokens, DTYPES[self.encoder.dtype]
        shapes = {"pooled": (tower.pooled_dim,), "tokens": (num_tokens, tower.dim), "token_mask": (num_tokens,)}
        return np.zeros((num, *shapes.get(name, ())), dtype if name in ("pooled", "tokens") else np.int32)


def _take_away(path: Path) -> None:
    refuse_link(path)
    if path.is_dir():
        raise EngageError(f"{path} is a folder, where a file of the store belongs; move it elsewhere")
    path.unlink(missing_ok=True)


def readable_manifest(folder: Path) -> Manifest | None:
    """Return the manifest; None where it is absent, damaged or of another version, for it will be written anew."""
    try:
        return read_manifest(folder)
    except EngageError:
        return None


class StoredBlocks:
    """Blocks of a data folder's posts, from its store."""

    def __init__(self, stores: dict[str, FeatureStore], covers: CoverSource | None = None) -> None:
        """`covers` is needed for the block `cover_text`."""
        self.stores, self._covers = stores, covers

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        if COVER_TEXT in names and self._covers is not None:
            posts = posts.assign(**{COVER_TEXT: texts_on(self._covers.covers(posts))})
        return {name: self.stores[side_of(name)].gather(content_keys(posts, name)) for name in names}
