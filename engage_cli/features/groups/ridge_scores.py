"""What a linear model alone expects, from one side of a post: the best single feature that a tree can get of it.

Trees read an embedding number by number and a word not at all; ridge regression reads all of them at once. A training
row's score comes from ridge fitted without its fold (stacked generalisation, Wolpert 1992). Where followers, the age of
counters or the author's record tell of the truth, ridge is fitted on what they leave of it (features._known_numbers).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.data.schema import texts_of
from engage_cli.features.groups import PartOptions, TablePart, make_table
from engage_cli.features.groups._many_rows import SMALLEST_SCALE, fit_many
from engage_cli.features.groups.embeddings import must_be_as_wide
from engage_cli.features.groups.tfidf import TfIdf
from engage_cli.features.inputs import PostInputs
from engage_cli.io.array_reading import Spec
from engage_cli.io.ranges import NotNegative, Number
from engage_cli.io.records import record
from engage_cli.metrics.metrics import r2

DENSE_ALPHAS = (100.0, 300.0, 1000.0, 3000.0, 10_000.0)  # of standardised columns
SPARSE_ALPHAS = (0.3, 1.0, 3.0, 10.0)
MOST_TERMS = 200_000
MOST_AT_ONCE = 60_000  # posts whose vectors are in memory in single precision
UNIT = "the target's unit, or classes 0 to 4"


@record
class ScoreFitted:
    intercept: Number
    alpha: NotNegative


class Score(TablePart):
    """One column: ridge on the rows of `_rows`."""

    fitted = ScoreFitted
    fits_what_is_left = True
    alphas: tuple[float, ...] = DENSE_ALPHAS

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.coefficients = np.zeros(0, np.float32)  # (D,)
        self.intercept, self.alpha = 0.0, 0.0

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        rows = self._fit_rows(inputs)
        if rows.shape[1] == 0:
            self.intercept = float(truth.mean())
            return self.transform(inputs)
        scores = np.full(len(truth), truth.mean())
        for number in range(folds.num):
            fitted, out = folds.fitted(number), folds.held_out(number)
            if len(fitted) < 2:
                continue
            if not self.alpha:  # the first fold chooses for all
                self.alpha = self._choose_alpha(rows, truth, fitted, out)
            scores[out] = self._ridge(self.alpha, rows[fitted], truth[fitted]).predict(rows[out])
        model = self._ridge(self.alpha or self.alphas[-1], rows, truth)
        self.coefficients, self.intercept = model.coef_.astype(np.float32), float(model.intercept_)
        return make_table(scores[:, None], [self._name], inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if not self.coefficients.size:
            return make_table(np.full((len(inputs), 1), self.intercept), [self._name], inputs)
        scores = self._rows(inputs) @ self.coefficients + self.intercept
        return make_table(np.asarray(scores).reshape(-1, 1), [self._name], inputs)

    def state(self) -> tuple[ScoreFitted, dict[str, np.ndarray]]:
        return ScoreFitted(intercept=self.intercept, alpha=self.alpha), {"coefficients": self.coefficients}

    def specs(self) -> dict[str, Spec]:
        return {"coefficients": Spec(dtype="float32", shape=("coefficients",))}

    def restore(self, state: ScoreFitted, arrays: Mapping[str, np.ndarray]) -> None:
        self.intercept, self.alpha = state.intercept, state.alpha
        self.coefficients = arrays["coefficients"]

    def _fit_rows(self, inputs: PostInputs) -> Any:
        return self._rows(inputs)

    def _rows(self, inputs: PostInputs) -> Any:
        """Return (n, D), dense or sparse."""
        raise NotImplementedError

    def _choose_alpha(self, rows: Any, truth: np.ndarray, fitted: np.ndarray, out: np.ndarray) -> float:
        found = [r2(truth[out], self._ridge(a, rows[fitted], truth[fitted]).predict(rows[out])) for a in self.alphas]
        return self.alphas[int(np.argmax(found))]

    def _ridge(self, alpha: float, rows: Any, truth: np.ndarray) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge(alpha=alpha).fit(rows, truth)

    @property
    def _name(self) -> str:
        raise NotImplementedError


class ImageScore(Score):
    """Ridge on the standardised embedding of the cover; of many posts from sums over blocks of them (_many_rows.py)."""

    group = "image embedding"
    blocks: tuple[str, ...] = ("image",)

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.mean, self.scale = np.zeros(0, np.float32), np.zeros(0, np.float32)

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        if len(inputs) <= MOST_AT_ONCE:
            return super().fit(inputs, truth, folds)
        found = fit_many(partial(self._some, inputs), truth, folds, self.alphas)
        self.mean, self.scale, self.alpha = found.mean, found.scale, found.alpha
        self.coefficients, self.intercept = found.coefficients, found.intercept
        return make_table(found.scores[:, None], [self._name], inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if len(inputs) <= MOST_AT_ONCE:
            return super().transform(inputs)
        starts = range(0, len(inputs), MOST_AT_ONCE)
        places = np.arange(len(inputs))
        return pd.concat([super(ImageScore, self).transform(inputs.take(places[a : a + MOST_AT_ONCE])) for a in starts])

    def _some(self, inputs: PostInputs, places: np.ndarray) -> np.ndarray:
        return inputs.take(places).vectors(self.blocks[0])

    def _fit_rows(self, inputs: PostInputs) -> np.ndarray:
        vectors = inputs.vectors(self.blocks[0])
        self.mean, self.scale = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), SMALLEST_SCALE)
        return self._rows(inputs)

    def _rows(self, inputs: PostInputs) -> np.ndarray:
        vectors = inputs.vectors(self.blocks[0])
        must_be_as_wide(vectors, self.mean, self.blocks[0])
        return (vectors - self.mean) / self.scale

    def state(self) -> tuple[ScoreFitted, dict[str, np.ndarray]]:
        state, arrays = super().state()
        return state, {**arrays, "mean": self.mean, "scale": self.scale}

    def specs(self) -> dict[str, Spec]:
        return {
            **super().specs(),
            "mean": Spec(dtype="float32", shape=("numbers",)),
            "scale": Spec(dtype="float32", shape=("numbers",), low=SMALLEST_SCALE / 2),
        }

    def restore(self, state: ScoreFitted, arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self.mean, self.scale = arrays["mean"], arrays["scale"]
        if len(self.coefficients) not in (0, len(self.mean)):
            raise ValueError("its coefficients are not as many as the numbers of a vector")

    @property
    def _name(self) -> str:
        return f"{self.blocks[0]}_score"

    def meaning(self, column: str) -> str:
        what = "cover" if self.blocks == ("image",) else "text"
        return (
            f"What ridge regression predicts from the {what}'s embedding alone [the target's unit, or classes from 0 to 4]"
        )


class TextScore(ImageScore):
    group = "text embedding"
    blocks = ("text",)


class WordsScore(Score):
    """Ridge on the TF-IDF of title, tags and description."""

    group = "words"
    alphas = SPARSE_ALPHAS

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.tfidf = TfIdf(MOST_TERMS)

    def _fit_rows(self, inputs: PostInputs) -> Any:
        return self.tfidf.fit_transform(texts_of(inputs.posts, "text"))

    def _rows(self, inputs: PostInputs) -> Any:
        return self.tfidf.transform(texts_of(inputs.posts, "text"))

    def state(self) -> tuple[ScoreFitted, dict[str, np.ndarray]]:
        state, arrays = super().state()
        return state, {**arrays, **self.tfidf.arrays()}

    def specs(self) -> dict[str, Spec]:
        return {**super().specs(), **self.tfidf.specs()}

    def restore(self, state: ScoreFitted, arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self.tfidf.restore(arrays)
        if len(self.coefficients) not in (0, self.tfidf.num_terms):
            raise ValueError("its coefficients are not as many as its terms")

    @property
    def _name(self) -> str:
        return "words_score"

    def meaning(self, column: str) -> str:
        return f"What ridge regression predicts from the words of title, tags and description alone [{UNIT}]"
