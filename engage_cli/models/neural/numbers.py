"""Numbers of posts beside their content: a branch of the network, what goes into it, and what is fitted for that.

One of the numbers is what ridge regression on the words alone expects (features.groups.ridge_scores). An encoder that was
made for another language says little of a title; the score of its words and pieces says what they are worth here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engage_cli.data.folds import count_groups, make_folds
from engage_cli.data.numbers.number_inputs import WORDS, NumberInputs, fit_number_inputs
from engage_cli.data.schema import texts_of
from engage_cli.encoders import Tokens
from engage_cli.features.groups import PartOptions
from engage_cli.features.inputs import NoContents, PostInputs
from engage_cli.features.table import FeatureTable, load_table
from engage_cli.models.neural.fusion import FusionSize
from engage_cli.models.predictions import Predictions
from engage_cli.runs.run_folder import Run

DROPOUT = 0.1  # of the hidden layer: there are few numbers, and each of them counts
FOLDS = 5  # in which a training post's score of words is computed


class NumbersBranch(nn.Module):
    """(B, 1, W) rows of numbers to (B, 1, width): one hidden layer, so that two numbers can work together."""

    def __init__(self, num_numbers: int, size: FusionSize) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(num_numbers, size.width),
            nn.GELU(),
            nn.Dropout(min(DROPOUT, size.dropout)),
            nn.Linear(size.width, size.width),
        )

    def forward(self, rows: Tensor) -> Tensor:
        return self.layers(rows)


@dataclass(frozen=True, kw_only=True)
class NumberReader:
    """Posts to the block of numbers, (n, 1, W). Posts are given without counters."""

    inputs: NumberInputs
    words: FeatureTable | None  # None where training posts had no texts, or all the same

    def read(self, posts: pd.DataFrame) -> Tokens:
        if self.words is not None:
            posts = posts.assign(**{WORDS: self.words.transform(PostInputs(posts, NoContents()))[WORDS]})
        return _tokens(self.inputs, posts)

    def moved(self, said: Predictions, posts: pd.DataFrame) -> Predictions:
        """Return what a network said of values, which knows nothing of how counters grow, for the age of each post."""
        if said.value is None:
            return said
        start = self.inputs.start(posts)
        quantiles = None if said.quantiles is None else said.quantiles + start[:, None]
        return replace(said, value=said.value + start, quantiles=quantiles)

    def save(self, folder: Path) -> None:
        if self.words is not None:
            self.words.save(folder)


@dataclass(frozen=True, kw_only=True)
class FittedNumbers:
    """A reader, and the block of the posts that it was fitted on: their scores of words were fitted without them."""

    reader: NumberReader
    train: Tokens


def fit_numbers(posts: pd.DataFrame, truth: np.ndarray, *, is_value: bool, seed: int) -> FittedNumbers | None:
    """Fit on training posts (n), without counters, and their truth (n,); None where nothing is known of them in numbers."""
    words = None
    folds = make_folds(posts, min(FOLDS, count_groups(posts)), seed=seed)
    if folds.num > 1 and len(set(texts_of(posts, "text"))) > 1:
        words = FeatureTable([WORDS], PartOptions(seed=seed))
        fitted = words.fit(PostInputs(posts, NoContents()), truth.astype(np.float64), folds, may_be_constant=True)
        posts = posts.assign(**{WORDS: fitted[WORDS]})
    inputs = fit_number_inputs(posts, truth if is_value else None)
    if inputs is None:
        return None
    if all(scale.column != WORDS for scale in inputs.scales):
        words = None
    return FittedNumbers(reader=NumberReader(inputs=inputs, words=words), train=_tokens(inputs, posts))


def load_numbers(run: Run) -> NumberReader | None:
    """Return the reader of a run's numbers; None where its model reads none."""
    inputs = run.meta.numbers
    if inputs is None:
        return None
    reads_words = any(scale.column == WORDS for scale in inputs.scales)
    return NumberReader(inputs=inputs, words=load_table(run.open) if reads_words else None)


def _tokens(inputs: NumberInputs, posts: pd.DataFrame) -> Tokens:
    rows = torch.from_numpy(inputs.rows(posts))
    return Tokens(rows.unsqueeze(1), torch.ones(len(posts), 1, dtype=torch.bool))
