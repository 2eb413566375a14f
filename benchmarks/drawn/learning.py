"""R² by the number of training posts: each member of `engage train` and the ensemble, on the same unseen posts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from drawn.posts import CEILING
from engage_cli.data.dataset import load_dataset
from engage_cli.metrics.metrics import r2
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.inputs.sources import source_of

MOST_ASKED = 4_000
ENSEMBLE = "engage train"


def learn_all(work: Path, sizes: list[int], *, show: bool, plots: Path | None) -> None:
    """Score the finished runs `train` of these sizes on test posts of the largest, whose world is of the same law."""
    results = work / "learning.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    finished = [num for num in sizes if (work / f"{num}" / "runs" / "train" / MARKER).is_file()]
    for num in [] if show else finished:
        if not any(one["posts"] == num for one in known):
            known.append(score(work, num, max(sizes)))
            with results.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
            print(json.dumps(known[-1]), flush=True)
    known.sort(key=lambda one: one["posts"])
    print(table_of(known))
    if plots is not None:
        plot(known, plots / "learning.png")


def score(work: Path, num: int, largest: int) -> dict[str, Any]:
    dataset = load_dataset(work / f"{largest}" / "data")
    run = load_run(work / f"{num}" / "runs" / "train")
    places = dataset.rows("test", run.target)[:MOST_ASKED]
    posts = dataset.posts.iloc[places]
    truth = run.target.score(posts)
    found = {}
    for name, member in [*((one.folder.name, one) for one in members_of(run)), (ENSEMBLE, run)]:
        said = load_predictor(member).predict(posts, source_of(member, dataset, SilentReporter())).main
        found[name] = round(r2(truth, np.asarray(said)), 4)
    assert run.metrics is not None
    weights = {name: round(weight, 3) for name, weight in (run.metrics.weights or {}).items()}
    train = int((load_dataset(work / f"{num}" / "data").posts["split"] == "train").sum())
    return {"posts": num, "train": train, "asked": len(places), "r2": found, "weights": weights}


def table_of(known: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for one in known for name in one["r2"]))
    lines = ["| training posts | " + " | ".join(names) + " | weights |", "|---" * (len(names) + 2) + "|"]
    for one in known:
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in one["weights"].items())
        figures = " | ".join(f"{one['r2'][name]:.3f}" for name in names)
        lines.append(f"| {one['train']:,} | {figures} | {weights} |")
    return "\n".join(lines)


def plot(known: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name in known[0]["r2"]:
        width = 2.5 if name == ENSEMBLE else 1.5
        axes.plot([one["train"] for one in known], [one["r2"][name] for one in known], "o-", linewidth=width, label=name)
    axes.axhline(CEILING, color="#999999", linestyle="--", linewidth=1, label="what can be known of views")
    axes.set(xscale="log", xlabel="training posts", ylabel="R² of log popularity, the same test posts")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
