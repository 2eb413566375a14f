"""Wrong calls of prepare, folders that are not ours, disks that are full, terminals that are plain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.calls import answer, engage
from tests.good import NUM, TITLES, good_table
from tests.sources import PIXELREC, encoded, picture, pixelrec_folder, write_archive, write_table


def test_the_data_folder_is_never_overwritten_unasked_and_then_only_what_we_wrote(tmp_path: Path) -> None:
    path, data = good_table(tmp_path), tmp_path / "data"
    data.mkdir()
    (data / "mine.txt").write_text("mine")
    call = ["prepare", "--table", path, "--no-images", "--split", "random", "--data", data]
    for more in ([], ["--overwrite"]):
        result = engage(*call, *more)
        assert result.exit_code == 1
        assert "holds other files (mine.txt)" in result.stderr
        assert [entry.name for entry in data.iterdir()] == ["mine.txt"]
    (data / "mine.txt").unlink()
    first = answer(*call)
    (data / "mine.txt").write_text("mine")
    assert "is a finished data folder; give --overwrite" in engage(*call).stderr
    assert answer(*call, "--overwrite", "--seed", 5)["fingerprint"] != first["fingerprint"]
    assert (data / "mine.txt").read_text() == "mine"
    assert "is a file" in engage(*call[:-1], path).stderr


def test_files_of_the_user_that_are_called_like_ours_are_not_touched(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    pd.DataFrame({"id": range(NUM), "views": range(NUM), "title": TITLES}).to_parquet(mine / "posts.parquet")
    (mine / "problems.csv").write_text("mine")
    before = {entry.name: entry.read_bytes() for entry in mine.iterdir()}
    for call, words in (
        (["--table", mine / "posts.parquet", "--data", mine], "lies inside the data folder"),
        (["--table", good_table(tmp_path), "--data", mine], "holds other files (posts.parquet)"),
        (["--table", good_table(tmp_path), "--data", mine, "--overwrite"], "holds other files (posts.parquet)"),
    ):
        result = engage("prepare", *call, "--no-images")
        assert result.exit_code == 1
        assert words in result.stderr
    assert {entry.name: entry.read_bytes() for entry in mine.iterdir()} == before


WRONG_CALLS = [
    (["t.csv", "t.csv"], 2, "t.csv is named twice"),
    (
        ["--table", "t.csv", "--format", "nonsense"],
        2,
        "unknown format 'nonsense'; give one of: pixelrec, microlens, smpd, table",
    ),
    (["--table", "."], 1, ". is a folder; name the table in it"),
    (["--microlens-dir", "t.csv"], 1, "t.csv is a file; name its folder"),
    (["--table", "t.csv", "--map", "views=views,views=likes"], 2, "'views' is given twice: views and likes"),
    (["--table", "t.csv", "--map", "note=views"], 2, "--map note=views is the wrong way round; write --map views=note"),
    (["--table", "t.csv", "--map", "views=views,likes=views"], 2, "--map names one column of the table twice"),
    (
        ["--table", "t.csv", "--split", "file", "--split-from", "parts.csv"],
        2,
        "--split-from parts.csv: no such file, and t.csv has no such column",
    ),
    (["--table", "t.csv", "--split", "file"], 2, "--split file and --split-from FILE or COLUMN belong together"),
    (
        ["--table", "t.csv", "--split", "file", "--split-from", "strangers.csv"],
        1,
        "none of its ids belongs to a post ('x1' there, 'p0' here)",
    ),
    (["--table", "t.csv", "--images-dir", "nowhere.zip"], 1, "no such image folder: nowhere.zip"),
    (["--table", "t.csv", "--images-dir", "t.csv"], 1, "t.csv is neither a folder of images nor an archive"),
    (["--table", "t.csv", "--images-dir", "a", "--images-dir", "b"], 2, "2 --images-dir for 1 sources"),
    (["--table", "t.csv", "--keep", "likes"], 2, "--keep likes: that is a counter, known only after publication"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), WRONG_CALLS, ids=lambda value: str(value)[:50])
def test_wrong_calls_of_prepare(
    arguments: list[str], code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "t.csv", NUM, likes=lambda n: n, note=lambda n: f"n{n}")
    (tmp_path / "strangers.csv").write_text("id,split\n x1 ,train\nx2,test\n")
    images = [] if "--images-dir" in arguments else ["--no-images"]
    result = engage("prepare", *arguments, *images)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_parts_are_found_by_ids_with_spaces_and_in_a_column_that_is_ours_too(tmp_path: Path) -> None:
    parts = ["train"] * 30 + ["validation"] * 5 + ["test"] * 5
    path = write_table(tmp_path / "t.csv", NUM, tags=parts, title=lambda n: TITLES[n])
    (tmp_path / "parts.csv").write_text("id,split\n" + "".join(f" p{n} , {part}\n" for n, part in enumerate(parts)))
    for given in ("tags", tmp_path / "parts.csv"):
        call = [
            "prepare",
            "--table",
            path,
            "--no-images",
            "--split",
            "file",
            "--split-from",
            given,
            "--data",
            tmp_path / "data",
        ]
        assert answer(*call, "--overwrite")["split"]["rows"] == {"train": 30, "validation": 5, "test": 5}


def test_texts_cannot_move_the_terminal_and_a_plain_terminal_is_no_error(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", NUM, title=lambda n: f"\x1b[31mred\u202e {TITLES[n]}", mood=lambda n: "\x1b[2J")
    result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout + result.stderr
    assert "\u202e" not in result.stdout
    command = [sys.executable, "-m", "engage_cli", "prepare", "--table", path, "--no-images", "--data", tmp_path / "other"]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    bad = path.read_text().replace('"p3"', '"p4\n\x1b[31m"').replace('"p5"', '"p4\n\x1b[31m"')
    path.write_text(bad)
    refused = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "third")
    assert "belong to several different posts" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "\x1b" not in refused.stderr


FULL_DISK = """
set -e
mount -t tmpfs -o size={size} none {folder}
{python} -m engage_cli prepare --table {table} --no-images --data {folder}/data || code=$?
ls -A {folder}/data >&2
exit ${{code:-0}}
"""


def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    rng = np.random.default_rng(0)
    path = write_table(tmp_path / "posts.csv", 2000, title=lambda n: rng.bytes(100).hex())
    (tmp_path / "small").mkdir()
    script = FULL_DISK.format(size="128k", folder=tmp_path / "small", python=sys.executable, table=path)
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    message = [line for line in done.stderr.splitlines() if line.startswith("engage:")]
    assert len(message) == 1
    assert "No space left on device" in message[0]
    assert "posts.parquet" in message[0]
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-2:] == [".engage", ".lock"]  # nothing else lies in the folder
    assert done.stdout == ""


def test_a_data_folder_inside_its_source_is_no_source(tmp_path: Path) -> None:
    """As by `cd PixelRec; engage prepare --pixelrec-dir .`, twice: unpacked covers are not taken for the source's."""
    header = PIXELREC.split("\n", 1)[0]
    rows = [f"i{n},{n},1,2,3,4,5,6,{TITLES[n]},food,text" for n in range(NUM)]
    folder = pixelrec_folder(tmp_path / "p", "\n".join([header, *rows]))
    (folder / "covers").rmdir()
    write_archive(folder / "cover.tar.gz", {f"cover/i{n}.jpg": encoded(picture(n)) for n in range(NUM)})
    call = ["prepare", "--pixelrec-dir", folder, "--data", folder / "data"]
    first = answer(*call)
    (folder / "data" / "dataset.json").unlink()  # as after a kill
    assert answer(*call)["fingerprint"] == first["fingerprint"]
    assert answer(*call, "--overwrite")["fingerprint"] == first["fingerprint"]


def test_progress_without_a_place_for_it_is_not_among_the_answers(tmp_path: Path) -> None:
    path = good_table(tmp_path)
    call = f"{sys.executable} -m engage_cli prepare --table {path} --no-images --data {tmp_path / 'data'} --json 2>&-"
    done = subprocess.run(["sh", "-c", call], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["rows"]["kept"] == NUM
