"""`engage serve` under load, beside `engage predict --table` with the same run, in one go.

Clients ask on kept connections, one post each (a cover, a title), every one as soon as it has its answer. Told are posts a
second, the median and the 99th percentile of what an answer takes, every status, and the memory of both processes. The
table is predicted twice, whole and a fifth of it: the difference is what its rows take without its start. Both are told.

Real posts where ENGAGE_REAL_POSTS names a folder, drawn ones elsewhere; DINOv2-small and MiniLM; the run is
`engage train-gp`, or the one that --run names.

python benchmarks/serve.py [--clients 50] [--seconds 60] [--posts 1500] [--run RUN]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

TRAINED_ON = 600
WARM_UP = 5.0  # seconds in which nothing is counted
BOUNDARY = "engage-benchmark"


@dataclass
class Found:
    seconds: list[float] = field(default_factory=list)  # of each answer
    statuses: Counter = field(default_factory=Counter)
    memory: list[tuple[float, int, int]] = field(default_factory=list)  # second, MiB of the server, of the model process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--posts", type=int, default=1500)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        posts, images = find_posts(place, asked.posts)
        run = asked.run.resolve() if asked.run else train(place, posts, images)
        before = table_rate(place, posts, images, run)
        found = load(run, requests_of(posts, images), asked.clients, asked.seconds)
        after = table_rate(place, posts, images, run)
    show(found, asked.seconds, asked.clients, [before, after])


def find_posts(place: Path, num: int) -> tuple[pd.DataFrame, Path]:
    """Return posts with id, title, image and views, and where their images lie."""
    real = os.environ.get("ENGAGE_REAL_POSTS")
    if real:
        images = Path(real) / "images"
        posts = pd.read_csv(Path(real) / "posts.csv", dtype=str, keep_default_na=False)
        posts = posts.rename(columns={"video_id": "id", "view_count": "views"})
    else:
        engage("sample", place / "sample", "--rows", num)
        images = place / "sample" / "cover"
        posts = pd.read_csv(next((place / "sample").rglob("*item_info*.csv")), dtype=str, keep_default_na=False)
        posts = posts.rename(columns={"item_id": "id", "view_number": "views"})
    posts["image"] = posts["id"] + ".jpg"
    there = [(images / name).is_file() for name in posts["image"]]
    return posts.loc[there, ["id", "title", "image", "views"]].head(num).reset_index(drop=True), images


def train(place: Path, posts: pd.DataFrame, images: Path) -> Path:
    posts.head(TRAINED_ON).to_csv(place / "known.csv", index=False)
    data = ["--data", place / "data"]
    engage("prepare", "--table", place / "known.csv", "--images-dir", images, *data)
    engage("train-gp", "--target", "views", "--run", place / "run", *data)
    return place / "run"


def table_rate(place: Path, posts: pd.DataFrame, images: Path, run: Path) -> tuple[float, float]:
    """Return the rows a second of `engage predict --table`: from its start to its end, and without what its start takes."""
    took = []
    for num in (len(posts) // 5, len(posts)):
        posts.head(num)[["id", "title", "image"]].to_csv(place / "posts.csv", index=False)
        started = time.perf_counter()
        out = place / f"out-{time.monotonic_ns()}.csv"
        engage("predict", "--table", place / "posts.csv", "--images-dir", images, "--run", run, "--out", out)
        took.append(time.perf_counter() - started)
    return len(posts) / took[1], (len(posts) - len(posts) // 5) / (took[1] - took[0])


def requests_of(posts: pd.DataFrame, images: Path) -> list[bytes]:
    found = []
    for title, image in zip(posts["title"], posts["image"], strict=True):
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="titles"\r\n\r\n{title}\r\n'.encode(),
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="images"; filename="{image}"\r\n\r\n'.encode(),
            (images / image).read_bytes(),
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        ]
        body = b"".join(parts)
        head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        found.append(f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + body)
    return found


def load(run: Path, requests: list[bytes], clients: int, seconds: float) -> Found:
    command = [sys.executable, "-m", "engage_cli", "serve", "--run", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
        try:
            return asyncio.run(ask_all(port, server.pid, requests, clients, seconds))
        finally:
            server.send_signal(signal.SIGTERM)


async def ask_all(port: int, server: int, requests: list[bytes], clients: int, seconds: float) -> Found:
    found, turn = Found(), iter(range(10**9))
    counts_from = time.perf_counter() + WARM_UP
    ends = counts_from + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < ends:
            started = time.perf_counter()
            writer.write(requests[next(turn) % len(requests)])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            if counts_from <= started:
                found.seconds.append(time.perf_counter() - started)
                found.statuses[head.split()[1].decode()] += 1
        writer.close()

    async def watch() -> None:
        children = subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True, check=True)
        worker = int(children.stdout.split()[0])
        while time.perf_counter() < ends:
            found.memory.append((time.perf_counter() - counts_from, memory_of(server), memory_of(worker)))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(client() for _ in range(clients)))
    return found


def memory_of(process: int) -> int:
    """Return its resident MiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def show(found: Found, seconds: float, clients: int, table: list[tuple[float, float]]) -> None:
    rate = len(found.seconds) / seconds
    middle, late = np.quantile(found.seconds, [0.5, 0.99])
    print(f"{clients} clients, {seconds:g} s: {rate:.1f} posts/s; {dict(found.statuses)}")
    print(f"an answer takes {middle:.2f} s (median), {late:.2f} s (99th percentile)")
    for what, rates in zip(("in all", "without its start"), zip(*table, strict=True), strict=True):
        told = " and ".join(f"{one:.1f}" for one in rates)
        print(f"predict --table, {what}: {told} rows/s before and after; ratio {rate / np.mean(rates):.2f}")
    for name, column in (("server", 1), ("model process", 2)):
        some = [row[column] for row in found.memory if row[0] >= 0]
        thirds = [np.mean(part) for part in np.array_split(some, 3)]
        print(f"memory of the {name}, MiB: {thirds[0]:.0f}, {thirds[1]:.0f}, {thirds[2]:.0f} (means of thirds of the time)")


def engage(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "engage_cli", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
