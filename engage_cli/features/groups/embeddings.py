"""The vectors of image and text, whole or as principal components, and how well the two match."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.errors import EngageError
from engage_cli.features.groups import NothingFitted, PartOptions, TablePart, make_table, no_columns
from engage_cli.features.inputs import PostInputs
from engage_cli.io.array_reading import Spec


class ImageEmbedding(TablePart):
    group = "image embedding"
    blocks: tuple[str, ...] = ("image",)

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.mean: np.ndarray | None = None  # (D,)
        self.components: np.ndarray | None = None  # (K, D)

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        vectors = inputs.vectors(self.blocks[0])
        if self.options.pca is not None:
            from sklearn.decomposition import PCA

            fitted = PCA(min(self.options.pca, *vectors.shape), random_state=self.options.seed).fit(vectors)
            self.mean, self.components = fitted.mean_.astype(np.float32), fitted.components_.astype(np.float32)
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        (block,) = self.blocks
        vectors = inputs.vectors(block)
        if self.mean is not None:
            must_be_as_wide(vectors, self.mean, block)
        if self.mean is not None and self.components is not None:
            vectors = (vectors - self.mean) @ self.components.T
        names = [f"{block}_{number}" for number in range(vectors.shape[1])]
        columns = np.empty((len(vectors), vectors.shape[1] + 1), np.float32, order="F")  # as pandas and CatBoost read them
        columns[:, :-1], columns[:, -1] = vectors, inputs.has(block)
        return pd.DataFrame(columns, columns=[*names, f"has_{block}"], index=inputs.posts.index, copy=False)

    def state(self) -> tuple[NothingFitted, dict[str, np.ndarray]]:
        if self.mean is None or self.components is None:
            return NothingFitted(), {}
        return NothingFitted(), {"mean": self.mean, "components": self.components}

    def specs(self) -> dict[str, Spec]:
        is_whole = self.options.pca is None
        return {
            "mean": Spec(dtype="float32", shape=("numbers",), is_optional=is_whole),
            "components": Spec(dtype="float32", shape=("components", "numbers"), is_optional=is_whole),
        }

    def restore(self, state: NothingFitted, arrays: Mapping[str, np.ndarray]) -> None:
        self.mean, self.components = arrays.get("mean"), arrays.get("components")
        if (self.mean is None) != (self.components is None):
            raise ValueError("mean and components come together")

    def label(self, column: str) -> str | None:
        return column if column.startswith("has_") else None

    def meaning(self, column: str) -> str:
        (block,) = self.blocks
        if column.startswith("has_"):
            return f"Whether the post has {'a usable cover' if block == 'image' else 'any text'} [0 or 1]"
        number = column.rpartition("_")[2]
        kind = "principal component" if self.components is not None else "number"
        return f"{kind.capitalize()} {number} of the {block}'s embedding [no unit]"


class TextEmbedding(ImageEmbedding):
    group = "text embedding"
    blocks = ("text",)


class ImageTextMatch(TablePart):
    """Cosine between the image's and the text's vector, where one checkpoint makes both (CLIP, SigLIP)."""

    group = "image-text match"
    blocks = ("image", "text")

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if not (width := self.options.shared_width):
            return no_columns(inputs)
        cosines = cosine(inputs.vectors("image")[:, :width], inputs.vectors("text")[:, :width])
        known = inputs.has("image") & inputs.has("text")
        return make_table(np.where(known, cosines, np.nan)[:, None], ["image_text_cosine"], inputs)

    def meaning(self, column: str) -> str:
        return "How well the text describes the cover: cosine of their embeddings [-1 to 1]"


def must_be_as_wide(vectors: np.ndarray, fitted: np.ndarray, block: str) -> None:
    """Raise EngageError where vectors (n, D) are not those that (D,) numbers were fitted on."""
    if vectors.shape[1] != len(fitted):
        raise EngageError(f"the run's features were fitted on other vectors of '{block}' than these; train again")


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (n,) cosines of the rows of two (n, D) arrays; 0 for a zero vector."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(norms, 1e-12))
