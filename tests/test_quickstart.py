"""One command from posts to a report: each step shown, none done twice, other posts refused."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.errors import EngageError
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.quickstart import quickstart
from tests.calls import engage


@pytest.fixture
def posts(pixelrec: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A table with names of its own, and its folder of images."""
    raw = list(csv.DictReader(next(pixelrec.rglob("*.csv")).open(encoding="utf-8", newline="")))[:90]
    images = tmp_path / "images"
    shutil.copytree(pixelrec / "cover", images)
    with (tmp_path / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "title", "view_count", "image"])
        writer.writeheader()
        writer.writerows(
            {
                "id": row["item_id"],
                "title": row["title"],
                "view_count": row["view_number"],
                "image": f"{row['item_id']}.jpg",
            }
            for row in raw
        )
    return tmp_path / "posts.csv", images


@pytest.mark.usefixtures("few_steps", "few_trees")
def test_each_step_is_shown_and_done_once(posts: tuple[Path, Path], encoders: EncoderConfig, tmp_path: Path) -> None:
    folder, told = tmp_path / "first post", []

    def call() -> Path:
        told.clear()
        started = quickstart(
            posts[0], folder=folder, images=posts[1], encoders=encoders, tell=told.append, reporter=SilentReporter()
        )
        assert started.run.target.name == "views"
        return started.report

    report = call()
    assert report == folder / "runs" / "views" / "report.html"
    assert [line.split()[1] for line in told] == ["prepare", "embed", "train", "evaluate"]
    shown = engage("quickstart", posts[0], "--images-dir", posts[1], "--folder", folder, "--no-serve", "--target", "likes")
    assert "with another --target; name a new folder" in shown.stderr
    assert told[2] == f"engage train --target views --data '{folder / 'data'}' --run '{folder / 'runs' / 'views'}'"
    made = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".cbm", ".safetensors", ".parquet")
    }
    assert len(made) > 4
    report.unlink()
    assert call().is_file()
    assert {path: path.stat().st_mtime_ns for path in made} == made  # nothing was trained or embedded again
    with pytest.raises(
        EngageError,
        match=re.escape(f"{folder} holds a quickstart of the same posts with another --images-dir; name a new folder"),
    ):
        quickstart(posts[0], folder=folder, encoders=encoders, tell=told.append, reporter=SilentReporter())


def test_a_folder_of_others_is_left_alone(posts: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    said = engage("quickstart", posts[0], "--folder", tmp_path / "mine", "--no-serve")
    assert (said.exit_code, said.stdout) == (1, "")
    assert "holds other files (notes.txt)" in said.stderr
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["notes.txt"]
    missing = engage("quickstart", tmp_path / "none.csv", "--folder", tmp_path / "new", "--no-serve")
    assert missing.exit_code == 1
    assert "no such file or folder" in missing.stderr
    assert not (tmp_path / "new").exists()
    wrong = engage("quickstart", posts[0], "--map", "likes=none", "--folder", tmp_path / "new", "--no-serve")
    assert "--map likes=none: " in wrong.stderr  # a first call that failed does not hold the folder
