"""Features counted from the text and its category: known before publication, and named so that a marketer understands.

The study (section 4.2) counts characters and words of title and description; the rest are its plain neighbours.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

CATEGORICAL = "category"
MISSING = "<missing>"
_WORD = re.compile(r"\w+(?:'\w+)?")


def count_features(posts: pd.DataFrame) -> pd.DataFrame:
    """Return one float32 column a feature, in a fixed order."""
    title, description = posts["title"].fillna("").astype(str), posts["description"].fillna("").astype(str)
    columns = {
        "title_characters": [len(text) for text in title],
        "title_words": [len(_WORD.findall(text)) for text in title],
        "title_capital_share": [_capital_share(text) for text in title],
        "title_digits": [sum(character.isdigit() for character in text) for text in title],
        "title_exclamation_marks": [text.count("!") for text in title],
        "title_question_marks": [text.count("?") for text in title],
        "title_hashtags": [text.count("#") for text in title],
        "description_characters": [len(text) for text in description],
        "description_words": [len(_WORD.findall(text)) for text in description],
    }
    return pd.DataFrame({name: np.asarray(values, np.float32) for name, values in columns.items()}, index=posts.index)


def categories(posts: pd.DataFrame) -> pd.Series:
    """Return the tags as one category each: CatBoost takes strings only, and no missing value."""
    tags = posts["tags"].fillna("").astype(str)
    return tags.where(tags != "", MISSING).astype(object)


def _capital_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum(letter.isupper() for letter in letters) / len(letters) if letters else 0.0
