"""The parts of the table that CatBoost reads: each a group of features, with what it fits on training rows.

A part is one class and one line in PARTS; a set of parts that can be asked for by name is one line in SETS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from engage_cli.config.general import STUDY
from engage_cli.data.folds import Folds
from engage_cli.features.inputs import PostInputs
from engage_cli.io.array_reading import Spec
from engage_cli.io.ranges import Count, FromOne
from engage_cli.io.records import record
from engage_cli.registry import Registry

PARTS = Registry(
    "group of features",
    {
        "image_embedding": "engage_cli.features.groups.embeddings:ImageEmbedding",
        "text_embedding": "engage_cli.features.groups.embeddings:TextEmbedding",
        "image_text_match": "engage_cli.features.groups.embeddings:ImageTextMatch",
        "image_score": "engage_cli.features.groups.ridge_scores:ImageScore",
        "text_score": "engage_cli.features.groups.ridge_scores:TextScore",
        "words_score": "engage_cli.features.groups.ridge_scores:WordsScore",
        "title_topics": "engage_cli.features.groups.topics:TitleTopics",
        "description_topics": "engage_cli.features.groups.topics:DescriptionTopics",
        "image_statistics": "engage_cli.features.groups.statistics:ImageStatistics",
        "cover_lettering": "engage_cli.features.groups.covers:CoverLettering",
        "cover_words": "engage_cli.features.groups.covers:CoverWords",
        "cover_faces": "engage_cli.features.groups.covers:CoverFaces",
        "title_statistics": "engage_cli.features.groups.statistics:TitleStatistics",
        "description_statistics": "engage_cli.features.groups.statistics:DescriptionStatistics",
        "text_counts": "engage_cli.features.groups.statistics:TextCounts",
        "tags": "engage_cli.features.groups.tags:Tags",
        "category": "engage_cli.features.groups.tags:Category",
        "time": "engage_cli.features.groups.columns:Time",
        "author": "engage_cli.features.groups.columns:Author",
        "age": "engage_cli.features.groups.age:Age",
        "own_columns": "engage_cli.features.groups.columns:OwnColumns",
        "counters": "engage_cli.features.groups.columns:Counters",
    },
)
HONEST = "honest"
_EMBEDDINGS = ("image_embedding", "text_embedding", "image_text_match")
_WORDS = ("words_score", "title_topics", "description_topics")
_HANDCRAFTED = (
    "image_statistics",
    "title_statistics",
    "description_statistics",
    "tags",
    "category",
    "time",
    "author",
    "age",
)
SETS = {
    # Of embeddings their scores alone: three thousand single numbers hide the few columns that tell much, and cost ten
    # times the time. On validation posts of three real splits R² is 0.01 to 0.02 better without them.
    HONEST: ("image_text_match", "image_score", "text_score", *_WORDS, *_HANDCRAFTED),
    "embeddings": _EMBEDDINGS,
    "words": _WORDS,
    "handcrafted": _HANDCRAFTED,
    "covers": ("cover_lettering", "cover_words", "cover_faces"),
    # Study, section 4.2: with counters, from which its label is computed.
    STUDY: (*_EMBEDDINGS, "text_counts", "category", "counters"),
}
LEAKY_PARTS = ("counters",)


ColumnKind = Literal["number", "category"]


@record
class PartOptions:
    pca: FromOne | None = None  # components that embeddings are reduced to
    columns: dict[str, ColumnKind] = field(default_factory=dict)  # the user's own
    shared_width: Count = 0  # of the space that image and text share, so that a cosine means something; 0 where they do not
    seed: Count = 0


@record
class NothingFitted:
    """What a part that fits nothing keeps beside its arrays."""


class TablePart:
    """Columns of one group. This one fits nothing: parts that do override `fit`, `fitted`, `state`, `specs`, `restore`."""

    fitted: ClassVar[type] = NothingFitted  # the record of what it keeps beside its arrays

    group: str  # what the group is called where importance is shown
    blocks: tuple[str, ...] = ()  # whose vectors it reads
    reads_images = False
    reads_covers = False  # whether it reads what covers show (the extra `covers`)
    reads_columns: Sequence[str] = ()  # of the posts, beside their texts; known when fitted
    fits_what_is_left = False  # whether `truth` is what the known numbers of posts leave of it (features._known_numbers)

    def __init__(self, options: PartOptions) -> None:
        self.options = options

    def fit(self, inputs: PostInputs, truth: np.ndarray, folds: Folds) -> pd.DataFrame:
        """Fit on training rows and return their columns: float32 for numbers, object for categories.

        `truth` is (n,) float64: values, or numbers of classes. What is fitted on it is given to a training row as
        fitted without that row's fold, for else the model would trust it too much.
        """
        return self.transform(inputs)

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        """Return the same columns for any posts."""
        raise NotImplementedError

    def state(self) -> tuple[Any, dict[str, np.ndarray]]:
        """Return all that `restore` needs: a record of the class `fitted`, and arrays."""
        return NothingFitted(), {}

    def specs(self) -> dict[str, Spec]:
        """Return what its arrays are."""
        return {}

    def restore(self, state: Any, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `state` gave, arrays that are as `specs` says; raise ValueError where they do not fit together."""
        return

    def label(self, column: str) -> str | None:
        """Return what people call a column; None where it means nothing by itself."""
        return column

    def meaning(self, column: str) -> str:
        """Say what a column is, with its unit."""
        raise NotImplementedError


def make_table(columns: np.ndarray, names: Sequence[str], inputs: PostInputs) -> pd.DataFrame:
    """Return (n, F) numbers as columns."""
    return pd.DataFrame(np.asarray(columns, np.float32), columns=list(names), index=inputs.posts.index)


def no_columns(inputs: PostInputs) -> pd.DataFrame:
    """What a part returns where the posts have nothing for it."""
    return pd.DataFrame(index=inputs.posts.index)
