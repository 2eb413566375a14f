"""What is known of the creator and of the age of counters: each part's gain on real posts in Chinese, without covers.

ENGAGE_REAL_CREATORS names a folder with posts.csv: id, title, view_count, published_at, crawled_at, duration, followers,
author. Log views are predicted, by author (no author stands in two parts), by date (the youngest tenth is the test) and at
random, 80/10/10. Each row is CatBoost on features of engage's own table, as `engage train-catboost --features` makes them
but for embeddings; a row of TF-IDF is the title's ridge alone. Intervals are of 80 %, over the seeds of the split; by date
there is one split, and they are of a bootstrap of its test posts.

python benchmarks/creators.py [--rows 21009] [--splits author,time,random] [--seeds 5]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.folds import make_folds
from engage_cli.data.schema import AUTHOR_COLUMNS
from engage_cli.features.groups import PartOptions
from engage_cli.features.inputs import PostInputs
from engage_cli.features.table import FeatureTable
from engage_cli.metrics.metrics import r2
from engage_cli.models.boosting.fit import Rows, boost, predict_table
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source

FOLLOWERS, DURATION = "own.followers", "own.duration"
TITLE = ("words_score", "title_statistics")
ALL = (*TITLE, "time", "author", "age", FOLLOWERS, DURATION)
TFIDF = "TF-IDF + ridge"
ROWS: dict[str, tuple[str, ...]] = {
    TFIDF: ("words_score",),
    "followers": (FOLLOWERS,),
    "followers, age": (FOLLOWERS, "age"),
    "followers, age, duration": (FOLLOWERS, "age", DURATION),
    "these, title": (FOLLOWERS, "age", DURATION, *TITLE),
    "these, date and history": ALL,
    "all without history": tuple(name for name in ALL if name != "author"),
    "all without age": tuple(name for name in ALL if name != "age"),
    "all without followers": tuple(name for name in ALL if name != FOLLOWERS),
    "all without title": tuple(name for name in ALL if name not in TITLE),
}
# Of so few columns each split tries every one, and in finer steps than of the thousand that an embedding has.
CONFIG = CatBoostConfig(kind="value", rsm=1.0, border_count=128)


class NoContents:
    """Where posts have neither covers nor embeddings."""

    def blocks(self, posts: pd.DataFrame, names: object) -> dict[str, object]:
        raise NotImplementedError

    def image_statistics(self, posts: pd.DataFrame) -> np.ndarray:
        raise NotImplementedError


def posts_of(table: Path, split: str, rows: int, seed: int = 0) -> pd.DataFrame:
    """Return the posts that have views and a part, as `engage prepare` reads them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        some = pd.read_csv(table, dtype=str)
        if rows < len(some):
            some = some.sample(rows, random_state=0)
        some.to_csv(place / "posts.csv", index=False)
        done = prepare(
            PrepareConfig(split=split, seed=seed),
            folder=place / "data",
            sources=[Source(path=place / "posts.csv")],
            keep=["duration", "followers"],
            with_images=False,
        )
        posts = done.dataset.posts
    return posts[(posts["split"] != "") & posts["views"].notna()].reset_index(drop=True)


def predict_row(names: tuple[str, ...], posts: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """Return what a model of these features says of the test posts."""
    own = {name: "number" for name in names if name.startswith("own.")}
    parts = [name for name in names if name not in own] + (["own_columns"] if own else [])
    hidden = [] if "author" in names else [name for name in AUTHOR_COLUMNS if name in posts]
    hidden += [] if "age" in names else ["log_age"]
    hidden += [name for name in (FOLLOWERS, DURATION) if name not in names]
    hidden += [] if "time" in names else ["hour", "weekday"]
    known = posts.drop(columns=hidden)  # no score is fitted on what a row does not have
    places = {part: np.flatnonzero((posts["split"] == part).to_numpy()) for part in ("train", "validation", "test")}
    table = FeatureTable(parts, PartOptions(columns=own))
    given = {part: PostInputs(known.iloc[rows], NoContents()) for part, rows in places.items()}
    folds = make_folds(known.iloc[places["train"]], 5, seed=0)
    fitted = table.fit(given["train"], truth[places["train"]], folds)
    asked = table.transform(given["test"])
    if names == ROWS[TFIDF]:
        return asked["words_score"].to_numpy(np.float64)
    rows = Rows(table=fitted, truth=truth[places["train"]])
    stopping = Rows(table=table.transform(given["validation"]), truth=truth[places["validation"]])
    with tempfile.TemporaryDirectory() as work, SilentReporter().stage("", CONFIG.iterations) as stage:
        model = boost(CONFIG, rows, stopping, table.categorical, work=Path(work), stage=stage)
    return predict_table(model, asked, "value").main


def measure(split: str, table: Path, rows: int, seeds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    started = time.perf_counter()
    for seed in range(seeds):
        posts = posts_of(table, split, rows, seed)
        truth = np.log1p(posts["views"].to_numpy(np.float64))
        test = truth[(posts["split"] == "test").to_numpy()]
        if seed == 0:
            print(f"\nby {split}: {posts['split'].value_counts().to_dict()}", flush=True)
        for name, columns in ROWS.items():
            said = predict_row(columns, posts, truth)
            if seeds == 1:  # a bootstrap stands in for other splits
                random = np.random.default_rng(0)
                draws = [random.integers(0, len(test), len(test)) for _ in range(200)]
                found[name] = [(r2(test[some], said[some]), spearmanr(test[some], said[some]).statistic) for some in draws]
                found[name].append((r2(test, said), float(spearmanr(test, said).statistic)))
            else:
                found.setdefault(name, []).append((r2(test, said), float(spearmanr(test, said).statistic)))
            _print(name, found[name], is_bootstrap=seeds == 1)
    print(f"{time.perf_counter() - started:.0f} s", flush=True)


def _print(name: str, found: list[tuple[float, float]], *, is_bootstrap: bool) -> None:
    values = np.array(found)
    middle = values[-1] if is_bootstrap else values.mean(axis=0)
    low, high = np.quantile(values, (0.1, 0.9), axis=0)
    cells = [f"{middle[k]:.3f} ({low[k]:.3f} to {high[k]:.3f})" for k in (0, 1)]
    print(f"| {name} | {' | '.join(cells)} |{'' if is_bootstrap else f' {len(values)} splits'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=21_009)
    parser.add_argument("--splits", default="author,time,random")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    folder = os.environ.get("ENGAGE_REAL_CREATORS")
    if not folder:
        parser.error("set ENGAGE_REAL_CREATORS to the folder of posts.csv")
    for split in options.splits.split(","):
        measure(split, Path(folder) / "posts.csv", options.rows, 1 if split == "time" else options.seeds)


if __name__ == "__main__":
    main()
