"""What covers show (covers.reading), as parts of the table: lettering, its words, and faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engage_cli.covers.numbers import (
    FACE_NUMBERS,
    LETTERING_NUMBERS,
    TITLE_ON_COVER,
    meaning_of_number,
    numbers_of,
    texts_on,
    title_share,
)
from engage_cli.features.groups import TablePart, make_table
from engage_cli.features.groups.ridge_scores import UNIT, WordsScore
from engage_cli.features.inputs import PostInputs


class CoverLettering(TablePart):
    group = "lettering on the cover"
    reads_covers = True

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        readings = inputs.covers()
        pairs = zip(inputs.text("title"), texts_on(readings), strict=True)
        repeated = np.array([title_share(title, lettering) for title, lettering in pairs], np.float32)
        repeated[[reading is None for reading in readings]] = np.nan
        numbers = np.column_stack([numbers_of(readings, LETTERING_NUMBERS), repeated])
        return make_table(numbers, [*LETTERING_NUMBERS, TITLE_ON_COVER], inputs)

    def meaning(self, column: str) -> str:
        if column == TITLE_ON_COVER:
            return "Cover: share of the title's words that stand on it [0 to 1]"
        return f"Cover: {meaning_of_number(LETTERING_NUMBERS, column)}"


class CoverFaces(TablePart):
    group = "faces on the cover"
    reads_covers = True

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        return make_table(numbers_of(inputs.covers(), FACE_NUMBERS), list(FACE_NUMBERS), inputs)

    def meaning(self, column: str) -> str:
        return f"Cover: {meaning_of_number(FACE_NUMBERS, column)}"


class CoverWords(WordsScore):
    """Ridge on the TF-IDF of the cover's lettering."""

    group = "lettering on the cover"
    reads_covers = True

    def _fit_rows(self, inputs: PostInputs) -> Any:
        return self.tfidf.fit_transform(texts_on(inputs.covers()))

    def _rows(self, inputs: PostInputs) -> Any:
        return self.tfidf.transform(texts_on(inputs.covers()))

    @property
    def _name(self) -> str:
        return "cover_words_score"

    def meaning(self, column: str) -> str:
        return f"What the words on the cover alone let ridge regression expect [{UNIT}]"
