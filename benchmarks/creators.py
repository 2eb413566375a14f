"""What is known of the creator and of the age of counters: each part's gain on real posts in Chinese, without covers.

ENGAGE_REAL_CREATORS names a folder with posts.csv: id, title, view_count, published_at, crawled_at, duration, followers,
author. Log views are predicted, by author (no author stands in two parts, 80/10/10) and by date (the youngest tenth is the
test). The features are those of engage's own data folder and of its groups; a title's score is a ridge on TF-IDF of
characters, cross-fitted on training posts. Intervals are of 80 %, by a bootstrap of each row by itself of the test posts.

python benchmarks/creators.py [--rows 21009] [--trees 3000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.schema import AUTHOR_COLUMNS, LOG_AGE
from engage_cli.metrics.metrics import r2
from engage_cli.models.boosting.fit import Rows, boost, predict_table
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source

TITLE = "title_score"
GAINS: dict[str, Sequence[str]] = {
    "title": (TITLE,),
    "followers": ("own.followers",),
    "followers, age": ("own.followers", LOG_AGE),
    "followers, age, duration": ("own.followers", LOG_AGE, "own.duration"),
    "followers, age, duration, title": ("own.followers", LOG_AGE, "own.duration", TITLE),
    "all of these, history": ("own.followers", LOG_AGE, "own.duration", TITLE, *AUTHOR_COLUMNS),
    "all but followers": (LOG_AGE, "own.duration", TITLE, *AUTHOR_COLUMNS),
    "all but age": ("own.followers", "own.duration", TITLE, *AUTHOR_COLUMNS),
}
KNOWN = {  # R² and Spearman of gradient boosting that were published with the posts
    "author": {"TF-IDF + ridge": (0.234, 0.449), "followers": (0.368, 0.567), "followers, age": (0.565, 0.720),
               "followers, age, duration": (0.609, 0.747), "followers, age, duration, title": (0.694, 0.807)},
    "time": {"TF-IDF + ridge": (-3.08, 0.411), "followers": (-1.67, 0.654), "followers, age": (-1.07, 0.657),
             "followers, age, duration": (-1.08, 0.623), "followers, age, duration, title": (-0.85, 0.654)},
}  # fmt: skip


def posts_of(table: Path, split: str, rows: int) -> pd.DataFrame:
    """Return the posts that have views and a part, as `engage prepare` reads them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        some = pd.read_csv(table, dtype=str)
        if rows < len(some):
            some = some.sample(rows, random_state=0)
        some.to_csv(place / "posts.csv", index=False)
        done = prepare(
            PrepareConfig(split=split),
            folder=place / "data",
            sources=[Source(path=place / "posts.csv")],
            keep=["duration", "followers"],
            with_images=False,
        )
        posts = done.dataset.posts
    return posts[(posts["split"] != "") & posts["views"].notna()].reset_index(drop=True)


def title_scores(posts: pd.DataFrame, truth: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(n,) of training posts by ridges that were fitted on other authors' posts."""

    def fitted(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
        words = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=3, sublinear_tf=True, max_features=100_000)
        ridge = Ridge(alpha=3.0).fit(words.fit_transform(posts["title"].iloc[rows]), truth[rows])
        return np.asarray(ridge.predict(words.transform(posts["title"].iloc[asked])))

    found = np.zeros(len(posts))
    rest = np.setdiff1d(np.arange(len(posts)), train)
    found[rest] = fitted(train, rest)
    for some, held_out in GroupKFold(3).split(train, groups=posts["author"].iloc[train]):
        found[train[held_out]] = fitted(train[some], train[held_out])
    return found


def measure(split: str, table: Path, rows: int, trees: int) -> None:
    posts = posts_of(table, split, rows)
    truth = np.log1p(posts["views"].to_numpy(np.float64))
    parts = {part: np.flatnonzero((posts["split"] == part).to_numpy()) for part in ("train", "validation", "test")}
    posts[TITLE] = title_scores(posts, truth, parts["train"])
    test = truth[parts["test"]]
    print(f"\nby {split}: " + ", ".join(f"{len(places):,} {part}" for part, places in parts.items()), flush=True)
    print(f"{'':34s} {'R²':>6s} {'80 %':>15s} {'Spearman':>9s} {'known: R²':>10s} {'Spearman':>9s} {'seconds':>8s}")
    _print("TF-IDF + ridge", split, test, posts[TITLE].to_numpy()[parts["test"]], 0.0)
    # Of so few columns every one is tried at each split, and in finer steps than of the thousand that an embedding has.
    config = CatBoostConfig(iterations=trees, kind="value", rsm=1.0, learning_rate=0.03, border_count=128)
    for name, columns in GAINS.items():
        start = time.perf_counter()
        there = [column for column in columns if column in posts]
        data = {
            part: Rows(table=posts[there].iloc[places].astype(np.float32).reset_index(drop=True), truth=truth[places])
            for part, places in parts.items()
        }
        with tempfile.TemporaryDirectory() as work, SilentReporter().stage("", trees) as stage:
            model = boost(config, data["train"], data["validation"], (), work=Path(work), stage=stage)
        said = predict_table(model, data["test"].table, "value").main
        _print(name, split, test, said, time.perf_counter() - start)


def _print(name: str, split: str, truth: np.ndarray, said: np.ndarray, seconds: float) -> None:
    random = np.random.default_rng(0)
    draws = [random.integers(0, len(truth), len(truth)) for _ in range(400)]
    low, high = np.quantile([r2(truth[rows], said[rows]) for rows in draws], (0.1, 0.9))
    known = KNOWN[split].get(name)
    shown = f"{known[0]:10.3f} {known[1]:9.3f}" if known else " " * 20
    rank = float(spearmanr(truth, said).statistic)
    print(f"{name:34s} {r2(truth, said):6.3f} {low:7.3f} {high:7.3f} {rank:9.3f} {shown} {seconds:8.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=21_009)
    parser.add_argument("--trees", type=int, default=3_000)
    options = parser.parse_args()
    folder = os.environ.get("ENGAGE_REAL_CREATORS")
    if not folder:
        parser.error("set ENGAGE_REAL_CREATORS to the folder of posts.csv")
    for split in ("author", "time"):
        measure(split, Path(folder) / "posts.csv", options.rows, options.trees)


if __name__ == "__main__":
    main()
