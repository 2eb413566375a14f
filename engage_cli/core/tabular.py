"""The table that CatBoost reads: embeddings, their cosine, counts of the text, the category, and columns named by the user.

features.json is its contract: the names in their order, and which block each embedding comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from engage_cli.core.features import BlockSource
from engage_cli.core.handmade import CATEGORICAL, MISSING, categories, count_features

TABLE_BLOCKS = ("image", "text")
COSINE = "image_text_cosine"
HAS_IMAGE = "has_image"


NUMBER, CATEGORY = "number", "category"


def build_table(
    posts: pd.DataFrame, source: BlockSource, *, with_cosine: bool, extra: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return one row a post. `posts` holds only what is known before publication (core.leakage.known_before).

    `extra` are further columns of the posts, each a number or a category; a post table without one lacks its values.
    """
    blocks = source.blocks(posts, TABLE_BLOCKS)
    parts = []
    for name, block in blocks.items():
        # A missing image keeps the neutral placeholder's vector (study, section 4.2).
        vectors = block.pooled.astype(np.float32)
        columns = [f"{name}_{number}" for number in range(vectors.shape[1])]
        parts.append(pd.DataFrame(vectors, columns=columns, index=posts.index))
    if with_cosine:
        image, text = (blocks[name].pooled.astype(np.float32) for name in TABLE_BLOCKS)
        known = blocks["image"].mask.any(axis=1) & blocks["text"].mask.any(axis=1)
        parts.append(pd.DataFrame({COSINE: np.where(known, cosine(image, text), np.nan)}, index=posts.index))
    parts.append(pd.DataFrame({HAS_IMAGE: blocks["image"].mask.any(axis=1).astype(np.float32)}, index=posts.index))
    parts.append(count_features(posts))
    parts.append(pd.DataFrame({CATEGORICAL: categories(posts)}, index=posts.index))
    for name, kind in (extra or {}).items():
        parts.append(pd.DataFrame({name: _column(posts, name, kind)}, index=posts.index))
    return pd.concat(parts, axis=1)


def kinds_of(posts: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return each column with what it holds: numbers or categories."""
    return {name: NUMBER if pd.api.types.is_numeric_dtype(posts[name]) else CATEGORY for name in columns}


def _column(posts: pd.DataFrame, name: str, kind: str) -> pd.Series:
    if kind == NUMBER:
        present = posts[name] if name in posts else pd.Series(np.nan, index=posts.index)
        return present.astype(np.float32)
    text = posts[name].fillna("").astype(str) if name in posts else pd.Series("", index=posts.index)
    return text.where(text != "", MISSING).astype(object)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (n,) cosines of the rows of two (n, D) arrays; 0 for a zero vector."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(norms, 1e-12)


def check_columns(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the table with the contract's columns in its order; our own mistake where they differ."""
    assert list(table.columns) == list(names), "the table differs from features.json"
    return table
