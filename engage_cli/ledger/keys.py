"""By what a post is known again: hashes of its title, its image file, and all else that was known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from engage_cli.data.cells.texts import clean_text


def title_hash(title: str) -> str:
    """Return the hash of a title as `engage prepare` cleans it."""
    import pandas as pd

    return _hash(clean_text(pd.Series([title])).iloc[0].encode("utf-8", "surrogatepass"))


def image_hash(data: bytes | None) -> str:
    """Return "" without an image."""
    return "" if data is None else _hash(data)


def inputs_hash(post: Mapping[Any, object], image: str) -> str:
    """Return the hash of everything that a run received of a post; the image counts by its content, not by its name."""
    known = {name: str(value) for name, value in post.items() if name != "image"}
    return _hash(json.dumps({**known, "image": image}, sort_keys=True).encode())


def _hash(data: bytes) -> str:
    """Return 32 hex digits of the BLAKE2b hash."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
