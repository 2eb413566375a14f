"""A good table of 40 posts, which the tests of bad input spoil in one place."""

from __future__ import annotations

from pathlib import Path

from tests.calls import answer

NUM = 40
HEADER = "id,views,title,date\n"
TITLES = [f"title {n * 17 % 41}" for n in range(NUM)]  # in an order that tells nothing of the views
ROWS = [f"p{n},{n * 3 + 1},{TITLES[n]},2021-01-{n % 28 + 1:02d}\n" for n in range(NUM)]


def prepare(path: Path, *more: object) -> dict:
    return answer("prepare", "--table", path, "--no-images", "--split", "random", "--data", path.parent / "data", *more)


def good_table(tmp_path: Path, row: int | None = None, cells: str = "", header: str = HEADER) -> Path:
    """A table of 40 good rows, one of them replaced."""
    rows = list(ROWS)
    if row is not None:
        rows[row - 1] = cells
    path = tmp_path / "posts.csv"
    path.write_text(header + "".join(rows), encoding="utf-8", newline="")
    return path
