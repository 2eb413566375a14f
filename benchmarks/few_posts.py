"""What `engage train` makes of few posts: 60 or 200 are drawn, and 300 others tell what came true.

    ENGAGE_REAL_POSTS=/path/to/youtube python benchmarks/few_posts.py --draws 10

All posts are embedded once; a draw copies their vectors. What is done stands in --work, so that a killed call goes on.
Every draw is one line of the log, and every case one of the table. With --weigh-again the members that stand there are
weighed and calibrated by the code as it is now, and not trained again.

With --base a Gaussian process is trained on seven tenths of the posts first; 60 or 200 are drawn from the others, and every
draw starts from it (`engage train --base`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import EnsembleConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.io.files import write_json
from engage_cli.metrics.metrics import PRIMARY, compute_metrics, true_of
from engage_cli.models.ensemble.predictor import Weights
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import FIRST, TARGET_FILE, load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.train.gaussian_process import train_process
from engage_cli.steps.train.on_base import train_on_base
from engage_cli.steps.train.pipeline import train_ensemble
from engage_cli.uncertainty.forecast import load_uncertainty

REAL = "id=video_id,views=view_count,likes=like_count,comments=comment_count,dislikes=dislike_count,posted_at=published_at"
NUM_OTHERS = 300
SELDOM = 0.05  # a class that is said to be at most so probable
BY_DATE = "time"
BASE_SHARE, BASE_SEED = 0.7, 77
FIRST_SEED = 2000  # of the draws that are reported; all choices were made on others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-few-posts")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--sizes", default="60,200")
    parser.add_argument("--splits", default=f"{BY_DATE},random")
    parser.add_argument("--target", default="views")
    parser.add_argument("--as", dest="kind", default="value", choices=("value", "classes"))
    parser.add_argument("--weigh-again", action="store_true")
    parser.add_argument("--base", action="store_true")
    asked = parser.parse_args()
    real = Path(os.environ["ENGAGE_REAL_POSTS"])
    whole = embed_all(asked.work, real)
    if asked.base:
        print(measure_base(asked, real, whole))
        return
    cases: dict[str, list[dict[str, Any]]] = {}
    for seed in range(asked.seed, asked.seed + asked.draws):
        for size in map(int, asked.sizes.split(",")):
            for split in asked.splits.split(","):
                folder = asked.work / f"{asked.target}-{asked.kind}-{size}-{split}-{seed}"
                if asked.weigh_again:
                    forget_weights(folder)
                found = measure(folder, real, whole, size, split, seed, asked.target, asked.kind)
                cases.setdefault(f"{size}, {'by date' if split == BY_DATE else 'at random'}", []).append(found)
                print(f"{size} {split} {seed}: {json.dumps(found)}", file=sys.stderr, flush=True)
    print(show(cases, PRIMARY[asked.kind]))


def measure_base(asked: argparse.Namespace, real: Path, whole: Dataset) -> str:
    """Train a base on most posts, and then on few of the others with it; return the table."""
    groups = whole.posts["group"].unique()
    chosen = np.random.default_rng(BASE_SEED).permutation(groups)[: round(BASE_SHARE * len(groups))]
    of_base = whole.posts["group"].isin(chosen)
    folder = asked.work / f"base-{asked.target}"
    base = folder / "run"
    if not (base / "metrics.json").is_file():
        dataset = divide(folder, real, whole, whole.posts["id"][of_base], "random", BASE_SEED)
        config = GaussianProcessConfig(target=asked.target, kind="value")
        train_process(config, dataset=dataset, encoders=EncoderConfig(), run=base, reporter=SilentReporter())
    rest = whole.posts[~of_base]
    cases: dict[str, list[dict[str, Any]]] = {}
    for seed in range(asked.seed, asked.seed + asked.draws):
        for size in map(int, asked.sizes.split(",")):
            place = asked.work / f"based-{asked.target}-{size}-{seed}"
            if not (place / "found.json").is_file():
                order = np.random.default_rng(seed).permutation(len(rest))
                drawn = rest.iloc[order[:size]]
                others = rest.iloc[order[size:]]
                others = others[~others["group"].isin(drawn["group"])].iloc[:NUM_OTHERS]
                dataset = divide(place, real, whole, drawn["id"], "random", seed)
                config = EnsembleConfig(target=asked.target, kind="value")
                how = {"encoders": EncoderConfig(), "run": place / "run", "reporter": SilentReporter()}
                train_on_base(config, base, dataset=dataset, **how)
                write_json(place / "found.json", score_on_base(place / "run", base, whole, others))
                shutil.rmtree(place / "data", ignore_errors=True)
            found = json.loads((place / "found.json").read_text())
            cases.setdefault(str(size), []).append(found)
            print(f"{size} {seed}: {json.dumps(found)}", file=sys.stderr, flush=True)
    columns = ("spearman", "of_base", "share", "r2", "r2_of_base", "coverage_80", "coverage_95", "seconds")
    lines = [f"| posts | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for size, found in cases.items():
        lines.append(f"| {size} | " + " | ".join(_spread(found, name) for name in columns) + " |")
    return "\n".join(lines)


def score_on_base(folder: Path, base: Path, whole: Dataset, others: pd.DataFrame) -> dict[str, Any]:
    """Compare a run with its base on posts that neither learned from."""
    said = {}
    for name, place in (("run", folder), ("base", base)):
        run = load_run(place)
        said[name] = load_predictor(run).predict(others, source_of(run, whole, SilentReporter()))
    run = load_run(folder)
    true = run.target.score(others)
    forecast = load_uncertainty(run).forecast(said["run"])
    found = {
        name: {key: compute_metrics("value", true, one.main, [key])[key] for key in ("spearman", "r2")}
        for name, one in said.items()
    }
    inside = {name: float(((low <= true) & (true <= high)).mean()) for name, (low, high) in forecast.intervals.items()}
    return {
        "spearman": found["run"]["spearman"],
        "of_base": found["base"]["spearman"],
        "share": found["run"]["spearman"] / found["base"]["spearman"],
        "r2": found["run"]["r2"],
        "r2_of_base": found["base"]["r2"],
        **{f"coverage_{name}": share for name, share in inside.items()},
        "weights": run.done.weights,
        "seconds": run.done.seconds,
    }


def embed_all(work: Path, real: Path) -> Dataset:
    folder = work / "all"
    if not (folder / "done").is_file():
        source = ["--table", real / "posts.csv", "--images-dir", real / "images", "--map", REAL]
        for command in (["prepare", *source, "--split", "random", "--overwrite"], ["embed"]):
            call = [sys.executable, "-m", "engage_cli", *map(str, command), "--data", str(folder)]
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        (folder / "done").touch()
    return load_dataset(folder)


def forget_weights(folder: Path) -> None:
    """Take all from a run but its members, and what was found by it."""
    for path in [folder / "found.json", *(folder / "run").glob("*")]:
        if path.is_file() and path.name not in (FIRST, TARGET_FILE):
            path.unlink()


def measure(
    folder: Path, real: Path, whole: Dataset, size: int, split: str, seed: int, target: str, kind: str
) -> dict[str, Any]:
    """Draw, prepare, train, and ask about others; or return what is known of that draw."""
    if (folder / "found.json").is_file():
        return dict(json.loads((folder / "found.json").read_text()))
    order = np.random.default_rng(seed).permutation(len(whole.posts))
    drawn = whole.posts.iloc[order[:size]]
    rest = whole.posts.iloc[order[size:]]
    others = rest[~rest["group"].isin(drawn["group"])].iloc[:NUM_OTHERS]
    if not (folder / "run" / "metrics.json").is_file():
        dataset = divide(folder, real, whole, drawn["id"], split, seed)
        config = EnsembleConfig(target=target, kind=kind)
        train_ensemble(config, dataset=dataset, encoders=EncoderConfig(), run=folder / "run", reporter=SilentReporter())
    found = score(folder / "run", whole, others)
    write_json(folder / "found.json", found)
    shutil.rmtree(folder / "data", ignore_errors=True)
    return found


def divide(folder: Path, real: Path, whole: Dataset, ids: pd.Series, split: str, seed: int) -> Dataset:
    """Prepare the drawn posts, with the vectors of all."""
    data = folder / "data"
    if not (data / "dataset.json").is_file():
        shutil.rmtree(data, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        table = pd.read_csv(real / "posts.csv", dtype=str, keep_default_na=False)
        table[table["video_id"].isin(ids)].to_csv(folder / "posts.csv", index=False)
        prepare(
            PrepareConfig(split=split, seed=seed),
            folder=data,
            sources=[Source(path=folder / "posts.csv", format="table", images=real / "images")],
            mapping=dict(pair.split("=") for pair in REAL.split(",")),
            reporter=SilentReporter(),
        )
    shutil.copytree(whole.features_dir, data / "features", dirs_exist_ok=True)
    return load_dataset(data)


def score(folder: Path, whole: Dataset, others: pd.DataFrame) -> dict[str, Any]:
    run = load_run(folder)
    scores = run.target.score(others)
    classes = run.target.classes(scores)
    true = true_of(run.kind, scores, classes)
    said = load_predictor(run).predict(others, source_of(run, whole, SilentReporter()))
    members = [load_predictor(one).predict(others, source_of(one, whole, SilentReporter())) for one in members_of(run)]
    forecast = load_uncertainty(run).forecast(said)
    mean = Weights(members=(1 / len(members),) * len(members)).combine(members)
    primary = PRIMARY[run.kind]

    def rate(predicted: np.ndarray) -> float:
        return round(compute_metrics(run.kind, true, predicted, [primary])[primary], 4)

    seldom = forecast.probabilities <= SELDOM
    hits = seldom & (np.arange(5) == classes[:, None])
    top = forecast.probabilities.max(axis=1)
    is_sure = top > 0.6
    intervals = {name: (low <= true) & (true <= high) for name, (low, high) in forecast.intervals.items()}
    return {
        "default": rate(said.main if forecast.value is None else forecast.value),
        "mean": rate(mean.main),
        "members": [rate(one.main) for one in members],
        "weights": [round(weight, 3) for weight in run.done.weights.values()],
        **{f"coverage_{name}": round(float(inside.mean()), 4) for name, inside in intervals.items()},
        "seldom": int(seldom.sum()),
        "seldom_true": int(hits.sum()),
        "sure": int(is_sure.sum()),
        "sure_true": int((forecast.probabilities.argmax(axis=1) == classes)[is_sure].sum()),
        "seconds": run.done.seconds,
    }


def show(cases: dict[str, list[dict[str, Any]]], primary: str) -> str:
    lines = [
        f"| posts, split | {primary}: default | mean of members | least difference | in 80 % | in 95 % "
        "| said 0 to 5 %, came true | said > 60 %, came true | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, found in cases.items():
        ahead = min(one["default"] - one["mean"] for one in found)
        cells = [case, _spread(found, "default"), _spread(found, "mean"), f"{ahead:+.3f}"]
        cells += [_spread(found, f"coverage_{name}") for name in ("80", "95")]
        cells += [_share(found, "seldom"), _share(found, "sure"), f"{np.mean([one['seconds'] for one in found]):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(found: Sequence[dict[str, Any]], name: str) -> str:
    values = [one[name] for one in found if name in one]
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "–"


def _share(found: Sequence[dict[str, Any]], name: str) -> str:
    said, true = (sum(one[key] for one in found) for key in (name, f"{name}_true"))
    return f"{true / said:.3f} of {said:,}" if said else "–"


if __name__ == "__main__":
    main()
