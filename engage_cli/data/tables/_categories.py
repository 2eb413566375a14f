"""Whether a kept column of digits holds amounts or codes: 24 of YouTube's categories is no more than 22."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd

from engage_cli.data.cells.numbers import Numbers

NUMERIC_SHARE = 0.95  # of a kept column's cells that are numbers, for it to be one of numbers
# Words of a name that say that its digits are a name.
CODES = frozenset(
    (
        *(
            "category",
            "categories",
            "categoryid",
            "genre",
            "genres",
            "code",
            "codes",
            "type",
            "types",
            "kind",
            "class",
            "id",
            "ids",
        ),
        *(
            "zip",
            "zipcode",
            "postcode",
            "plz",
            "topic",
            "topics",
            "cluster",
            "segment",
            "group",
            "label",
            "kategorie",
            "catégorie",
        ),
        *(
            "categoría",
            "categoria",
            "类别",
            "分类",
            "分区",
            "カテゴリ",
            "카테고리",
            "категория",
            "channel",
            "language",
            "region",
            "country",
        ),
    )
)


def is_category(name: str, column: pd.Series, numbers: Numbers) -> bool:
    """Say whether a column is one of categories: by its cells, and where those are whole numbers by its name."""
    known = np.isfinite(numbers.values)
    num = int(known.sum())
    if not num or num < NUMERIC_SHARE * (num + int(numbers.unusable.sum())):
        return True
    if (numbers.values[known] % 1 != 0).any():
        return False
    if column.str.match(r"0\d").any():  # 007 is a name
        return True
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return bool(CODES & set(re.findall(r"[^\W_]+", spread.casefold())))
