"""Wall time and peak memory of every command by the number of posts, on drawn posts of PixelRec's shape.

    python benchmarks/scale.py --work DIR --sizes 1000 10000 100000 408374

Texts, tags, counters with heavy tails and vectors of real width (1,536 of a cover and of a text, in float16) are drawn by a
known law (benchmarks/drawn/posts.py). Each command is a process of its own. Told of it and its children are the wall time,
the time on the processor, which others that share the machine change less, and the most memory. What is measured stands in
DIR/scale.jsonl and is not measured again.

--only NAME ...     these commands alone
--learning          R² on the same test posts by the number of training posts, of each member and the ensemble
--stages            what grows with the posts, each stage alone at the size of all of PixelRec
--kill              each command is killed at five random moments, and then goes on to its end
--short             trainers with 2 epochs or 100 trees: what they take in memory, and in time before and beside these
--show              only print the tables and draw the plots
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from drawn.processes import Measured, engage, run, run_with_kills

COMMANDS = (
    "prepare",
    "draw",
    "train-classifier",
    "train-catboost",
    "train-regressor",
    "train-gp",
    "train",
    "evaluate",
    "embed",
    "predict",
)
NOT_OURS = ("draw",)  # the stand-in for `engage embed`, which would take what the encoders take
WHOLE = 408_374
ASKED = 1_000  # posts of `embed` and `predict --table`, at most: their cost is that of the encoders
KILLS = 5
# What --short gives the trainers: their memory and what comes before the trees and epochs, not their whole time.
SHORT = {
    "train-classifier": ("--epochs", 2),
    "train-regressor": ("--epochs", 2),
    "train-catboost": ("--as", "value", "--target", "popularity", "--iterations", 100),
}


class Size:
    """Everything of one number of posts."""

    def __init__(self, work: Path, num: int, *, is_short: bool = False) -> None:
        self.is_short, self.num, self.place = is_short, num, work / f"{num}"
        self.data, self.runs, self.source = self.place / "data", self.place / "runs", self.place / "source"

    def call(self, name: str) -> list[str]:
        data, short = ("--data", self.data), SHORT.get(name, ()) if self.is_short else ()
        if name == "prepare":
            return engage("prepare", "--pixelrec-dir", self.source, *data)
        if name == "draw":
            code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
            code += "from drawn.store import fill; "
            code += f"fill(Path({str(self.data)!r}), Path({str(self.source / 'world.npz')!r}))"
            return [engage()[0], "-c", code]
        if name == "evaluate":
            return engage("evaluate", self.runs / "train", *data)
        asked = self.place / "asked"
        if name == "embed":
            return engage("embed", "--data", asked / "data")
        if name == "predict":
            table = ("--table", asked / "posts.csv", "--images-dir", self.source / "cover", "--out", asked / "out.csv")
            return engage("predict", *table, "--run", self.runs / "train")
        return engage(name, *data, "--run", self.runs / name, *short)

    def make_ready(self, name: str, work: Path) -> None:
        """Draw the posts, and what is asked about; nothing of it is measured."""
        if not (self.source / "world.npz").is_file():
            from drawn.posts import draw

            draw(self.source, self.num)
        asked = self.place / "asked"
        if name in ("embed", "predict") and not (asked / "data").is_dir():
            asked.mkdir(exist_ok=True)
            table = pd.read_csv(self.source / "item_info.csv", nrows=ASKED, dtype=str, keep_default_na=False)
            table["image"] = table["item_id"] + ".jpg"
            names = {"item_id": "id", "tag": "tags"}
            table = table.rename(columns=names)
            (table[["id", "image", "title", "tags", "description", "view_number"]]).to_csv(asked / "posts.csv", index=False)
            given = ("--table", asked / "posts.csv", "--images-dir", self.source / "cover", "--map", "views=view_number")
            must(run(engage("prepare", *given, "--data", asked / "data"), work / "log.txt"))


def must(measured: Measured) -> Measured:
    if measured.status:
        raise SystemExit(f"failed: {measured.tail}")
    return measured


def read_results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def keep(path: Path, **result: Any) -> None:
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result), flush=True)


def measure_all(work: Path, sizes: list[int], names: list[str], *, is_short: bool) -> None:
    results = work / "scale.jsonl"
    for num in sizes:
        size = Size(work, num, is_short=is_short)
        for name in names:
            if any((one["posts"], one["command"]) == (num, name) for one in read_results(results)):
                continue
            size.make_ready(name, work)
            found = must(run(size.call(name), work / f"{num}-{name}.txt"))
            members = seconds_of_members(size.runs / name) if name == "train" else {}
            keep(
                results,
                posts=num,
                command=name,
                seconds=round(found.seconds, 1),
                cpu=round(found.cpu, 1),
                gb=round(found.peak, 2),
                **members,
            )


def seconds_of_members(run_folder: Path) -> dict[str, Any]:
    places = sorted((run_folder / "members").glob("*/metrics.json"))
    return {"members": {path.parent.name: json.loads(path.read_text())["seconds"] for path in places}}


def kill_all(work: Path, sizes: list[int], names: list[str]) -> None:
    """Give each command again and again, killed at five random moments, and then to its end."""
    known = {(one["posts"], one["command"]): one for one in read_results(work / "scale.jsonl")}
    results = work / "killed.jsonl"
    for num in sizes:
        for name in names:
            if name in NOT_OURS or (num, name) not in known:
                continue
            if any((one["posts"], one["command"]) == (num, name) for one in read_results(results)):
                continue
            size, before = Size(work, num), known[num, name]
            again = Size(work, num)
            again.runs = size.place / "killed"
            call = [str(part).replace(str(size.runs / name), str(again.runs / name)) for part in size.call(name)]
            if name == "prepare":
                call = [str(part).replace(str(size.data), str(size.place / "killed-data")) for part in call]
            if name in ("embed", "predict"):
                call = [part.replace("/asked/out.csv", "/asked/out-killed.csv") for part in call]
            if name == "embed":
                shutil.rmtree(size.place / "asked" / "data" / "features", ignore_errors=True)
            moments, end = run_with_kills(
                call, work / f"{num}-{name}-killed.txt", seconds=before["seconds"], times=KILLS, seed=num
            )
            must(end)
            keep(
                results,
                posts=num,
                command=name,
                killed_after=[round(moment, 1) for moment in moments],
                seconds=round(end.seconds, 1),
                gb=round(end.peak, 2),
                gb_before=before["gb"],
            )


def measure_stages(work: Path) -> None:
    """Seconds on the processor, and the memory that a stage adds to what was drawn for it."""
    from drawn.stages import STAGES

    print("| stage | seconds | GB added |\n|---|---|---|")
    for name in STAGES:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        code += f"from drawn.stages import main; main({name!r})"
        found = must(run([engage()[0], "-c", code], work / "stage.txt"))
        seconds, before = map(float, found.tail.split()[-2:])
        print(f"| {name} | {seconds:,.1f} | {found.peak - before:.2f} |", flush=True)


def table_of(results: list[dict[str, Any]]) -> str:
    sizes = sorted({one["posts"] for one in results})
    cells = {(one["command"], one["posts"]): one for one in results}
    lines = ["| command | " + " | ".join(f"{num:,} posts" for num in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for name in COMMANDS:
        found = [cells.get((name, num)) for num in sizes]
        if any(found):
            shown = (f"{one['seconds']:,.0f} s, {one['cpu']:,.0f} s, {one['gb']:.1f} GB" if one else "" for one in found)
            lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Seconds and memory against posts, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    panels: list[tuple[str, str, Callable[[dict[str, Any]], float]]] = [
        ("seconds on the processor", "time", lambda one: one["cpu"]),
        ("peak memory, GB", "memory", lambda one: one["gb"]),
    ]
    shown = [name for name in COMMANDS if name not in (*NOT_OURS, "embed", "predict")]
    for axes, (label, _, value) in zip(figure.subplots(1, 2), panels, strict=True):
        for name in shown:
            found = sorted((one["posts"], value(one)) for one in results if one["command"] == name)
            if found:
                axes.plot(*zip(*found, strict=True), marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel="posts", ylabel=label)
        axes.grid(alpha=0.3)
    figure.axes[1].axhline(16, color="#999999", linestyle="--", linewidth=1)
    figure.axes[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-scale")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000])
    parser.add_argument("--only", nargs="+", default=list(COMMANDS), choices=COMMANDS)
    parser.add_argument("--learning", action="store_true")
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--plots", type=Path, help="the folder of scale.png and learning.png")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    names = [name for name in COMMANDS if name in asked.only]
    if asked.learning:
        from drawn.learning import learn_all

        learn_all(asked.work, asked.sizes, show=asked.show, plots=asked.plots)
        return
    if asked.stages:
        measure_stages(asked.work)
        return
    if asked.kill:
        kill_all(asked.work, asked.sizes, names)
        return
    if not asked.show:
        measure_all(asked.work, asked.sizes, names, is_short=asked.short)
    results = read_results(asked.work / "scale.jsonl")
    print(table_of(results))
    if asked.plots:
        plot(results, asked.plots / "scale.png")


if __name__ == "__main__":
    main()
