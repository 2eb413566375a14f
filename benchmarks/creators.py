"""What is known of the creator and of the age of counters: each part's gain on real posts in Chinese, without covers.

ENGAGE_REAL_CREATORS names a folder with posts.csv: id, title, view_count, published_at, crawled_at, duration, followers,
author. Log views are predicted, by author (no author stands in two parts), by date (the youngest tenth is the test) and at
random, 80/10/10. The rows:

- TF-IDF + ridge on the titles;
- CatBoost as `engage train-catboost --target views --as value` trains it, on fewer and fewer of its features;
- `engage train --target views` as it comes, run as a user would, and each of its members by itself;
- with `--without`, the same on posts that lack a column: the author (and so the history), the age, the followers.

Every row's predictions are kept in WORK: what is there is not made again, and the tables are made from all that is there.
Intervals are of 95 %: authors of test posts are drawn again within each seed of the split, with all their posts, and the
figures of the seeds averaged.
Differences are `engage train` less the row, in the same draws.

python benchmarks/creators.py --work WORK [--splits author,time,random] [--seeds 5] [--rows all] [--without] [--table]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.folds import make_folds
from engage_cli.data.schema import AUTHOR_COLUMNS
from engage_cli.evaluation.baselines import Part, tfidf_ridge
from engage_cli.features.groups import PartOptions
from engage_cli.features.inputs import NoContents, PostInputs
from engage_cli.features.table import FeatureTable
from engage_cli.io.array_writing import save_arrays
from engage_cli.metrics.metrics import r2
from engage_cli.models.boosting.fit import Rows, boost, predict_table
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.inputs.sources import source_of

TARGET = "views"
FOLLOWERS, DURATION = "own.followers", "own.duration"
TITLE = ("words_score", "title_topics", "title_statistics")
ALL = (*TITLE, "time", "author", "age", FOLLOWERS, DURATION)
ENGAGE, TFIDF = "engage train", "TF-IDF + ridge"
LADDER: dict[str, tuple[str, ...]] = {
    "CatBoost: followers": (FOLLOWERS,),
    "CatBoost: followers, age": (FOLLOWERS, "age"),
    "CatBoost: followers, age, duration": (FOLLOWERS, "age", DURATION),
    "CatBoost: these, title": (FOLLOWERS, "age", DURATION, *TITLE),
    "CatBoost: these, date and history": ALL,
    "CatBoost: all without history": tuple(name for name in ALL if name != "author"),
    "CatBoost: all without age": tuple(name for name in ALL if name != "age"),
    "CatBoost: all without followers": tuple(name for name in ALL if name != FOLLOWERS),
    "CatBoost: all without title": tuple(name for name in ALL if name not in TITLE),
}
MEMBERS = {"engage train-gp": "gp", "engage train-catboost": "catboost", "engage train-regressor": "neural"}
WITHOUT = {
    "engage train without author": ("author",),
    "engage train without age": ("crawled_at",),
    "engage train without followers": ("followers",),
}
DRAWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", default="author,time,random")
    parser.add_argument("--seeds", type=int, default=5, help="of each split but by date, of which there is one")
    parser.add_argument("--rows", default="all", help="all, or main: engage, its members, and TF-IDF + ridge")
    parser.add_argument("--without", action="store_true", help="also train on posts that lack a column (first seeds)")
    parser.add_argument("--table", action="store_true", help="only print the tables of what was made already")
    options = parser.parse_args()
    folder = os.environ.get("ENGAGE_REAL_CREATORS")
    if not folder:
        parser.error("set ENGAGE_REAL_CREATORS to the folder of posts.csv")
    splits = options.splits.split(",")
    if not options.table:
        for seed in range(options.seeds):
            for split in splits if seed == 0 else [name for name in splits if name != "time"]:
                _make(options.work, Path(folder) / "posts.csv", split, seed, options.rows, without=options.without)
    for split in splits:
        print_table(options.work, split)


def _make(work: Path, table: Path, split: str, seed: int, rows: str, *, without: bool) -> None:
    """Make the rows of one split that are not there yet."""
    place = work / f"{split}-{seed}"
    data = _prepared(place / "data", table, work, ["--split", split, "--seed", str(seed)])
    makers: dict[str, Callable[[Dataset], np.ndarray]] = {
        ENGAGE: partial(_trained, place / "run"),
        **{name: partial(_trained, place / "run", member=member) for name, member in MEMBERS.items()},
        TFIDF: _tfidf,
    }
    if rows == "all":
        makers |= {name: partial(_boosted, columns) for name, columns in LADDER.items()}
    if without and seed == 0:
        makers |= {name: partial(_trained_without, place, table, work, columns) for name, columns in WITHOUT.items()}
    for name, make in makers.items():
        kept = place / "rows" / f"{name}.safetensors"
        if kept.is_file():
            continue
        started, dataset = time.perf_counter(), load_dataset(data)
        said, posts = make(dataset), _posts(dataset, "test")
        truth = np.log1p(posts["views"].to_numpy(np.float64))
        kept.parent.mkdir(exist_ok=True)
        save_arrays(kept, {"said": said, "truth": truth})
        score = f"R² {r2(truth, said):.3f}, Spearman {spearmanr(truth, said).statistic:.3f}"
        print(f"{split} {seed}: {name}: {score}, {time.perf_counter() - started:.0f} s", flush=True)


def _prepared(data: Path, table: Path, work: Path, more: list[str]) -> Path:
    """Prepare and embed as a user would; vectors of the same titles are taken from the first folder that has them."""
    if not (data / "ready").is_file():
        keep = [name for name in ("duration", "followers") if name in pd.read_csv(table, nrows=0)]
        shutil.rmtree(data, ignore_errors=True)
        data.parent.mkdir(parents=True, exist_ok=True)
        _engage("prepare", table, "--no-images", "--data", data, "--keep", ",".join(keep), *more)
        if (work / "features").is_dir():
            shutil.copytree(work / "features", data / "features")
        _engage("embed", "--data", data)
        if not (work / "features").is_dir():
            shutil.copytree(data / "features", work / "features")
        (data / "ready").touch()
    return data


def _engage(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", "engage_cli", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)


def _posts(dataset: Dataset, part: str) -> pd.DataFrame:
    return dataset.posts.iloc[dataset.rows(part, dataset.target(TARGET))].reset_index(drop=True)


def _trained(folder: Path, dataset: Dataset, *, member: str | None = None) -> np.ndarray:
    """Return what `engage train`, or one of its members, says of the test posts."""
    if not (folder / MARKER).is_file():
        _engage("train", "--target", TARGET, "--data", dataset.folder, "--run", folder)
    run = load_run(folder)
    if member is not None:
        run = next(one for one in run.members if one.folder.name == member)
    said = load_predictor(run).predict(_posts(dataset, "test"), source_of(run, dataset, SilentReporter()))
    assert said.value is not None
    return said.value


def _trained_without(place: Path, table: Path, work: Path, columns: tuple[str, ...], dataset: Dataset) -> np.ndarray:
    """The same of posts that lack columns, in the very same parts."""
    name = "-".join(columns)
    source, parts = place / f"without-{name}.csv", place / "parts.csv"
    pd.read_csv(table, dtype=str).drop(columns=list(columns)).to_csv(source, index=False)
    dataset.posts.loc[dataset.posts["split"] != "", ["id", "split"]].to_csv(parts, index=False)
    data = _prepared(place / f"data-without-{name}", source, work, ["--split", "file", "--split-from", str(parts)])
    other = load_dataset(data)
    said = pd.Series(_trained(place / f"run-without-{name}", other), index=_posts(other, "test")["id"])
    return said.loc[_posts(dataset, "test")["id"]].to_numpy()


def _tfidf(dataset: Dataset) -> np.ndarray:
    parts = [_posts(dataset, part) for part in ("train", "validation", "test")]
    truths = [np.log1p(posts["views"].to_numpy(np.float64)) for posts in parts]
    return tfidf_ridge(*(Part(posts, truth) for posts, truth in zip(parts, truths, strict=True))).main


def _boosted(names: tuple[str, ...], dataset: Dataset) -> np.ndarray:
    """Return what CatBoost on these features alone says of the test posts, by its defaults."""
    config = CatBoostConfig(target=TARGET, kind="value")
    own = {name: "number" for name in names if name.startswith("own.")}
    parts = [name for name in names if name not in own] + (["own_columns"] if own else [])
    hidden = [] if "author" in names else list(AUTHOR_COLUMNS)
    hidden += [] if "age" in names else ["log_age"]
    hidden += [name for name in (FOLLOWERS, DURATION) if name not in names]
    hidden += [] if "time" in names else ["hour", "weekday"]
    known = {  # no score is fitted on what a row does not have
        part: _posts(dataset, part).drop(columns=hidden, errors="ignore") for part in ("train", "validation", "test")
    }
    truth = {part: np.log1p(posts["views"].to_numpy(np.float64)) for part, posts in known.items()}
    given = {part: PostInputs(posts, NoContents()) for part, posts in known.items()}
    table = FeatureTable(parts, PartOptions(columns=own))
    fitted = table.fit(given["train"], truth["train"], make_folds(known["train"], 5, seed=0))
    rows = Rows(table=fitted, truth=truth["train"])
    stopping = Rows(table=table.transform(given["validation"]), truth=truth["validation"])
    with tempfile.TemporaryDirectory() as beside, SilentReporter().stage("", config.iterations) as stage:
        model = boost(config, rows, stopping, table.categorical, work=Path(beside), stage=stage)
    return predict_table(model, table.transform(given["test"]), "value").main


def _scores(truth: np.ndarray, said: np.ndarray, authors: np.ndarray, seed: int) -> np.ndarray:
    """(1 + DRAWS, 2): R² and Spearman of the test posts, then of each draw of their authors, some of whom have hundreds."""
    found = [(r2(truth, said), spearmanr(truth, said).statistic)]
    posts = [np.flatnonzero(authors == author) for author in range(authors.max() + 1)]
    for some in np.random.default_rng(seed).integers(0, len(posts), (DRAWS, len(posts))):
        rows = np.concatenate([posts[author] for author in some])
        found.append((r2(truth[rows], said[rows]), np.corrcoef(_ranks(truth[rows]), _ranks(said[rows]))[0, 1]))
    return np.array(found)


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()


def print_table(work: Path, split: str) -> None:
    from safetensors.numpy import load_file

    found: dict[str, dict[int, np.ndarray]] = {}
    for place in sorted(work.glob(f"{split}-*")):
        seed = int(place.name.rpartition("-")[2])
        authors = pd.factorize(_posts(load_dataset(place / "data"), "test")["author"])[0]
        for path in sorted((place / "rows").glob("*.safetensors")):
            arrays = load_file(path)
            found.setdefault(path.stem, {})[seed] = _scores(arrays["truth"], arrays["said"], authors, seed)
    if not found:
        return
    order = [TFIDF, *LADDER, *MEMBERS, *WITHOUT, ENGAGE]
    print(
        f"\nby {split}:\n\n| | seeds | R² | Spearman | engage train better by R² | by Spearman |\n|---|---|---|---|---|---|"
    )
    for name in (name for name in order if name in found):
        own = found[name]
        mean = np.mean(list(own.values()), axis=0)
        both = [seed for seed in own if seed in found.get(ENGAGE, {})]
        cells = [_cell(mean, k) for k in (0, 1)] + ["", ""]
        if both and name != ENGAGE:
            less = np.mean([found[ENGAGE][seed] - own[seed] for seed in both], axis=0)
            cells[2:] = [_cell(less, k, sign="+") for k in (0, 1)]
        print(f"| {name} | {len(own)} | {' | '.join(cells)} |")


def _cell(values: np.ndarray, column: int, sign: str = "") -> str:
    low, high = np.quantile(values[1:, column], (0.025, 0.975))
    return f"{values[0, column]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


if __name__ == "__main__":
    main()
