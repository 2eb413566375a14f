"""Where keys stand in a store's shards."""

from __future__ import annotations

import numpy as np

from engage_cli.embeddings._key_index import KeyIndex
from engage_cli.embeddings.manifest import KEY_BYTES


def test_keys_are_found_where_they_stand() -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 3, (60, KEY_BYTES), np.uint8)  # zeros at the end of many
    keys[7, :], keys[8, :] = 0, 255
    shards = {3: keys[:25].tobytes(), 0: keys[25:].tobytes(), 5: b""}
    index, names = KeyIndex(shards), [key.tobytes().hex() for key in keys]
    wanted = {name: (3, row) if row < 25 else (0, row - 25) for row, name in enumerate(names)}
    asked = [*names[::-1], "", "ab" * KEY_BYTES]
    assert [tuple(place) for place in index.places(asked).tolist()] == [wanted.get(name, (-1, -1)) for name in asked]
    assert len(index) == len(wanted)
    assert index.places([]).shape == (0, 2)


def test_of_a_key_that_stands_twice_the_last_place_is_told() -> None:
    key, other = bytes(range(KEY_BYTES)), bytes(KEY_BYTES)
    index = KeyIndex({1: key + other, 2: other + key})
    assert index.places([key.hex(), other.hex()]).tolist() == [[2, 1], [2, 0]]
    assert len(index) == 2
    assert KeyIndex({}).places([key.hex()]).tolist() == [[-1, -1]]
