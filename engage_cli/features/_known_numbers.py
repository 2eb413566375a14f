"""What the known numbers of posts tell of their truth, so that scores of words and images can be fitted on what is left.

Who posts, and how old counters are, moves views more than a title does. Ridge regression on words that is fitted on what
trees of those numbers leave finds what the words add; fitted on the truth it mostly finds who wrote them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.data.known_columns import NUMBER_ROLES, log_of_role
from engage_cli.data.schema import AUTHOR_COLUMNS, LOG_AGE
from engage_cli.metrics.metrics import r2

NAMES = ("hour", "weekday", *AUTHOR_COLUMNS, LOG_AGE)
TREES, LEARNING_RATE, DEPTH = 200, 0.1, 5
LEAST_TOLD = 0.05  # cross-fitted R² of the numbers, for what they tell to be taken away
FEWEST_FITTED = 20  # posts


def known_numbers(posts: pd.DataFrame) -> pd.DataFrame:
    """(n, F) float32: date, the author's record, the age of counters, followers and duration; NaN where unknown.

    A column is there whether or not any post has it.
    """
    found = {name: posts[name].to_numpy(np.float32) if name in posts else np.nan for name in NAMES}
    found |= {role: log_of_role(posts, role).astype(np.float32) for role in NUMBER_ROLES}
    return pd.DataFrame(found, index=posts.index, dtype=np.float32)


def beyond_numbers(posts: pd.DataFrame, truth: np.ndarray, folds: Folds) -> np.ndarray:
    """Return truth (n,) less what trees fitted without the post's fold expect of its numbers.

    Where these tell less than LEAST_TOLD of it, or posts are very few, it is the truth itself.
    """
    table = known_numbers(posts)
    table = table.loc[:, table.nunique() > 1]
    if table.empty or folds.num < 2 or min(len(folds.fitted(number)) for number in range(folds.num)) < FEWEST_FITTED:
        return truth
    expected = np.full(len(truth), truth.mean())
    for number in range(folds.num):
        fitted, out = folds.fitted(number), folds.held_out(number)
        if len(out) and np.ptp(truth[fitted]) > 0:
            expected[out] = _trees(table.iloc[fitted], truth[fitted], table.iloc[out])
    return truth - expected if r2(truth, expected) > LEAST_TOLD else truth


def _trees(table: pd.DataFrame, truth: np.ndarray, asked: pd.DataFrame) -> np.ndarray:
    from catboost import CatBoostRegressor

    model = CatBoostRegressor(
        iterations=TREES,
        learning_rate=LEARNING_RATE,
        depth=DEPTH,
        random_seed=0,
        logging_level="Silent",
        allow_writing_files=False,
    )
    return np.asarray(model.fit(table.to_numpy(), truth).predict(asked.to_numpy()), np.float64)
