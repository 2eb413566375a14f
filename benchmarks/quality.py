"""How good predictions are, in one table: engage's default beside what one would pick instead, on the same rows.

Rows are evaluate's baselines; the study's models on the encoders that engage's runs read (its regressor and classifier
without training those encoders, its CatBoost without the counters that its label is computed from); AutoGluon's
MultiModalPredictor, which trains both encoders, from an environment of its own (--autogluon, see
benchmarks/external/run_autogluon.py); each of engage's trainers by its defaults; and `engage train`, the default,
which weighs them together.

Every (split, seed) is a data folder, every row a run, and what is done is not done again: the command can be killed and
given again, or with more seeds. The test split is read at the end, by the same code for all rows. Seconds are those of a
training with features ready, plus those of embedding, which is done once for all.

python benchmarks/quality.py --work DIR [--seeds 0,1,2] [--splits random,time] [--autogluon PYTHON] [--write FILE]

Real posts where ENGAGE_REAL_POSTS names a folder, drawn ones (`engage sample`) elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.images.decode import resolve_inside
from engage_cli.metrics.metrics import compute_metrics, true_of
from engage_cli.metrics.paired_bootstrap import compare
from engage_cli.plots._style import DPI, LIGHT, font, style_axes, style_ticks, write
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.evaluate import evaluate

DEFAULT = "engage train (default)"
CASES = {"views": ("views", "value"), "likes": ("likes", "value"), "views in five classes": ("views", "classes")}
SHOWN = {
    "value": ("r2", "spearman", "mae", "pairwise_accuracy"),
    "classes": ("accuracy", "kappa", "macro_f1"),
}
COMPARED = {"value": ("r2", "spearman"), "classes": ("accuracy", "kappa")}
PLOTTED = {"value": "r2", "classes": "kappa"}
TITLES = {
    "r2": "R²",
    "pairwise_accuracy": "pairs right",
    "kappa": "kappa",
    "macro_f1": "macro F1",
    "mae": "MAE",
    "spearman": "Spearman",
}
FROZEN = ["--recipe", "study", "--finetune", "none", "--precision", "fp32"]  # on a processor fp16 is slow and gains nothing
STUDY = {  # row -> (kinds, command and its options)
    "study's regressor, encoders frozen": (("value",), ["train-regressor", *FROZEN]),
    "study's classifier, encoders frozen": (("classes",), ["train-classifier", *FROZEN]),
    "study's CatBoost, without counters": (
        ("value", "classes"),
        ["train-catboost", "--features", "embeddings,text_counts,category", "--pool", "checkpoint", "--resize", "native"],
    ),
}
MEMBERS = {"gp": "engage train-gp", "catboost": "engage train-catboost", "neural": "engage's neural model"}
NUM_RESAMPLES = 1000
TIMED = ("random-0", "time-0")  # where predicting is timed
TIMES_OURS = 4  # what AutoGluon may take, in default trainings
REAL = "id=video_id,views=view_count,likes=like_count,comments=comment_count,dislikes=dislike_count,posted_at=published_at"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one split: what it said of the test posts."""

    name: str
    predicted: np.ndarray
    true: np.ndarray
    seconds: float | None = None  # of its training
    predict_seconds: float | None = None  # of the test posts, from their files, in a new process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-quality")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--splits", default="random,time")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--autogluon", type=Path, help="the Python of an environment that has it")
    parser.add_argument("--slow-on", default="random-0", help="where the study's models and AutoGluon are run")
    parser.add_argument("--autogluon-epochs", type=int, default=1)
    parser.add_argument("--write", type=Path, help="a file whose part between <!-- table --> and <!-- end --> is replaced")
    asked = parser.parse_args()
    splits = [
        (split, seed)
        for split in asked.splits.split(",")
        for seed in (map(int, asked.seeds.split(",")) if split == "random" else [0])
    ]
    found: dict[str, list[tuple[str, dict[str, Row]]]] = {}
    for split, seed in splits:
        folder = make_data(asked.work, split, seed)
        for case in asked.cases.split(","):
            is_slow = folder.name in asked.slow_on.split(",")
            train_all(folder, case, with_study=is_slow)
            if asked.autogluon and is_slow:
                train_autogluon(folder, case, asked.autogluon, asked.autogluon_epochs)
            found.setdefault(f"{case}, {split} split", []).append((folder.name, score_all(folder, case)))
            print(f"{case}, {folder.name}: done", file=sys.stderr, flush=True)
    embedding = json.loads((asked.work / "embedding.json").read_text())["seconds"]
    text = "\n\n".join(show(case, some, embedding) for case, some in found.items())
    text = f"{machine()}; embedding all posts once: {embedding:.0f} s.\n\n{text}"
    print(text)
    if asked.write:
        replace_table(asked.write, text)
        draw(found, asked.write.with_name("quality.png"))


def make_data(work: Path, split: str, seed: int) -> Path:
    """Prepare a split, and copy the vectors from the first one that was embedded: posts are the same in all."""
    folder = work / f"{split}-{seed}"
    data = folder / "data"
    if (data / "features" / "done").is_file():
        return folder
    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        source = ["--table", f"{real}/posts.csv", "--images-dir", f"{real}/images", "--map", REAL]
    else:
        sample = work / "sample"
        if not sample.is_dir():
            engage("sample", sample, "--rows", 1200)
        source = ["--pixelrec-dir", sample]
    engage("prepare", *source, "--split", split, "--seed", seed, "--data", data)
    before = next(iter(sorted(work.glob("*/data/features/done"))), None)
    if before:
        shutil.copytree(before.parent, data / "features", dirs_exist_ok=True)
    started = time.monotonic()
    engage("embed", "--data", data)
    if not before:
        (work / "embedding.json").write_text(json.dumps({"seconds": time.monotonic() - started}))
    (data / "features" / "done").touch()
    return folder


def train_all(folder: Path, case: str, *, with_study: bool) -> None:
    target, kind = CASES[case]
    runs = folder / "runs" / case.replace(" ", "-")
    how = ["--data", folder / "data", "--target", target]
    train(runs / "default", ["train", *how, "--as", kind])
    for name, (kinds, command) in STUDY.items():
        if kind in kinds and with_study:
            more = ["--as", kind] if command[0] == "train-catboost" else []
            names = ["--vision", "dinov2-small", "--text", "minilm"]
            train(runs / short(name), [command[0], *how, *command[1:], *names, *more])


def train(run: Path, command: Sequence[Any]) -> None:
    if not (run / MARKER).is_file():
        started = time.monotonic()
        engage(*command, "--run", run)
        (run / "wall.json").write_text(json.dumps({"seconds": time.monotonic() - started}))


def train_autogluon(folder: Path, case: str, python: Path, epochs: int) -> None:
    out = folder / "autogluon" / case.replace(" ", "-")
    if (out / "result.json").is_file():
        return
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(exist_ok=True)
    dataset = load_dataset(folder / "data")
    target, kind = CASES[case]
    target_ = dataset.target(target)
    tables = []
    for part in ("train", "validation", "test"):
        posts = dataset.posts.iloc[dataset.rows(part, target_)]
        scores = target_.score(posts)
        images = [resolve_inside(images_dir(dataset), name) for name in posts["image"]]
        tables.append(
            pd.DataFrame(
                {
                    "part": part,
                    "title": posts["title"].fillna(""),
                    "image": images,
                    "label": true_of(kind, scores, target_.classes(scores)),
                }
            )
        )
    table = out.parent / f"{out.name}.csv"
    pd.concat(tables).to_csv(table, index=False)
    ours = seconds_of(folder / "runs" / out.name / "default") or 0.0
    embedding = json.loads((folder.parent / "embedding.json").read_text())["seconds"]
    command = [
        *(python, Path(__file__).parent / "external" / "run_autogluon.py", "--posts", table, "--out", out),
        *("--vision", find_checkpoint("vision", "dinov2-small").folder),
        *("--text", find_checkpoint("text", "minilm").folder),
        *("--epochs", epochs, "--time-limit", TIMES_OURS * (ours + embedding)),
        *(["--classes"] if kind == "classes" else []),
    ]
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, cwd=out.parent)


def score_all(folder: Path, case: str) -> dict[str, Row]:
    """Read the test split: of every row its predictions, of the same posts."""
    target, _ = CASES[case]
    dataset = load_dataset(folder / "data")
    runs = folder / "runs" / case.replace(" ", "-")
    places = {DEFAULT: runs / "default"}
    places |= {MEMBERS[name]: runs / "default" / "members" / name for name in MEMBERS}
    places |= {name: runs / short(name) for name in STUDY if (runs / short(name) / MARKER).is_file()}
    found = evaluate(list(places.values()), dataset=dataset, num_resamples=0)
    rows = {one.name: Row(name=one.name, predicted=one.predicted, true=one.true) for one in found.baselines}
    for (name, place), score in zip(places.items(), found.runs, strict=True):
        rows[name] = Row(
            name=name,
            predicted=score.predicted,
            true=score.true,
            seconds=seconds_of(place),
            predict_seconds=time_predict(dataset, place, target) if folder.name in TIMED else None,
        )
    out = folder / "autogluon" / case.replace(" ", "-")
    if (out / "result.json").is_file():
        result = json.loads((out / "result.json").read_text())
        rows["AutoGluon MultiModalPredictor"] = Row(
            name="AutoGluon MultiModalPredictor",
            predicted=np.load(out / "predictions.npz")["predicted"],
            true=rows[DEFAULT].true,
            seconds=result["seconds"],
            predict_seconds=result["predict_seconds"],
        )
    return rows


def time_predict(dataset: Dataset, run: Path, target: str) -> float:
    """Return the seconds of `engage predict` for the test posts, once measured."""
    known = run / "predict.json"
    if not known.is_file():
        posts = dataset.posts.iloc[dataset.rows("test", dataset.target(target))]
        table = posts[[name for name in ("id", "image", "title", "tags", "description", "posted_at") if name in posts]]
        with tempfile.TemporaryDirectory() as place:
            source, out = Path(place) / "posts.parquet", Path(place) / "out.csv"
            table.to_parquet(source)
            started = time.monotonic()
            engage("predict", "--table", source, "--images-dir", images_dir(dataset), "--run", run, "--out", out)
            known.write_text(json.dumps({"seconds": time.monotonic() - started}))
    return float(json.loads(known.read_text())["seconds"])


def images_dir(dataset: Dataset) -> Path:
    (source,) = dataset.posts["source"].unique()
    found = dataset.images_of(source)
    assert found is not None
    return found


def seconds_of(run: Path) -> float | None:
    wall = run / "wall.json"
    if wall.is_file():
        seconds: float = json.loads(wall.read_text())["seconds"]
        return seconds
    return load_run(run).done.seconds


def show(case: str, splits: Sequence[tuple[str, dict[str, Row]]], embedding: float) -> str:
    """Markdown: means over the splits, with standard deviations, and whether the default is better in each."""
    kind = CASES[case.split(",")[0]][1]
    names = list(dict.fromkeys(name for _, rows in splits for name in rows if name != DEFAULT))
    where = ", ".join(name for name, _ in splits)
    head = [case.split(",")[0], *(TITLES.get(name, name) for name in SHOWN[kind])]
    head += [f"default better by {TITLES.get(name, name)}" for name in COMPARED[kind]] + ["trains, s", "predicts, s"]
    lines = [
        f"**{case}** ({where}; {len(splits[0][1][DEFAULT].true)} test posts each)",
        "",
        _line(head),
        _line(["---"] * len(head)),
    ]
    for name in (*names, DEFAULT):
        some = [(rows[name], rows[DEFAULT]) for _, rows in splits if name in rows]
        label = name if len(some) == len(splits) else f"{name} ({len(some)} of {len(splits)})"
        cells = [f"**{label}**" if name == DEFAULT else label]
        metrics = [compute_metrics(kind, row.true, row.predicted) for row, _ in some]
        cells += [_spread([one[metric] for one in metrics]) for metric in SHOWN[kind]]
        cells += [_compared(kind, metric, some) if name != DEFAULT else "" for metric in COMPARED[kind]]
        trained = [row.seconds for row, _ in some if row.seconds is not None]
        asked = [row.predict_seconds for row, _ in some if row.predict_seconds is not None]
        alone = name.startswith("AutoGluon")
        cells.append(f"{np.mean(trained):.0f}{'' if alone else f' + {embedding:.0f}'}" if trained else "")
        cells.append(f"{np.mean(asked):.0f}" if asked else "")
        lines.append(_line(cells))
    return "\n".join(lines)


def draw(found: dict[str, list[tuple[str, dict[str, Row]]]], path: Path) -> None:
    """One panel a case: a dot for each seed of each row, by the metric that the case is about."""
    figure = Figure(figsize=(11, 0.9 + 2.6 * -(-len(found) // 3)), dpi=DPI, facecolor=LIGHT.paper, layout="constrained")
    panels = np.atleast_1d(figure.subplots(-(-len(found) // 3), 3, sharey=False)).ravel()
    for axes, (case, splits) in zip(panels, found.items(), strict=False):
        kind = CASES[case.split(",")[0]][1]
        names = [name for name in dict.fromkeys(name for _, rows in splits for name in rows) if name != "text length"]
        for place, name in enumerate(reversed(names)):
            rows = [rows[name] for _, rows in splits if name in rows]
            scores = [compute_metrics(kind, row.true, row.predicted)[PLOTTED[kind]] for row in rows]
            colour = LIGHT.second if name == DEFAULT else LIGHT.first
            axes.plot(scores, [place] * len(scores), "o", color=colour, markersize=4.5, alpha=0.8)
        axes.set_yticks(range(len(names)), [name.partition(",")[0] for name in reversed(names)])
        style_axes(axes)
        style_ticks(axes)
        title = f"{case.replace(', ', chr(10))}: {TITLES.get(PLOTTED[kind], PLOTTED[kind])}"
        axes.set_title(title, fontproperties=font(9, "bold"))
        axes.margins(x=0.08)
    for axes in panels[len(found) :]:
        axes.remove()
    write(figure, path)


def _compared(kind: str, metric: str, some: Sequence[tuple[Row, Row]]) -> str:
    """How much better the default is on each split; a star where the 95 % interval of the difference leaves 0 out."""
    cells = []
    for row, default in some:
        found = compare(
            kind,
            row.true,
            ("default", default.predicted),
            ("other", row.predicted),
            num_resamples=NUM_RESAMPLES,
            metric=metric,
        )
        cells.append(f"{found.difference:+.3f}{'*' if found.low > 0 or found.high < 0 else ''}")
    return " ".join(cells)


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def short(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def machine() -> str:
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{os.cpu_count()} cores ({names[0] if names else platform.processor()}), no GPU"


def engage(*arguments: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "engage_cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"engage {' '.join(map(str, arguments))}\n{done.stderr}")


def replace_table(path: Path, text: str) -> None:
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->")
    _, _, after = rest.partition("<!-- end -->")
    path.write_text(f"{before}<!-- table -->\n\n{text}\n\n<!-- end -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
