"""A shard's bytes become arrays: verified first, then checked for shape, dtype, range and finite values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open

from engage_cli.embeddings._known_shards import is_known, read_whole
from engage_cli.embeddings.manifest import (
    AGAIN,
    KEY_BYTES,
    MANIFEST,
    OWN_HASH,
    Manifest,
    check_tensors,
    parse_shard,
    shard_numbers,
    shard_path,
)
from engage_cli.errors import EngageError

STORED_DTYPES = {"fp16": "float16", "fp32": "float32"}
OWN = "own"  # what is remembered of a shard that was held against its own hash
INFINITE = np.uint16(0x7C00)  # a float16 whose exponent is all ones is not a finite number
SIGN = np.uint16(0x7FFF)
AT_ONCE = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What a shard of a store holds."""

    dtype: str  # of vectors
    num_tokens: int  # kept of each content; 0 for none

    def expected(self) -> dict[str, tuple[str, int]]:
        """Tensor -> its dtype and number of dimensions."""
        found = {
            "keys": ("uint8", 2),
            "pooled": (self.dtype, 2),
            "decoded": ("uint8", 1),
            "num_cut": ("int32", 1),
            "num_unknown": ("int32", 1),
            OWN_HASH: ("uint8", 1),
        }
        return {**found, "tokens": (self.dtype, 3), "token_mask": ("uint8", 2)} if self.num_tokens else found


def layout_of(manifest: Manifest) -> Layout:
    return Layout(dtype=STORED_DTYPES[manifest.encoder.dtype], num_tokens=manifest.encoder.tokens)


def read_keys(path: Path) -> bytes:
    """Read a shard's keys, 16 bytes a row; they are verified with the rest when vectors are read."""
    try:
        with safe_open(path, framework="np") as file:
            keys = file.get_tensor("keys")
    except (SafetensorError, OSError) as error:
        raise EngageError(f"the shard {path} is damaged ({error}); {AGAIN}") from None
    if keys.ndim != 2 or keys.shape[1] != KEY_BYTES or keys.dtype != np.uint8:
        raise EngageError(f"the shard {path} is damaged (its keys are not hashes); {AGAIN}")
    return bytes(keys.tobytes())


def read_verified(path: Path, expected: str | None, *, is_finished: bool, layout: Layout) -> dict[str, np.ndarray] | None:
    """Return the tensors of a shard that is what it was when it was written; None where this process has seen that before.

    A finished store's shard is held against the manifest's hash (`expected`), another's against its own.
    """
    if is_finished and expected is None:
        raise EngageError(f"the shard {path} is not named by {MANIFEST}; {AGAIN}")
    if is_known(path, expected or OWN):
        return None
    seen, data = read_whole(path, AGAIN)
    if expected is not None and xxhash.xxh3_128_hexdigest(data) != expected:
        raise EngageError(f"the shard {path} was changed or damaged: its hash differs; {AGAIN}")
    tensors = parse_shard(path, data)
    if expected is None:
        check_tensors(path, tensors)
    check_arrays(path, tensors, layout)
    seen.verified(expected or OWN)
    return tensors


def hash_of_new_shard(path: Path, known: str | None, layout: Layout) -> str:
    """Return the hash for the manifest: of a shard that an earlier manifest did not have, after it was verified."""
    if known is not None and is_known(path, known):
        return known
    seen, data = read_whole(path, AGAIN)
    found = xxhash.xxh3_128_hexdigest(data)
    if found != known:
        tensors = parse_shard(path, data)
        check_tensors(path, tensors)
        check_arrays(path, tensors, layout)
        seen.verified(found)
    return found


def damaged_shards(
    folder: Path, manifest: Manifest | None, layout: Layout, advance: Callable[[int], object] = lambda num: None
) -> Iterator[tuple[Path, str]]:
    """Yield every shard that lies there and cannot be used, or that the manifest names and is not there, and why."""
    there = {shard_path(folder, number).name for number in shard_numbers(folder)}
    for name in sorted(there | set(manifest.shards if manifest else ())):
        expected = manifest.shards.get(name) if manifest else None
        try:
            read_verified(folder / name, expected, is_finished=manifest is not None, layout=layout)
        except EngageError as error:
            yield folder / name, str(error)
        advance(1)


def check_arrays(path: Path, tensors: Mapping[str, np.ndarray], layout: Layout) -> None:
    """Raise EngageError where a tensor is absent, unknown, or not of the shape, dtype and range that it must have."""
    expected = layout.expected()
    if set(tensors) != set(expected):
        unlike = sorted(set(tensors) ^ set(expected))[0]
        raise EngageError(f"the shard {path}: the tensor {unlike[:40]} is missing or unknown; {AGAIN}")
    num = len(tensors["keys"]) if tensors["keys"].ndim else -1
    for name, (dtype, dimensions) in expected.items():
        tensor = tensors[name]
        wrong = tensor.dtype != dtype or tensor.ndim != dimensions or (name != OWN_HASH and tensor.shape[0] != num)
        if wrong or (name in ("tokens", "token_mask") and tensor.shape[1] != layout.num_tokens):
            raise EngageError(f"the shard {path}: {name} is {tensor.dtype} {tensor.shape}, which does not fit; {AGAIN}")
    if tensors["keys"].shape[1] != KEY_BYTES:
        raise EngageError(f"the shard {path}: its keys are not hashes; {AGAIN}")
    for name in ("decoded", "token_mask"):
        if name in tensors and tensors[name].size and tensors[name].max() > 1:
            raise EngageError(f"the shard {path}: {name} is neither 0 nor 1; {AGAIN}")
    for name in ("num_cut", "num_unknown"):
        if tensors[name].size and tensors[name].min() < 0:
            raise EngageError(f"the shard {path}: {name} is negative; {AGAIN}")
    for name in ("pooled", "tokens"):
        if name in tensors and not is_finite(tensors[name]):
            raise EngageError(f"the shard {path}: {name} holds values that are not numbers; {AGAIN}")


def is_finite(values: np.ndarray) -> bool:
    """Whether all values are finite; of float16 by their bits, which is ten times as fast as asking NumPy."""
    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    bits = np.ascontiguousarray(values).view(np.uint16).reshape(-1)
    scratch = np.empty(min(AT_ONCE, bits.size), np.uint16)
    for start in range(0, bits.size, AT_ONCE):
        some = bits[start : start + AT_ONCE]
        if np.bitwise_and(some, SIGN, out=scratch[: some.size]).max() >= INFINITE:
            return False
    return True
