"""`engage prepare` beside the least that one could do, in one run.

1. A table of 400,000 posts without images: the whole command, beside a Python that does pandas.read_csv and to_parquet of
   the same file; and the step alone, beside those two calls alone. Peak memory of the command.
2. 6,000 images (real ones where ENGAGE_REAL_POSTS names a folder, drawn ones elsewhere): checked by their headers, decoded
   for their perceptual hash, decoded whole, beside reading the files; and the search for near pairs among 400,000 hashes.

Best of three, interleaved. Files lie in the page cache, so that reading them costs next to nothing.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.preparation import PrepareConfig
from engage_cli.images.check import LEVELS
from engage_cli.images.phash import near_pairs
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare._check_images import check_all
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.sample import COVERS, TABLE, write_sample

ROWS, IMAGES, REPEATS = 400_000, 6_000, 3
PANDAS = "import sys, pandas; pandas.read_csv(sys.argv[1]).to_parquet(sys.argv[2])"


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least time of each, taken in turns."""
    times = {name: float("inf") for name in works}
    for _ in range(REPEATS):
        for name, work in works.items():
            times[name] = min(times[name], seconds(work))
    return times


def run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def bench_table(place: Path) -> None:
    write_sample(place / "sample", rows=ROWS, with_images=False)
    table, data = place / "sample" / TABLE, place / "data"
    command = (
        sys.executable,
        "-m",
        "engage_cli",
        "prepare",
        "--pixelrec-dir",
        place / "sample",
        "--no-images",
        "--overwrite",
    )
    times = best(
        {
            "python -c 'read_csv, to_parquet'": lambda: run(sys.executable, "-c", PANDAS, table, place / "x.parquet"),
            "engage prepare": lambda: run(*command, "--data", data),
        }
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"{ROWS:,} posts without images, whole commands (peak memory {peak:.2f} GiB)")
    show(times)
    source = [Source(path=place / "sample", format="pixelrec")]
    times = best(
        {
            "read_csv, to_parquet": lambda: pd.read_csv(table).to_parquet(place / "x.parquet"),
            "the step alone": lambda: prepare(
                PrepareConfig(), folder=data, sources=source, with_images=False, overwrite=True
            ),
        }
    )
    print(f"{ROWS:,} posts without images, imports done before")
    show(times)


def bench_images(place: Path) -> None:
    real = os.environ.get("ENGAGE_REAL_POSTS")
    if not real:
        write_sample(place / "drawn", rows=IMAGES, with_images=True)
    folder = (Path(real) / "images" if real else place / "drawn" / COVERS).resolve()
    names = sorted(path.name for path in folder.glob("*.jpg"))[:IMAGES]

    def check(level: str) -> None:
        shutil.rmtree(place / "checked", ignore_errors=True)
        check_all(names, folder, level=level, folder=place / "checked", title="", reporter=SilentReporter())

    works: dict[str, Callable[[], object]] = {"read the files": lambda: [(folder / name).read_bytes() for name in names]}
    times = best(works | {f"level {level}": lambda level=level: check(level) for level in LEVELS})
    print(f"{len(names):,} {'real' if real else 'drawn'} images, {os.cpu_count()} cores")
    show(times)


def bench_pairs() -> None:
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32) for _ in range(ROWS)]
    print(f"near pairs among {ROWS:,} hashes: {seconds(lambda: near_pairs(hashes)):.1f} s\n")


def show(times: dict[str, float]) -> None:
    floor = next(iter(times.values()))
    for name, value in times.items():
        print(f"  {name:<34}{value:7.2f} s  {value / floor:6.2f} x")
    print()


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        bench_table(Path(place))
        bench_images(Path(place))
        bench_pairs()


if __name__ == "__main__":
    main()
