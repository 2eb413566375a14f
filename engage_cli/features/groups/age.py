"""How old a post's counters are: known of training posts, and chosen of a post to come (`predict --after`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from engage_cli.data.ages.growth import Growth, fit_growth
from engage_cli.data.folds import Folds
from engage_cli.data.schema import LOG_AGE
from engage_cli.features.groups import PartOptions, TablePart, make_table, no_columns
from engage_cli.features.inputs import PostInputs
from engage_cli.io.records import record

GROWTH = "growth"  # the column that a model of values starts from: trees know no age beyond those they were trained on
MEANINGS = {
    LOG_AGE: "Age of the post when its counters are read [log of days]",
    GROWTH: "How much more or less the age of its counters makes expected, compared with a usual age [the target's unit]",
}


@record
class AgeFitted(Growth):
    has_age: bool = True


class Age(TablePart):
    fitted = AgeFitted
    group = "age"

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.growth: Growth | None = None  # None where no training post has an age

    @property
    def reads_columns(self) -> list[str]:  # type: ignore[override]
        return [] if self.growth is None else [LOG_AGE]

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        has_age = bool(inputs.number(LOG_AGE).notna().any())
        self.growth = fit_growth(inputs.posts, truth) if has_age else None
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if self.growth is None:
            return no_columns(inputs)
        ages = inputs.number(LOG_AGE).to_numpy(np.float64)
        return make_table(np.stack([ages, self.growth.offset(ages)], axis=1), [LOG_AGE, GROWTH], inputs)

    def state(self) -> tuple[AgeFitted, dict[str, np.ndarray]]:
        if self.growth is None:
            return AgeFitted(has_age=False), {}
        return AgeFitted(**asdict(self.growth)), {}

    def restore(self, state: AgeFitted, arrays: Mapping[str, np.ndarray]) -> None:
        self.growth = state if state.has_age else None

    def meaning(self, column: str) -> str:
        return MEANINGS[column]
