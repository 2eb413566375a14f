"""What kernels compare of covers: the words of their lettering, and the numbers of lettering and faces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.covers.numbers import FACE_NUMBERS, LETTERING_NUMBERS, numbers_of, texts_on, title_share
from engage_cli.covers.reading import Reading
from engage_cli.features.groups.tfidf import TfIdf, term_specs
from engage_cli.io.array_reading import Spec
from engage_cli.models.gaussian_process.post_numbers import scale_of

COVER_WORDS, LETTERING, FACES = "cover_words", "lettering", "faces"
MOST_TERMS = 50_000
# What `covers` of a training says -> the kernels that it gets.
CHOICES = {"none": (), "lettering": (COVER_WORDS, LETTERING), "faces": (FACES,), "both": (COVER_WORDS, LETTERING, FACES)}
COVER_NUMBERS = {LETTERING: len(LETTERING_NUMBERS) + 1, FACES: len(FACE_NUMBERS)}
KIND = "words"


class CoverInputs:
    """Readings of covers to what kernels compare; fitted on training posts. What it does not read has no columns."""

    def __init__(self, reads: Sequence[str] = ()) -> None:
        self.reads = tuple(reads)
        self.tfidf = TfIdf(MOST_TERMS, (KIND,))
        self.scales: dict[str, np.ndarray] = {}  # (2, F): means and deviations

    def fit(self, posts: pd.DataFrame, readings: Sequence[Reading | None]) -> None:
        if COVER_WORDS in self.reads:
            self.tfidf.fit(texts_on(readings))
        for name in self._numbers:
            self.scales[name] = scale_of(_numbers(name, posts, readings))

    def transform(self, posts: pd.DataFrame, readings: Sequence[Reading | None]) -> dict[str, Any]:
        """Return cover_words (n, V) CSR with rows of length 1, lettering and faces (n, F) float32, standardised."""
        found: dict[str, Any] = {name: np.zeros((len(posts), 0), np.float32) for name in COVER_NUMBERS}
        found[COVER_WORDS] = self.tfidf.rows(texts_on(readings) if readings else [""] * len(posts), KIND)
        for name, (mean, deviation) in self.scales.items():
            found[name] = np.nan_to_num((_numbers(name, posts, readings) - mean) / deviation).astype(np.float32)
        return found

    @property
    def num_terms(self) -> int:
        return self.tfidf.num_terms

    def arrays(self) -> dict[str, np.ndarray]:
        terms = {f"cover_{name}": array for name, array in self.tfidf.arrays().items()}
        return {**terms, **{f"scale_{name}": scale for name, scale in self.scales.items()}}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take arrays of `cover_specs`; raise ValueError where they do not fit together."""
        self.tfidf.restore({name.removeprefix("cover_"): arrays[name] for name in arrays if name.startswith("cover_")})
        self.scales = {name: arrays[f"scale_{name}"] for name in COVER_NUMBERS if f"scale_{name}" in arrays}
        self.reads = (*((COVER_WORDS,) if LETTERING in self.scales else ()), *self.scales)
        if self.tfidf.num_terms and LETTERING not in self.scales:
            raise ValueError("there are words of covers, and no numbers of lettering")

    @property
    def _numbers(self) -> list[str]:
        return [name for name in COVER_NUMBERS if name in self.reads]


def cover_specs() -> dict[str, Spec]:
    """Return what `CoverInputs.arrays` gives; a process that reads no covers has none of it."""
    terms = {f"cover_{name}": spec for name, spec in term_specs(KIND).items()}
    terms = {
        name: dataclasses.replace(spec, shape=tuple(f"cover {side}" for side in spec.shape)) for name, spec in terms.items()
    }
    scales = {
        f"scale_{name}": Spec(dtype="float32", shape=(2, width), is_optional=True) for name, width in COVER_NUMBERS.items()
    }
    return {**terms, **scales}


def _numbers(name: str, posts: pd.DataFrame, readings: Sequence[Reading | None]) -> np.ndarray:
    """(n, F) float64; NaN where unknown."""
    if name == FACES:
        return numbers_of(readings, FACE_NUMBERS).astype(np.float64)
    titles = posts["title"].fillna("").astype(str) if "title" in posts else [""] * len(posts)
    repeated = [title_share(title, text) for title, text in zip(titles, texts_on(readings), strict=True)]
    return np.column_stack([numbers_of(readings, LETTERING_NUMBERS), repeated])
