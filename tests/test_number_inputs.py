"""What a network is told in numbers: standardised by training posts, unknown ones flagged, and no count among them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from engage_cli.config.general import EncoderConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import TrainConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.numbers.number_inputs import MOST_CATEGORIES, NumberInputs, fit_number_inputs
from engage_cli.data.schema import LOG_AGE
from engage_cli.encoders import Tokens
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.models.neural.fusion import FUSIONS
from engage_cli.models.neural.model import EngagementModel
from engage_cli.models.neural.numbers import WORDS, fit_numbers
from engage_cli.models.predictor import extra_columns, load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._neural import train_neural
from engage_cli.steps.train._neural_inputs import parse_inputs
from tests.run_files import change
from tests.test_growth import growing

FOLLOWERS = "own.followers"


def made() -> NumberInputs:
    posts = pd.DataFrame(
        {
            "hour": [0.0, 6.0, 12.0, np.nan] * 5,
            "weekday": [3.0] * 20,  # the same for all: nothing to learn from
            FOLLOWERS: [0.0, 9.0, 99.0, 999.0] * 5,
            "own.category": ["games"] * 12 + ["music"] * 7 + ["rare"],
        }
    )
    found = fit_number_inputs(posts)
    assert found is not None
    return found


def test_numbers_are_standardised_and_unknown_ones_flagged() -> None:
    inputs = made()
    assert [(scale.column, scale.is_log) for scale in inputs.scales] == [("hour", False), (FOLLOWERS, True)]
    assert [level.value for level in inputs.levels] == ["games"]  # of seven posts nothing is learned
    assert dict(inputs.columns) == {"hour": "number", FOLLOWERS: "number", "own.category": "category"}
    asked = pd.DataFrame({"hour": [6.0, np.nan], FOLLOWERS: [-1.0, 99.0], "own.category": ["music", "games"]})
    logs = np.log1p([0.0, 9.0, 99.0, 999.0])
    expected = [[0, 0, 0, 1, 0], [0, 1, (np.log(100) - logs.mean()) / logs.std(), 0, 1]]
    np.testing.assert_allclose(inputs.rows(asked), expected, atol=1e-6)


def test_beyond_all_training_posts_a_number_stays_at_the_nearest_of_them() -> None:
    inputs = made()
    most, more = (inputs.rows(pd.DataFrame({"hour": [hour], FOLLOWERS: [count]})) for hour, count in ((12, 999), (23, 1e9)))
    np.testing.assert_array_equal(most, more)


def test_nothing_known_is_no_input_and_a_table_without_the_columns_is_unknown() -> None:
    assert fit_number_inputs(pd.DataFrame({"title": ["a", "b"], "weekday": [1.0, 1.0]})) is None
    rows = made().rows(pd.DataFrame({"title": ["a"]}))
    assert rows.tolist() == [[0, 1, 0, 1, 0]]


def test_only_frequent_categories_are_told_apart_and_not_too_many() -> None:
    cells = [f"c{number}" for number in range(MOST_CATEGORIES + 10) for _ in range(10 + number)]
    found = fit_number_inputs(pd.DataFrame({"own.category": cells}))
    assert found is not None
    assert [level.value for level in found.levels[:2]] == [f"c{MOST_CATEGORIES + 9}", f"c{MOST_CATEGORIES + 8}"]
    assert len(found.levels) == MOST_CATEGORIES


def test_values_start_from_the_growth_of_counters_and_go_back_to_it() -> None:
    posts, truth = growing()
    found = fit_numbers(posts, truth, is_value=True, seed=0)
    assert found is not None
    inputs = found.reader.inputs
    assert inputs.growth is not None
    left = truth - inputs.start(posts)
    assert abs(np.corrcoef(left, posts[LOG_AGE])[0, 1]) < 0.1 < np.corrcoef(truth, posts[LOG_AGE])[0, 1]
    classes = fit_numbers(posts, np.arange(len(posts)) % 5, is_value=False, seed=0)
    assert classes is not None
    assert classes.reader.inputs.growth is None


def test_the_score_of_words_of_a_training_post_is_fitted_without_it() -> None:
    random = np.random.default_rng(0)
    posts = pd.DataFrame(
        {
            "title": [f"word{a} word{b}" for a, b in random.integers(0, 300, (200, 2))],
            "author": [f"a{number // 2}" for number in range(200)],
            "group": [f"g{number}" for number in range(200)],
        }
    )
    truth = random.normal(size=200)
    found = fit_numbers(posts, truth, is_value=True, seed=0)
    assert found is not None
    assert [scale.column for scale in found.reader.inputs.scales] == [WORDS]
    own, again = found.train.values[:, 0, 0].numpy(), found.reader.read(posts).values[:, 0, 0].numpy()
    assert abs(np.corrcoef(own, truth)[0, 1]) < 0.3 < np.corrcoef(again, truth)[0, 1]  # it knows noise by heart


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_takes_them_and_learns_from_them(fusion: str) -> None:
    config = TrainConfig(width=16, heads=2, layers=1, fusion=fusion, dropout=0.0)
    torch.manual_seed(0)
    model = EngagementModel({"title": 8}, config, out_dim=1, num_numbers=3)
    has = torch.ones(4, 1, dtype=torch.bool)
    numbers = torch.randn(4, 1, 3, requires_grad=True)
    model({"title": Tokens(torch.randn(4, 1, 8), has), "numbers": Tokens(numbers, has)}).sum().backward()
    assert numbers.grad is not None
    assert bool((numbers.grad.abs().sum(dim=2) > 0).all())


def test_blocks_name_them_and_a_wrong_name_is_told_of_all() -> None:
    assert parse_inputs("title, numbers") == (("title",), True)
    assert parse_inputs("image,title") == (("image", "title"), False)
    with pytest.raises(WrongCallError, match="title, context, text, cover_text, numbers"):
        parse_inputs("titles,numbers")


@dataclass(frozen=True)
class WithHours(Dataset):
    """A data folder whose posts have hours too."""

    @cached_property
    def posts(self) -> pd.DataFrame:
        posts = load_dataset(self.folder).posts
        return posts.assign(hour=np.arange(len(posts)) % 24.0)


def with_hours(folder: Path) -> Dataset:
    dataset = load_dataset(folder)
    return WithHours(dataset.folder, dataset.meta)


@pytest.fixture(scope="module")
def run(world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    how = resolve(
        "value", "frozen", {"target": "views", "epochs": 2, "width": 16, "blocks": "title,numbers"}, has_gpu=False
    )
    folder = tmp_path_factory.mktemp("numbers") / "run"
    train_neural(how, dataset=with_hours(world / "data"), encoders=encoders, run=folder)
    return folder


def test_a_run_reads_them_again_and_asks_for_their_columns(run: Path, world: Path) -> None:
    opened, data = load_run(run), with_hours(world / "data")
    assert extra_columns(opened) == {"hour": "number"}  # the words are no column of posts, and a counter is none
    posts = data.posts.iloc[data.rows("test", opened.target)]
    source = source_of(opened, data, SilentReporter())
    said = load_predictor(opened).predict(posts, source).main
    others = posts.assign(hour=(posts["hour"] + 6) % 24, views=0, likes=0)
    moved = load_predictor(opened).predict(others, source).main
    assert np.abs(said - moved).max() > 1e-4  # the hour counts
    np.testing.assert_allclose(load_predictor(opened).predict(posts.assign(views=0, likes=0), source).main, said)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda meta: meta["numbers"]["scales"][0].update(std=0), "run.json: numbers.scales.0.std"),
        (lambda meta: meta["numbers"]["scales"][0].update(column="views"), "no column that is known before publication"),
        (lambda meta: meta["numbers"]["scales"].pop(), "do not fit the model described by run.json"),
    ],
)
def test_a_damaged_record_of_them_is_one_sentence(
    run: Path, edit: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    change(copy, "run.json", edit)
    with pytest.raises(EngageError, match=words):
        load_predictor(load_run(copy))
