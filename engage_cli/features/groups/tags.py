"""Tags: whether a post has each of the frequent ones, how many it has, and the category that CatBoost reads as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from engage_cli.data.folds import Folds
from engage_cli.features.groups import PartOptions, TablePart, make_table, no_columns
from engage_cli.features.handcrafted import MISSING
from engage_cli.features.inputs import PostInputs
from engage_cli.io.ranges import UniqueNames
from engage_cli.io.records import record

MOST_TAGS = 200
LEAST_POSTS, LEAST_SHARE = 10, 0.002  # of the training posts, that have a tag which is frequent
SIGNS, SPACES = r"[|,;#\n，、；＃]", r"[\s|,;#，、；＃]"
# Where signs divide hardly any post's tags, and most posts have a string that few share, spaces divide them (Flickr).
HARDLY_ANY, FEW_ALIKE = 0.02, 0.5


# What divides tags, by the name under which it is stored: no pattern is read from a file.
BETWEEN: dict[Literal["signs", "spaces"], str] = {"signs": SIGNS, "spaces": SPACES}
_NAMES = {pattern: name for name, pattern in BETWEEN.items()}


@record
class TagsFitted:
    between: Literal["signs", "spaces"]
    frequent: UniqueNames = ()
    is_used: bool = False


class _TagReader(TablePart):
    fitted = TagsFitted
    group = "tags and category"

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.between = SIGNS

    def _learn(self, inputs: PostInputs) -> list[list[str]]:
        texts = inputs.text("tags")
        there = texts[texts != ""]
        if len(there) and there.str.contains(SIGNS).mean() <= HARDLY_ANY and there.nunique() > FEW_ALIKE * len(there):
            self.between = SPACES
        return self._read(inputs)

    def _read(self, inputs: PostInputs) -> list[list[str]]:
        split = re.compile(self.between).split
        return [
            list(dict.fromkeys(tag for part in split(text) if (tag := part.strip().casefold())))
            for text in inputs.text("tags")
        ]

    def state(self) -> tuple[TagsFitted, dict[str, np.ndarray]]:
        return TagsFitted(between=_NAMES[self.between]), {}

    def restore(self, state: TagsFitted, arrays: Mapping[str, np.ndarray]) -> None:
        self.between = BETWEEN[state.between]


class Tags(_TagReader):
    """Nothing where posts have one tag each: the category says it."""

    def __init__(self, options: PartOptions) -> None:
        super().__init__(options)
        self.frequent: list[str] = []
        self.is_used = False

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        tags = self._learn(inputs)
        self.is_used = any(len(some) > 1 for some in tags)
        counts = Counter(tag for some in tags for tag in some)
        least = max(LEAST_POSTS, LEAST_SHARE * len(tags))
        frequent = sorted((tag for tag in counts if counts[tag] >= least), key=lambda tag: (-counts[tag], tag))
        self.frequent = frequent[:MOST_TAGS]
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        if not self.is_used:
            return no_columns(inputs)
        place = {tag: number for number, tag in enumerate(self.frequent)}
        tags = self._read(inputs)
        columns = np.zeros((len(tags), len(place) + 1), np.float32)
        for row, some in enumerate(tags):
            columns[row, 0] = len(some)
            columns[row, [place[tag] + 1 for tag in some if tag in place]] = 1
        return make_table(columns, ["tag_count", *(f"tag: {tag}" for tag in self.frequent)], inputs)

    def state(self) -> tuple[TagsFitted, dict[str, np.ndarray]]:
        frequent = tuple(self.frequent)
        return TagsFitted(between=_NAMES[self.between], frequent=frequent, is_used=self.is_used), {}

    def restore(self, state: TagsFitted, arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(state, arrays)
        self.frequent, self.is_used = list(state.frequent), state.is_used

    def meaning(self, column: str) -> str:
        if column == "tag_count":
            return "Number of tags [tags]"
        return f"Whether the post is tagged '{column.removeprefix('tag: ')}' [0 or 1]"


class Category(_TagReader):
    """The first tag as a category. One that no training post has is as good as none to CatBoost."""

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        self._learn(inputs)
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        first = [tags[0] if tags else MISSING for tags in self._read(inputs)]
        return pd.DataFrame({"category": np.array(first, dtype=object)}, index=inputs.posts.index)

    def meaning(self, column: str) -> str:
        return "The first tag, or the only one [category]"
