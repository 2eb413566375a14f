"""TF-IDF of words and of pieces of words, fitted on training texts and stored as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Both kinds in the order of their columns. Pieces carry languages that put no spaces between words.
KINDS: dict[str, dict[str, Any]] = {
    "words": {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "pieces": {"analyzer": "char_wb", "ngram_range": (2, 4)},
}
# Characters that are read of a text. A title is short and comes first; a long description has little more to say, and its
# pieces would take a hundred times the memory.
MOST_READ = {"words": 600, "pieces": 250}
MANY = 100  # texts, from which on a term has to stand in two of them
BETWEEN = "\n"  # stands in no term


class TfIdf:
    """Texts to sparse (n, V) float32 rows of two blocks, words then pieces, each of length 1."""

    def __init__(self, most_terms: int) -> None:
        self.most_terms = most_terms  # of each kind, the most frequent
        self.terms: dict[str, list[str]] = {}
        self._fitted: dict[str, Any] = {}

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Fit on training texts and return their rows; a kind without any term has no columns."""
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer

        rows = []
        for kind, settings in KINDS.items():
            vectorizer = TfidfVectorizer(
                **settings,
                sublinear_tf=True,
                dtype=np.float32,
                min_df=2 if len(texts) > MANY else 1,
                max_features=self.most_terms,
            )
            try:
                rows.append(vectorizer.fit_transform(_beginnings(texts, kind)))
            except ValueError:  # no term is left: all texts empty, or none shares a word with another
                continue
            self._fitted[kind] = vectorizer
            self.terms[kind] = vectorizer.get_feature_names_out().tolist()
        return sparse.hstack(rows, format="csr") if rows else sparse.csr_matrix((len(texts), 0), dtype=np.float32)

    def transform(self, texts: Sequence[str]) -> Any:
        from scipy import sparse

        rows = [vectorizer.transform(_beginnings(texts, kind)) for kind, vectorizer in self._fitted.items()]
        return sparse.hstack(rows, format="csr") if rows else sparse.csr_matrix((len(texts), 0), dtype=np.float32)

    @property
    def num_terms(self) -> int:
        return sum(map(len, self.terms.values()))

    def arrays(self) -> dict[str, np.ndarray]:
        found = {}
        for kind, vectorizer in self._fitted.items():
            found[f"{kind}_idf"] = vectorizer.idf_.astype(np.float32)
            found[f"{kind}_terms"] = np.frombuffer(BETWEEN.join(self.terms[kind]).encode(), np.uint8)
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        for kind, settings in KINDS.items():
            if f"{kind}_idf" not in arrays:
                continue
            self.terms[kind] = bytes(arrays[f"{kind}_terms"]).decode().split(BETWEEN)
            vectorizer = TfidfVectorizer(**settings, sublinear_tf=True, dtype=np.float32, vocabulary=self.terms[kind])
            vectorizer.idf_ = arrays[f"{kind}_idf"]
            self._fitted[kind] = vectorizer


def _beginnings(texts: Sequence[str], kind: str) -> list[str]:
    return [text[: MOST_READ[kind]] for text in texts]
