"""`engage predict` beside what one would write by hand, in one run.

cold    one post, a process from its start to its end: a script that imports torch and transformers, loads the same
        encoders and the same model, and does one forward; and `engage predict`, which reads, checks, predicts, and says how
        sure it is.
        Interleaved; shown are the best of each and the median of the rounds' ratios.
table   the posts of a table: the forward of both encoders alone on tensors that are ready, in the better of two layouts of
        threads; and all of `engage predict --table`, from opening the run to the written file.

Real posts where ENGAGE_REAL_POSTS names a folder, drawn ones elsewhere; DINOv2-small and MiniLM with their weights.

python benchmarks/predict.py [--posts 2000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

TRAINED_ON = 600
BARE = """
import sys
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
vision, text, model, image, title = sys.argv[1:]
image = Image.open(image).convert("RGB")
towers = [AutoModel.from_pretrained(folder, dtype=torch.bfloat16).eval() for folder in (vision, text)]
pixels = AutoImageProcessor.from_pretrained(vision)(images=image, return_tensors="pt")["pixel_values"].bfloat16()
tokens = AutoTokenizer.from_pretrained(text)([title], return_tensors="pt")
with torch.inference_mode():
    seen = towers[0](pixel_values=pixels).last_hidden_state[:, 0].float()
    read = towers[1](**tokens).last_hidden_state.mean(dim=1).float()
if model.endswith(".cbm"):
    from catboost import CatBoostRegressor
    print(CatBoostRegressor().load_model(model).tree_count_, seen.shape, read.shape)
else:
    from safetensors.torch import load_file
    print(len(load_file(model)), seen.shape, read.shape)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        runs, table, images = train(Path(place), max(asked.posts, TRAINED_ON))
        cold(runs, table, images, asked.rounds)
        for name in ("neural", "catboost-embeddings"):
            many(runs[name], table, images, asked.posts, Path(place))


def train(place: Path, num: int) -> tuple[dict[str, Path], Path, Path]:
    """Return run folders by name, a table of posts with id, title and image, and where their images lie."""
    import pandas as pd

    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        images = Path(real) / "images"
        posts = pd.read_csv(Path(real) / "posts.csv", dtype=str, keep_default_na=False).head(num)
        posts = posts.rename(columns={"video_id": "id", "view_count": "views"})
    else:
        engage("sample", place / "sample", "--rows", num)
        images = place / "sample" / "cover"
        posts = pd.read_csv(next((place / "sample").rglob("*item_info*.csv")), dtype=str, keep_default_na=False)
        posts = posts.rename(columns={"item_id": "id", "view_number": "views"})
    posts["image"] = posts["id"] + ".jpg"
    posts[["id", "title", "image"]].to_csv(place / "posts.csv", index=False)
    posts.head(TRAINED_ON)[["id", "title", "image", "views"]].to_csv(place / "known.csv", index=False)
    data = ["--data", place / "data"]
    engage("prepare", "--table", place / "known.csv", "--images-dir", images, *data)
    boosted = ["train-catboost", *data, "--target", "views", "--as", "value", "--iterations", 100]
    runs = {name: place / "runs" / name for name in ("neural", "catboost", "catboost-embeddings")}
    engage("train-regressor", *data, "--target", "views", "--epochs", 3, "--run", runs["neural"])
    engage(*boosted, "--run", runs["catboost"])
    engage(*boosted, "--features", "embeddings", "--run", runs["catboost-embeddings"])
    return runs, place / "posts.csv", images


def cold(runs: dict[str, Path], table: Path, images: Path, rounds: int) -> None:
    import pandas as pd

    from engage_cli.encoders._checkpoints import find_checkpoint

    folders = [str(find_checkpoint(side, name).folder) for side, name in (("vision", "dinov2-small"), ("text", "minilm"))]
    post = pd.read_csv(table, dtype=str, keep_default_na=False).iloc[0]
    image = str(images / post["image"])
    for name in ("neural", "catboost"):
        model = next(runs[name].glob("model.*"))
        calls = {
            "bare": [sys.executable, "-c", BARE, *folders, str(model), image, post["title"]],
            "engage": [*ENGAGE, "predict", image, "--title", post["title"], "--run", str(runs[name])],
        }
        seconds: dict[str, list[float]] = {contender: [] for contender in calls}
        for number in range(rounds + 1):  # the first warms the system's own caches
            for contender, call in calls.items():
                taken = timed(lambda call=call: subprocess.run(call, check=True, capture_output=True))
                if number:
                    seconds[contender].append(taken)
        ratios = [ours / theirs for ours, theirs in zip(seconds["engage"], seconds["bare"], strict=True)]
        print(
            f"cold, {name}: bare {min(seconds['bare']):.2f} s, engage {min(seconds['engage']):.2f} s = "
            f"{min(seconds['engage']) / min(seconds['bare']):.2f} x (best), {median(ratios):.2f} x "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def many(run: Path, table: Path, images: Path, num: int, place: Path) -> None:
    from engage_cli.steps.predict.table import predict_table

    forward = bare_forward(table, images, num)
    results = []
    for number in range(3):
        bare = forward()
        ours = timed(lambda number=number: predict_table(table, out=place / f"{number}.csv", images_dir=images, run=run))
        results.append((bare, ours))
        print(
            f"table, {run.name}, {num:,} posts: bare forward {num / bare:.1f} posts/s, engage {num / ours:.1f} = "
            f"{bare / ours:.2f} x",
            flush=True,
        )
    print(f"table, {run.name}: median {median(bare / ours for bare, ours in results):.2f} x", flush=True)


def bare_forward(table: Path, images: Path, num: int) -> Callable[[], float]:
    """Return what runs both towers over tensors that are ready, and says how long it took."""
    import pandas as pd
    import torch

    from engage_cli.encoders._checkpoints import find_checkpoint
    from engage_cli.encoders.text import TextTower
    from engage_cli.encoders.vision import VisionTower
    from engage_cli.images.reader import open_image
    from engage_cli.runtime.devices import PRECISIONS, choose_precision, matmul_precision

    device = torch.device("cpu")
    dtype = PRECISIONS[choose_precision("auto", device)]
    torch.set_float32_matmul_precision(matmul_precision(device))
    posts = pd.read_csv(table, dtype=str, keep_default_na=False).head(num)
    vision = VisionTower(find_checkpoint("vision", "dinov2-small"), dtype)
    text = TextTower(find_checkpoint("text", "minilm"), dtype)
    work: list[tuple[torch.nn.Module, dict[str, torch.Tensor]]] = []
    names = [images / name for name in posts["image"]]
    for start in range(0, len(names), 8):
        files = [path.read_bytes() if path.is_file() else None for path in names[start : start + 8]]
        work.append((vision, vision.prepare([open_image(data, vision.pixels.needed_side)[0] for data in files])))
    ids = sorted(text.tokenize([title or "-" for title in dict.fromkeys(posts["title"])]).ids, key=len, reverse=True)
    work += [(text, text.pad(ids[start : start + 64])) for start in range(0, len(ids), 64)]

    def forward(one: tuple[torch.nn.Module, dict[str, torch.Tensor]]) -> None:
        tower, prepared = one
        with torch.inference_mode():
            tower.pool(tower(**prepared))  # type: ignore[operator]

    cores = os.cpu_count() or 1

    def run(workers: int, threads: int, some: list[tuple[torch.nn.Module, dict[str, torch.Tensor]]]) -> float:
        torch.set_num_threads(threads)
        with ThreadPoolExecutor(workers) as pool:
            return timed(lambda: list(pool.map(forward, some)))

    layouts = ((cores, 1), (1, cores))
    best = min(layouts, key=lambda layout: run(*layout, work[:8]) + run(*layout, work[:16]))
    return lambda: run(*best, work)


ENGAGE = [sys.executable, "-m", "engage_cli"]


def engage(*arguments: object) -> None:
    subprocess.run([*ENGAGE, *map(str, arguments)], check=True, capture_output=True)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
