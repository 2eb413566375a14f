"""`fit_process` on more posts than it keeps: seconds, and this process's peak memory.

Titles are those of ENGAGE_REAL_POSTS (else of `engage sample`), again and again, each with three words of others behind it;
vectors are drawn. Each number of posts is fitted in a process of its own.

python benchmarks/process.py [--posts 8000 16000]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.embeddings.store import Block
from engage_cli.models.gaussian_process.inputs import KernelInputsMaker
from engage_cli.models.gaussian_process.process import fit_process
from engage_cli.steps.sample import write_sample

WIDTHS = dict.fromkeys(("image", "text"), (384,) * 4)


class Drawn:
    """Vectors that are drawn anew for the same posts, so that none need be kept."""

    def blocks(self, posts: pd.DataFrame, names: Sequence[str]) -> dict[str, Block]:
        drawn = np.random.default_rng((len(posts), int(posts["id"].iloc[0]))).standard_normal(
            (len(posts), 1_536), np.float32
        )
        return {name: Block(drawn[:, None], np.ones((len(posts), 1), bool), drawn) for name in names}


def read_titles() -> list[str]:
    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        return pd.read_csv(Path(real) / "posts.csv")["title"].astype(str).tolist()
    with tempfile.TemporaryDirectory() as name:
        write_sample(Path(name) / "sample", rows=2_000, with_images=False)
        return pd.concat(pd.read_csv(path) for path in Path(name).rglob("*.csv"))["title"].astype(str).tolist()


def measure(num: int) -> None:
    rng, titles = np.random.default_rng(0), read_titles()
    words = [word for title in titles for word in title.split()]
    rows, behind = rng.integers(0, len(titles), num), rng.integers(0, len(words), (num, 3))
    mixed = [" ".join([titles[row], *(words[place] for place in places)]) for row, places in zip(rows, behind, strict=True)]
    posts = pd.DataFrame({"id": np.arange(num).astype(str), "title": mixed, "tags": "", "description": ""})
    start = time.perf_counter()
    views = KernelInputsMaker().fit(posts, Drawn(), WIDTHS).later(posts, Drawn())
    fit_process(views, rng.standard_normal(num))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{num:>8,} posts {time.perf_counter() - start:>8.0f} s {peak:>6.1f} GB at most", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, nargs="+", default=[8_000, 16_000])
    asked = parser.parse_args()
    if len(asked.posts) == 1:
        measure(asked.posts[0])
        return
    for num in asked.posts:
        subprocess.run([sys.executable, __file__, "--posts", str(num)], check=True)


if __name__ == "__main__":
    main()
