"""What is counted in texts and measured in covers (features.handcrafted), as parts of the table."""

from __future__ import annotations

import pandas as pd

from engage_cli.features.groups import TablePart, make_table
from engage_cli.features.handcrafted import (
    DESCRIPTION_FEATURES,
    IMAGE_FEATURES,
    TITLE_CATEGORIES,
    TITLE_FEATURES,
    meaning_of,
    measure_texts,
)
from engage_cli.features.inputs import PostInputs
from engage_cli.registry import Registry

STUDY_COUNTS = ("title_characters", "title_words", "description_characters", "description_words")  # study, section 4.2


class ImageStatistics(TablePart):
    group = "image statistics"
    reads_images = True

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        return make_table(inputs.image_statistics(), list(IMAGE_FEATURES), inputs)

    def meaning(self, column: str) -> str:
        return meaning_of(IMAGE_FEATURES, column)


class TitleStatistics(TablePart):
    group = "title statistics"

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        titles = inputs.text("title")
        numbers = measure_texts(titles, TITLE_FEATURES)
        categories = {name: titles.map(TITLE_CATEGORIES.load(name)).astype(object) for name in TITLE_CATEGORIES}
        return numbers.assign(**categories)

    def meaning(self, column: str) -> str:
        table = TITLE_CATEGORIES if column in TITLE_CATEGORIES else TITLE_FEATURES
        return f"Title: {meaning_of(table, column)}"


class DescriptionStatistics(TablePart):
    group = "description statistics"

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        return measure_texts(inputs.text("description"), DESCRIPTION_FEATURES)

    def meaning(self, column: str) -> str:
        return f"Description: {meaning_of(DESCRIPTION_FEATURES, column)}"


class TextCounts(TablePart):
    """The study's counts of characters and words."""

    group = "text counts"

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        tables = {"title": TITLE_FEATURES, "description": DESCRIPTION_FEATURES}
        parts = [
            measure_texts(inputs.text(column), Registry(table.kind, {n: table[n] for n in STUDY_COUNTS if n in table}))
            for column, table in tables.items()
        ]
        return pd.concat(parts, axis=1)

    def meaning(self, column: str) -> str:
        table = TITLE_FEATURES if column in TITLE_FEATURES else DESCRIPTION_FEATURES
        return f"{column.partition('_')[0].capitalize()}: {meaning_of(table, column)}"
