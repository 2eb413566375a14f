"""Where a content key stands among the shards of a store: an array of sorted keys, 32 bytes for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engage_cli.embeddings.manifest import KEY_BYTES

NONE = "0" * 2 * KEY_BYTES  # stands in for the key "" of an empty text while keys are converted


class KeyIndex:
    """The keys of all shards; for a key that occurs twice, the last place counts."""

    def __init__(self, shards: Mapping[int, bytes]) -> None:
        """`shards`: number -> its keys, KEY_BYTES of each row."""
        nums = [len(keys) // KEY_BYTES for keys in shards.values()]
        keys = np.frombuffer(b"".join(shards.values()), f"S{KEY_BYTES}")
        numbers = np.repeat(np.fromiter(shards, np.int64, len(nums)), nums)
        rows = np.concatenate([np.arange(num) for num in nums]) if nums else np.zeros(0, np.int64)
        order = np.argsort(keys, kind="stable")
        is_last = np.ones(len(order), bool)
        is_last[:-1] = keys[order][1:] != keys[order][:-1]
        order = order[is_last]
        self._keys, self._numbers, self._rows = keys[order], numbers[order], rows[order]

    def __len__(self) -> int:
        return len(self._keys)

    def places(self, keys: Sequence[str]) -> np.ndarray:
        """Return (n, 2) int64: the shard and the row of each key, -1 and -1 where there is none."""
        found = np.full((len(keys), 2), -1, np.int64)
        if not (len(keys) and len(self)):
            return found
        there = np.fromiter(map(bool, keys), bool, len(keys))
        wanted = np.frombuffer(bytes.fromhex("".join(key or NONE for key in keys)), f"S{KEY_BYTES}")
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self) - 1)
        there &= self._keys[at] == wanted
        found[there] = np.stack([self._numbers[at[there]], self._rows[at[there]]], axis=1)
        return found
