"""A new encoder, fusion, objective, target, feature, baseline, metric, slice, split and importer, added from outside.

Each is what this file holds and one line in its table, and is then used as the package's own are, and found by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

import engage_cli
from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.importers import IMPORTERS, Import
from engage_cli.data.importers.folders import Tree
from engage_cli.data.split_names import SPLITS
from engage_cli.data.splits import SplitRequest
from engage_cli.data.target_names import TARGETS
from engage_cli.data.targets.formulas import Formula
from engage_cli.encoders import VISION_CHECKPOINTS, Tokens
from engage_cli.evaluation.baselines import BASELINES, Part
from engage_cli.evaluation.slice_names import SLICES
from engage_cli.features.groups import PARTS, TablePart, make_table
from engage_cli.features.handcrafted import TITLE_FEATURES
from engage_cli.features.inputs import PostInputs
from engage_cli.features.table import load_table
from engage_cli.metrics.metrics import VALUE_METRICS
from engage_cli.models.neural.fusion import FUSIONS, FusionSize
from engage_cli.models.neural.objectives import VALUE_OBJECTIVES
from engage_cli.models.neural.objectives.mse_huber import HybridObjective
from engage_cli.models.predictions import Predictions
from engage_cli.registry import Registry
from engage_cli.steps.embed import make_encoder
from tests.calls import answer

HERE = __name__
Add = Callable[[Registry, str, str], None]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Add something of this file to a table; the table is as it was when the test ends."""

    def add(table: Registry, name: str, attribute: str) -> None:
        monkeypatch.setattr(table, "_entries", dict(table._entries))
        table.add(name, f"{HERE}:{attribute}")

    return add


# An importer: how its folder looks, how one is recognised, and how it is read.
LAYOUT = "posts.mine, a line of id, views and title for each post"


def recognise(tree: Tree) -> bool:
    return bool(tree.find("posts.mine"))


def read_mine(folder: Path) -> Import:
    rows = [line.split("|") for line in (folder / "posts.mine").read_text().splitlines()]
    posts = pd.DataFrame(rows, columns=["id", "views", "title"]).assign(tags="", description="", image="")
    posts["views"] = posts["views"].astype(float)
    posts["source_row"] = np.arange(1, len(posts) + 1)
    return Import(posts=posts, source="mine", images=None, found={"id": "id", "views": "views", "title": "title"})


def doubled_views(posts: pd.DataFrame) -> Formula:
    return Formula(weights={"views": 2.0}, transform="log1p")


def split_in_turn(posts: pd.DataFrame, request: SplitRequest) -> np.ndarray:
    return np.array(["train", "train", "validation", "test"], object)[np.arange(len(posts)) % 4]


def test_an_importer_a_target_and_a_split(add: Add, tmp_path: Path) -> None:
    add(IMPORTERS, "mine", "read_mine")
    add(TARGETS, "doubled", "doubled_views")
    add(SPLITS, "turns", "split_in_turn")
    (tmp_path / "posts").mkdir()
    lines = [f"p{n}|{n * n}|Title {n} of a post on subject {chr(97 + n % 26) * 5}" for n in range(40)]
    (tmp_path / "posts" / "posts.mine").write_text("\n".join(lines))
    found = answer("prepare", tmp_path / "posts", "--data", tmp_path / "data", "--split", "turns", "--no-images")
    assert found["sources"]["mine"]["format"] == "mine"
    dataset = load_dataset(tmp_path / "data")
    posts = dataset.posts.set_index("id")
    assert posts["views"].to_dict() == {f"p{n}": float(n * n) for n in range(40)}
    assert posts["split"].value_counts().to_dict() == {"train": 20, "validation": 10, "test": 10}
    np.testing.assert_allclose(dataset.target("doubled").score(posts), np.log1p(2 * posts["views"]))


class FromTitle(nn.Module):
    """A fusion that looks at the title alone."""

    reads_tokens: ClassVar[bool] = False

    def __init__(self, dims: Mapping[str, int], size: FusionSize) -> None:
        super().__init__()
        self.project = nn.Linear(dims["title"], size.width)

    def forward(self, blocks: Mapping[str, Tokens]) -> Tensor:
        return self.project(blocks["title"].values[:, 0])


class Whole(HybridObjective):
    """An objective that predicts whole numbers: thousandths of the target's deviation."""

    def decode(self, outputs: Tensor) -> Predictions:
        return Predictions(value=(1000 * outputs.squeeze(-1).double()).round().cpu().numpy())


def test_an_encoder_a_fusion_and_an_objective(
    add: Add, dataset: Dataset, checkpoints: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VISION_CHECKPOINTS, "my-vit", checkpoints["vit"])
    add(FUSIONS, "from-title", "FromTitle")
    add(VALUE_OBJECTIVES, "whole", "Whole")
    known = make_encoder("vision", EncoderConfig(vision=checkpoints["vit"]))
    assert make_encoder("vision", EncoderConfig(vision="my-vit")).record == known.record  # so its vectors are equal
    answer(
        *("train-regressor", "--data", dataset.folder, "--vision", "my-vit", "--text", checkpoints["bert"]),
        *("--fusion", "from-title", "--objective", "whole", "--target", "views", "--recipe", "frozen", "--epochs", 2),
        *("--run", tmp_path / "run"),
    )
    run = engage_cli.load_run(tmp_path / "run")
    said = run.predict(
        pd.DataFrame({"title": ["a cat", "a cat", "the best pizza ever"], "description": ["this", "that", "this"]})
    )
    assert said[1] - said[0] == pytest.approx(0, abs=1e-6)
    between = said[2] - said[0]  # what both are moved by in calibration falls out
    assert abs(between) > 0.5
    assert between == pytest.approx(round(between), abs=1e-6)


def vowels(text: str) -> float:
    """Vowels in a title [letters]."""
    return float(sum(letter in "aeiou" for letter in text.lower()))


class Backwards(TablePart):
    """A group of features with one column: where the title's first letter stands from the alphabet's end."""

    group = "backwards"

    def transform(self, inputs: PostInputs) -> pd.DataFrame:
        places = [122 - ord(title[:1].lower() or "z") for title in inputs.text("title")]
        return make_table(np.array(places, float)[:, None], ["from_the_end"], inputs)

    def meaning(self, column: str) -> str:
        return "The first letter's place from the alphabet's end [letters]"


def always_seven(train: Part, validation: Part, posts: Part) -> Predictions:
    return Predictions(value=np.full(len(posts.posts), 7.0))


def mean_error(true: np.ndarray, predicted: np.ndarray) -> float:
    return float((predicted - true).mean())


def by_length(posts: pd.DataFrame, predicted: np.ndarray) -> pd.Series:
    return posts["title"].str.len().map(lambda length: "odd" if length % 2 else "even")


def test_features_a_baseline_a_metric_and_a_slice(add: Add, dataset: Dataset, tmp_path: Path) -> None:
    add(TITLE_FEATURES, "title_vowels", "vowels")
    add(PARTS, "backwards", "Backwards")
    add(BASELINES["value"], "always seven", "always_seven")
    add(VALUE_METRICS, "mean_error", "mean_error")
    add(SLICES, "length", "by_length")
    run = tmp_path / "run"
    answer(
        *("train-catboost", "--data", dataset.folder, "--target", "views", "--as", "value", "--iterations", 5),
        *("--features", "title_statistics,backwards", "--run", run),
    )
    rows = dataset.rows("test", dataset.target("views"))
    posts, true = dataset.posts.iloc[rows], dataset.target("views").score(dataset.posts.iloc[rows])
    columns = load_table(lambda name: run / name).transform(PostInputs(posts, source=None))
    assert columns["title_vowels"].tolist() == [vowels(title) for title in posts["title"]]
    assert columns["from_the_end"].tolist() == [122 - ord(title[0].lower()) for title in posts["title"]]
    meanings = pd.read_csv(run / "importance.csv").set_index("feature")["meaning"]
    assert meanings["title_vowels"] == "Title: Vowels in a title [letters]"
    found = answer("evaluate", run, "--data", dataset.folder, "--by", "length", "--resamples", 0, "--no-report")
    seven = next(one for one in found["baselines"] if one["run"] == "always seven")
    assert seven["metrics"]["mean_error"]["value"] == pytest.approx(7 - true.mean())
    assert seven["metrics"]["mae"]["value"] == pytest.approx(np.abs(true - 7).mean())
    assert "mean_error" in found["runs"][0]["metrics"]
    groups = by_length(posts, true).value_counts()
    assert {one["name"]: one["rows"] for one in found["runs"][0]["slices"] if one["by"] == "length"} == groups.to_dict()


def test_a_table_takes_no_name_twice_and_no_half_address() -> None:
    table = Registry("thing", {"one": "a:b"})
    with pytest.raises(ValueError, match="thing 'one' is there already: a:b"):
        table.add("one", "c:d")
    for place in ("", "module", "module:", ":attribute"):
        with pytest.raises(ValueError, match="not of the form module:attribute"):
            table.add("two", place)
    assert list(table) == ["one"]
