"""TF-IDF of words, of pieces of words and of how a title is written, fitted on training texts and stored as arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from engage_cli.data.cells.scripts import UNSPACED
from engage_cli.io.array_reading import Spec

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer


class Terms(TypedDict, total=False):
    """What counts as a term, in scikit-learn's words."""

    analyzer: str
    ngram_range: tuple[int, int]
    lowercase: bool
    token_pattern: str


PLAIN, STYLE = ("words", "pieces"), ("letters", "opening", "ending", "pattern")
_AS_WRITTEN: Terms = {"analyzer": "char", "ngram_range": (2, 5), "lowercase": False}
# In a script without spaces between words each sign is a word, and two neighbours a term; pieces are longer ones.
WORD = rf"(?u)[{UNSPACED}]|[^\W{UNSPACED}]+"
# Kinds of terms. The last four tell how a title is written, which whoever publishes it mostly keeps: capitals and signs,
# how it begins, how it ends, and all of it without its words.
KINDS: dict[str, Terms] = {
    "words": {"ngram_range": (1, 2), "token_pattern": WORD},
    "pieces": {"analyzer": "char_wb", "ngram_range": (2, 4)},
    "letters": _AS_WRITTEN,
    "opening": _AS_WRITTEN,
    "ending": _AS_WRITTEN,
    "pattern": _AS_WRITTEN,
}
# Characters that are read of a text. A title is short and comes first; a long description has little more to say, and its
# pieces would take a hundred times the memory.
MOST_READ = {"words": 600, "pieces": 250, "letters": 250, "opening": 20, "ending": 25, "pattern": 250}
MANY = 100  # texts, from which on a term has to stand in two of them
MOST_COUNTED = 50_000  # texts whose terms are counted; of more, a sample, for what counting takes in memory grows with them
AT_ONCE = 16_384  # texts that are turned into rows at once
BETWEEN = "\n"  # stands in no term
_LETTERS, _NUMBER = re.compile(r"[^\W\d_]+"), re.compile(r"\d+")


class TfIdf:
    """Texts to sparse (n, V) float32 rows, a block for each kind in their order, each block of length 1."""

    def __init__(self, most_terms: int, kinds: Sequence[str] = PLAIN) -> None:
        self.most_terms = most_terms  # of each kind, the most frequent
        self.kinds = tuple(kinds)
        self.terms: dict[str, list[str]] = {}
        self._fitted: dict[str, TfidfVectorizer] = {}

    def fit(self, texts: Sequence[str]) -> None:
        """Find and weigh the terms of training texts."""
        self.fit_transform(_some(texts))

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Fit on training texts and return their rows; a kind without any term has no columns."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        if len(texts) > MOST_COUNTED:
            self.fit(texts)
            return self.transform(texts)
        rows = []
        for kind in self.kinds:
            vectorizer = TfidfVectorizer(
                **KINDS[kind],
                sublinear_tf=True,
                dtype=np.float32,
                min_df=2 if len(texts) > MANY else 1,
                max_features=self.most_terms,
            )
            try:
                rows.append(vectorizer.fit_transform(_read(texts, kind)))
            except ValueError:  # no term is left: all texts empty, or none shares a word with another
                continue
            self._fitted[kind] = vectorizer
            self.terms[kind] = vectorizer.get_feature_names_out().tolist()
        return _side_by_side(rows, len(texts))

    def transform(self, texts: Sequence[str]) -> Any:
        return _side_by_side([self.rows(texts, kind) for kind in self._fitted], len(texts))

    def rows(self, texts: Sequence[str], kind: str) -> Any:
        """Return the block of one kind, of no columns where no term of it was found."""
        if kind not in self._fitted:
            return empty_rows(len(texts))
        starts = range(0, max(len(texts), 1), AT_ONCE)
        parts = [self._fitted[kind].transform(_read(texts[start : start + AT_ONCE], kind)) for start in starts]
        return parts[0] if len(parts) == 1 else _below_each_other(parts)

    @property
    def num_terms(self) -> int:
        return sum(map(len, self.terms.values()))

    def specs(self) -> dict[str, Spec]:
        """Return what `arrays` gives."""
        return {name: spec for kind in self.kinds for name, spec in term_specs(kind).items()}

    def arrays(self) -> dict[str, np.ndarray]:
        found = {}
        for kind, vectorizer in self._fitted.items():
            found[f"{kind}_idf"] = vectorizer.idf_.astype(np.float32)
            found[f"{kind}_terms"] = np.frombuffer(BETWEEN.join(self.terms[kind]).encode(), np.uint8)
        return found

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take arrays of `term_specs`; raise ValueError or LookupError where they do not fit together."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        for kind in self.kinds:
            if f"{kind}_idf" not in arrays and f"{kind}_terms" not in arrays:
                continue
            self.terms[kind] = bytes(arrays[f"{kind}_terms"]).decode().split(BETWEEN)
            if len(set(self.terms[kind])) != len(arrays[f"{kind}_idf"]) or len(self.terms[kind]) != len(
                arrays[f"{kind}_idf"]
            ):
                raise ValueError(f"{kind}: its terms are not as many as their weights, or one stands twice")
            vectorizer = TfidfVectorizer(**KINDS[kind], sublinear_tf=True, dtype=np.float32, vocabulary=self.terms[kind])
            vectorizer.idf_ = arrays[f"{kind}_idf"]
            self._fitted[kind] = vectorizer


def term_specs(kind: str) -> dict[str, Spec]:
    """Return what `TfIdf.arrays` gives of a kind, where a term of it was found."""
    return {
        f"{kind}_idf": Spec(dtype="float32", shape=(f"terms of {kind}",), low=0, is_optional=True),
        f"{kind}_terms": Spec(dtype="uint8", shape=(f"letters of {kind}",), is_optional=True),
    }


def pattern_of(text: str) -> str:
    """Return a text with A for a word in capitals, C for one that begins with one, c for any other, and 9 for a number."""
    return _LETTERS.sub(_letter_of, _NUMBER.sub("9", text))


def _letter_of(word: re.Match[str]) -> str:
    letters = word[0]
    if not letters[0].isupper():
        return "c"
    return "A" if len(letters) > 1 and letters.isupper() else "C"


def _read(texts: Sequence[str], kind: str) -> list[str]:
    most = MOST_READ[kind]
    if kind in PLAIN:
        return [text[:most] for text in texts]
    lines = [" ".join(text.split()) for text in texts]  # a term is stored in one line
    if kind == "ending":
        return [line[-most:] for line in lines]
    return [pattern_of(line[:most]) if kind == "pattern" else line[:most] for line in lines]


def empty_rows(num: int) -> Any:
    """Return (num, 0) CSR."""
    from scipy import sparse

    return sparse.csr_matrix((num, 0), dtype=np.float32)


def _side_by_side(rows: Sequence[Any], num: int) -> Any:
    from scipy import sparse

    return sparse.hstack(rows, format="csr") if rows else empty_rows(num)


def _some(texts: Sequence[str]) -> Sequence[str]:
    if len(texts) <= MOST_COUNTED:
        return texts
    return [texts[place] for place in np.sort(np.random.default_rng(0).permutation(len(texts))[:MOST_COUNTED])]


def _below_each_other(parts: Sequence[Any]) -> Any:
    from scipy import sparse

    return sparse.vstack(parts, format="csr")
