"""Topics of title and description: TF-IDF, reduced to a few directions (latent semantic analysis, Deerwester 1990)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.features.groups import NothingFitted, PartOptions, TablePart, make_table, no_columns
from engage_cli.features.groups.tfidf import TfIdf
from engage_cli.features.inputs import PostInputs
from engage_cli.io.array_reading import Spec

MOST_TERMS = 30_000
LEAST_TEXTS = 20  # below, there is nothing to find topics in
NUM_WORDS = 3  # that a topic is called after


class TitleTopics(TablePart):
    group = "title topics"
    column, num_topics = "title", 64

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.tfidf = TfIdf(MOST_TERMS)
        self.components = np.zeros((0, 0), np.float32)  # (K, V)

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        from sklearn.decomposition import TruncatedSVD

        texts = inputs.text(self.column)
        if (texts != "").sum() < LEAST_TEXTS:
            return no_columns(inputs)
        rows = self.tfidf.fit_transform(texts.tolist())
        num = min(self.num_topics, rows.shape[0] - 1, rows.shape[1] - 1)
        if num < 1:
            self.tfidf = TfIdf(MOST_TERMS)
            return no_columns(inputs)
        fitted = TruncatedSVD(num, random_state=self.options.seed).fit(rows)
        self.components = fitted.components_.astype(np.float32)
        return self._table(rows, inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if not self.components.size:
            return no_columns(inputs)
        return self._table(self.tfidf.transform(inputs.text(self.column).tolist()), inputs)

    def _table(self, rows: Any, inputs: PostInputs) -> pd.DataFrame:
        names = [f"{self.column}_topic_{number}" for number in range(len(self.components))]
        return make_table(rows @ self.components.T, names, inputs)

    def state(self) -> tuple[NothingFitted, dict[str, np.ndarray]]:
        has_topics = bool(self.components.size)
        return NothingFitted(), {"components": self.components, **self.tfidf.arrays()} if has_topics else {}

    def specs(self) -> dict[str, Spec]:
        return {"components": Spec(dtype="float32", shape=("topics", "terms"), is_optional=True), **self.tfidf.specs()}

    def restore(self, state: NothingFitted, arrays: Mapping[str, np.ndarray]) -> None:
        self.tfidf.restore(arrays)
        if "components" in arrays:
            self.components = arrays["components"]
        if self.components.shape[1] != self.tfidf.num_terms:
            raise ValueError("its topics are not as wide as its terms are many")

    def label(self, column: str) -> str | None:
        return f"{column}: {self._words_of(column)}"

    def meaning(self, column: str) -> str:
        return f"How much the {self.column} is about: {self._words_of(column)} [no unit]"

    def _words_of(self, column: str) -> str:
        """Name the terms that weigh most: words, or pieces of them where texts have no words in common."""
        terms = self.tfidf.terms.get("words") or self.tfidf.terms["pieces"]
        weights = self.components[int(column.rpartition("_")[2])][: len(terms)]  # words come before pieces
        largest = np.argsort(-np.abs(weights), kind="stable")[:NUM_WORDS]
        return ", ".join(f"{'' if weights[place] > 0 else 'not '}{terms[place].strip()}" for place in largest)


class DescriptionTopics(TitleTopics):
    group = "description topics"
    column, num_topics = "description", 32
