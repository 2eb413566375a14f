"""What the commands read: tiny encoders, two folders of posts, one with packed covers, and a table of posts to come."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from engage_cli.steps.sample import write_sample
from tests.tiny import make_checkpoint

ROWS = 40


def make_inputs(folder: Path) -> None:
    folder.mkdir(parents=True)
    for family in ("vit", "bert"):
        make_checkpoint(family, folder / family)
    write_sample(folder / "packed", rows=ROWS, seed=3)
    shutil.copytree(folder / "packed" / "cover", folder / "covers")
    with tarfile.open(folder / "packed" / "cover.tar.gz", "w:gz") as tar:
        tar.add(folder / "packed" / "cover", "cover")
    shutil.rmtree(folder / "packed" / "cover")
    write_sample(folder / "other", rows=ROWS, seed=4)
    rows = "".join(f"i{number}.jpg,a cat and a pizza {number},food\n" for number in range(18))
    (folder / "posts.csv").write_text("image,title,tags\n" + rows)
