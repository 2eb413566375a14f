"""What prepare and quickstart say of rows, columns and images, by value."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.data.row_counts import say_counts
from engage_cli.steps.quickstart import FEW, MANY, STEPS, _say_time
from tests.calls import engage


@pytest.fixture
def posts(pixelrec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of 60 posts in the working folder: 57 with an image, 58 with views, 2 with tags."""
    monkeypatch.chdir(tmp_path)
    raw = list(csv.DictReader(next(pixelrec.rglob("*.csv")).open(encoding="utf-8", newline="")))[:60]
    Path("images").mkdir()
    some = sorted((pixelrec / "cover").glob("*.jpg"))[:57]
    with Path("posts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "tags", "views"])
        for number in range(60):
            views = "unknown" if number in (3, 4) else str(100 + number)
            writer.writerow([f"p{number}", raw[number]["title"] or "A title", "food" if number < 2 else "", views])
            if number < 57:
                shutil.copy(some[number % len(some)], f"images/p{number}.jpg")
    return Path("posts.csv")


def test_a_dry_run_tells_of_images_of_nearly_empty_columns_and_of_the_target(posts: Path) -> None:
    result = engage("prepare", posts, "--images-dir", "images", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "images: found for 57 of 60 posts in images" in result.stdout
    assert "  tags: food; food (filled in 2 of 60 rows, nearly empty)" in result.stdout
    assert "(readable in 58 of 60 rows)" in result.stdout
    assert not Path("data").exists()
    (source,) = json.loads(engage("prepare", posts, "--images-dir", "images", "--dry-run", "--json").stdout)["sources"]
    assert {field["name"]: (field["filled"], field["rows"]) for field in source["fields"]} == {
        "id": (60, 60), "title": (60, 60), "tags": (2, 60), "views": (58, 60),
    }  # fmt: skip
    without = engage("prepare", posts, "--dry-run")
    assert "images: no folder of images; name it with --images-dir, or give --no-images" in without.stdout


def test_the_counts_add_up_from_rows_to_parts(posts: Path) -> None:
    result = engage("prepare", posts, "--no-images")
    assert result.exit_code == 0, result.stderr
    meta = load_dataset(Path("data")).meta
    line = say_counts(meta)
    assert line.startswith("60 rows read, 58 kept (2 left out: every counter missing): ")
    assert f"{line}." in result.stdout.splitlines()
    split = meta.split.rows
    assert f"{split.train} to train on, {split.validation} to tune with (validation), {split.test} to test on" in line
    assert split.train + split.validation + split.test + meta.split.unused == 58


def test_a_quickstart_says_what_comes_and_roughly_how_long() -> None:
    assert [line.strip().partition(":")[0] for line in STEPS[1:]] == ["prepare", "embed", "train", "evaluate"]
    assert "a few minutes" in _say_time(FEW)
    assert "half an hour" in _say_time(MANY)
    assert "an hour or more" in _say_time(MANY + 1)
