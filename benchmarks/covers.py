"""What lettering and faces of covers add to a prediction: the same posts with and without, by a paired bootstrap.

Covers are read once (engage embed --covers). Then a process and boosted trees are trained without what covers show, with
their lettering, their faces, and both, for views and likes, on random splits and by date. Of two runs the difference of
R² on the test posts is shown, with the 95 % interval of a paired bootstrap over these posts (1,000 resamples).

--neighbours: beside the process's prediction, the mean outcome of the most similar training posts (of cover and title),
shrunk to the mean of all; how many, and the weights of both, are chosen on validation posts. It needs the processes
without covers, which the call without it trains.

export ENGAGE_REAL_POSTS=FOLDER    # posts.csv and images/; without it, posts of `engage sample`
python benchmarks/covers.py --work DIR [--seeds 0,1,2] [--splits random,time] [--rows N] [--models gp,catboost]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.data.dataset import load_dataset
from engage_cli.features.inputs import TableSource
from engage_cli.metrics.metrics import compute_metrics
from engage_cli.metrics.paired_bootstrap import compare
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of

REAL = "id=video_id,views=view_count,likes=like_count,comments=comment_count,dislikes=dislike_count,posted_at=published_at"
PARTS = ("none", "lettering", "faces", "both")
NUM_NEIGHBOURS, SHRUNK_BY = (5, 10, 20, 40, 80, 160), 5.0  # posts: of the second so many count as an outcome of the mean
FEATURES = {"none": "", "lettering": ",cover_lettering,cover_words", "faces": ",cover_faces", "both": ",covers"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-covers")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--splits", default="random,time")
    parser.add_argument("--targets", default="views,likes")
    parser.add_argument("--models", default="gp,catboost")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--neighbours", action="store_true")
    parser.add_argument("--rows", type=int, default=0, help="only the first rows of the table; 0 takes all")
    parser.add_argument("--features", type=Path, help="a folder features/ of another data folder of the same posts")
    asked = parser.parse_args()
    print("| target, model | split | posts | R² without | with | difference | 95 % interval | Spearman without | with |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for split in asked.splits.split(","):
        for seed in map(int, asked.seeds.split(",")) if split == "random" else [0]:
            data = make_data(asked.work, split, seed, asked.rows, asked.features)
            for target in asked.targets.split(","):
                if asked.neighbours:
                    show_neighbours(data, f"{split} {seed}", target)
                    continue
                for model in asked.models.split(","):
                    show(data, split, seed, target, model, asked.parts.split(","))


def make_data(work: Path, split: str, seed: int, rows: int, features: Path | None) -> Path:
    data = work / f"{split}-{seed}" / "data"
    if (data / "features" / "done").is_file():
        return data
    if real := os.environ.get("ENGAGE_REAL_POSTS"):
        table = work / "posts.csv"
        if not table.is_file():
            work.mkdir(parents=True, exist_ok=True)
            posts = pd.read_csv(f"{real}/posts.csv", dtype=str, keep_default_na=False)
            posts.head(rows or len(posts)).to_csv(table, index=False)
        source = ["--table", table, "--images-dir", f"{real}/images", "--map", REAL]
    else:
        if not (work / "sample").is_dir():
            engage("sample", work / "sample", "--rows", rows or 1200)
        source = ["--pixelrec-dir", work / "sample"]
    engage("prepare", *source, "--split", split, "--seed", seed, "--data", data)
    before = features or next(iter(sorted(work.glob("*/data/features/done"))), work / "none" / "done").parent
    if before.is_dir():
        shutil.copytree(before, data / "features", dirs_exist_ok=True)
    engage("embed", "--data", data, "--covers")
    (data / "features" / "done").touch()
    return data


def show(data: Path, split: str, seed: int, target: str, model: str, parts: list[str]) -> None:
    """Print a row for each part: its R² beside that of the run without."""
    said = {}
    for part in parts:
        run = data.parent / "runs" / f"{model}-{target}-{part}"
        if not (run / "metrics.json").is_file():
            common = ["--data", data, "--target", target, "--run", run, "--seed", 0]
            if model == "gp":
                engage("train-gp", "--covers", part, *common)
            else:
                engage("train-catboost", "--as", "value", "--features", f"honest{FEATURES[part]}", *common)
        said[part] = predicted(data, run, target)
    true, without = said["none"]
    for part in parts:
        if part != "none":
            print_row(f"{target}, {model} + {part}", f"{split} {seed}", true, without, said[part][1])


def print_row(name: str, split: str, true: np.ndarray, without: np.ndarray, with_it: np.ndarray) -> None:
    r2 = compare("value", true, ("with", with_it), ("without", without), num_resamples=1000, metric="r2")
    first, second = (compute_metrics("value", true, one) for one in (without, with_it))
    print(
        f"| {name} | {split} | {len(true):,} | {first['r2']:.4f} | {second['r2']:.4f} | "
        f"{r2.difference:+.4f} | {r2.low:+.4f} to {r2.high:+.4f} | {first['spearman']:.4f} | {second['spearman']:.4f} |",
        flush=True,
    )


def show_neighbours(data: Path, split: str, target: str) -> None:
    """Print the row of the process with and without its neighbours' outcomes."""
    dataset, run = load_dataset(data), load_run(data.parent / "runs" / f"gp-{target}-none")
    goal, predictor, source = dataset.target(target), load_predictor(run), source_of(run, dataset, SilentReporter())
    parts = {part: dataset.posts.iloc[dataset.rows(part, goal)] for part in ("train", "validation", "test")}
    places = {part: placed(source, posts) for part, posts in parts.items()}
    outcomes, said = goal.score(parts["train"]), {}
    for part in ("validation", "test"):
        alike = places[part] @ places["train"].T
        order = np.argsort(-alike, axis=1)[:, : max(NUM_NEIGHBOURS)]
        means = [
            (outcomes[order[:, :num]].sum(axis=1) + SHRUNK_BY * outcomes.mean()) / (num + SHRUNK_BY)
            for num in NUM_NEIGHBOURS
        ]
        said[part] = predictor.predict(parts[part], source).value, means
    true, found = goal.score(parts["validation"]), []
    for number in range(len(NUM_NEIGHBOURS)):
        both = np.column_stack([said["validation"][0], said["validation"][1][number], np.ones(len(true))])
        weights, *_ = np.linalg.lstsq(both, true, rcond=None)
        found.append((float(((true - both @ weights) ** 2).sum()), number, weights))
    _, best, weights = min(found, key=lambda one: one[0])
    alone, mean = said["test"][0], said["test"][1][best]
    with_it = np.column_stack([alone, mean, np.ones(len(alone))]) @ weights
    print_row(f"{target}, gp + {NUM_NEIGHBOURS[best]} neighbours", split, goal.score(parts["test"]), alone, with_it)


def placed(source: TableSource, posts: pd.DataFrame) -> np.ndarray:
    """Return (n, d) rows of length 1: the vectors of cover and title, each of length 1 before they are joined."""
    blocks = source.blocks(posts, ["image", "title"])
    sides = [np.asarray(blocks[name].values, np.float64).reshape(len(posts), -1) for name in ("image", "title")]
    sides = [side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9) for side in sides]
    return np.concatenate(sides, axis=1) / np.sqrt(2)


def predicted(data: Path, folder: Path, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the truth and the run's predictions of the test posts."""
    known = folder / "said.npz"
    if not known.is_file():
        dataset, run = load_dataset(data), load_run(folder)
        posts = dataset.posts.iloc[dataset.rows("test", dataset.target(target))]
        said = load_predictor(run).predict(posts, source_of(run, dataset, SilentReporter()))
        np.savez(known, true=dataset.target(target).score(posts), said=said.value)
    with np.load(known) as found:
        return found["true"], found["said"]


def engage(*arguments: Any) -> None:
    command = [sys.executable, "-m", "engage_cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{json.dumps(command)}\n{done.stderr}")


if __name__ == "__main__":
    main()
