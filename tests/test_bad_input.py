"""Whatever is in the files, prepare reads it right or says in a sentence where it is wrong. Nothing is lost in silence."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engage_cli.core.dataset import load_dataset
from engage_cli.core.images import decode
from tests.calls import answer, engage
from tests.sources import encoded, picture, write_table
from tests.test_images import bomb

NUM = 40
HEADER = "id,views,title,date\n"
TITLES = [f"title {n * 17 % 41}" for n in range(NUM)]  # in an order that tells nothing of the views
ROWS = [f"p{n},{n * 3 + 1},{TITLES[n]},2021-01-{n % 28 + 1:02d}\n" for n in range(NUM)]


def prepare(path: Path, *more: object) -> dict:
    return answer("prepare", "--table", path, "--no-images", "--split", "random", "--data", path.parent / "data", *more)


def table(tmp_path: Path, row: int | None = None, cells: str = "", header: str = HEADER) -> Path:
    """A table of 40 good rows, one of them replaced."""
    rows = list(ROWS)
    if row is not None:
        rows[row - 1] = cells
    path = tmp_path / "posts.csv"
    path.write_text(header + "".join(rows), encoding="utf-8", newline="")
    return path


# A row (1-based) that is put into a good table -> the sentence that names it.
BROKEN = [
    ("too long", "p4,5,t,2021-01-01,more\n", "posts.csv, row 5: 5 fields where the header has 4: 'p4,5,t,2021-01-01,more'"),
    ("too short", "p4,5\n", "posts.csv, row 5: 2 fields where the header has 4: 'p4,5'"),
    ("quote never closed", 'p4,5,"open,2021-01-01\n', "posts.csv, row 5: 3 fields where the header has 4"),
    (
        "quote closed much later",
        'p4,5,"open,2021-01-01\np5,6,t,2021-01-01\np6,7,t",2021-01-01\n',
        "row 5: the cell of 'title' holds whole rows",
    ),
    (
        "quote closed by the quoted cell of the next row",
        'p4,5,"open,2021-01-01\np5,6,"t",2021-01-01\n',
        "row 5: the cell of 'title' runs into the next rows, as 'open,2021-01-01",
    ),
    (
        "quote closed later, over a counter that is shortened",
        'p4,5,"open,2021-01-01\np5,1.2K,t,2021-01-01\np6,7,t",2021-01-01\n',
        "row 5: the cell of 'title' holds whole rows, as 'p5,1.2K,t,2021-01-01'",
    ),
    (
        "quote closed later, over an empty counter",
        'p4,5,"open,2021-01-01\np5,,t,2021-01-01\np6,7,t",2021-01-01\n',
        "row 5: the cell of 'title' holds whole rows, as 'p5,,t,2021-01-01'",
    ),
    ("no id", ",5,t,2021-01-01\n", "posts.csv, row 5: the id (column 'id') is empty"),
    (
        "id of another post",
        "p3,999,t,2021-01-01\n",
        "1 ids stand for several different posts: 'p3' (rows 4 and 5); make ids unique",
    ),
]


@pytest.mark.parametrize(("name", "cells", "sentence"), BROKEN, ids=[one[0] for one in BROKEN])
def test_a_row_that_cannot_be_read_stops_with_its_number(name: str, cells: str, sentence: str, tmp_path: Path) -> None:
    path = table(tmp_path, 5, cells)
    result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_rows_that_may_be_prose_are_a_warning(tmp_path: Path) -> None:
    """With few columns a line like "eggs,6" is no proof; but it is said."""
    rows = [f"title {n * 17 % 41},{n}\n" for n in range(NUM)]
    rows[4] = '"my recipe\neggs,6\nmilk",7\n'
    (tmp_path / "posts.csv").write_text("title,views\n" + "".join(rows))
    found = prepare(tmp_path / "posts.csv")
    assert found["rows"]["kept"] == NUM
    assert any("row 5: the cell of 'title' holds whole rows, as 'eggs,6'" in warning for warning in found["warnings"])


def test_a_quote_open_at_the_end_of_the_file(tmp_path: Path) -> None:
    for last in ('p39,5,"open', 'p39,5,t,"', 'p39,5,t,"say ""hi""\n'):
        path = table(tmp_path, NUM, last)
        result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
        assert result.exit_code == 1
        assert "row 40" in result.stderr
        assert "never closed" in result.stderr
    closed = table(tmp_path, NUM, 'p39,5,t,"2021-01-01\n"\n')
    assert prepare(closed)["rows"]["kept"] == NUM


# A cell, in row 5 of a good table -> (column, what prepare makes of it, words of the warning).
CELLS = [
    ("views", "-5", np.nan, "1 cells are no counter and count as missing (first in row 5: '-5')"),
    ("views", "many", np.nan, "(first in row 5: 'many')"),
    ("views", "0,5", np.nan, "(first in row 5: '0,5')"),
    ("views", "n/a", np.nan, ""),
    ("views", "1e308", np.nan, "1 cells are no counter and count as missing (first in row 5: '1e308')"),
    ("views", "99999999999999999999999999", np.nan, "(first in row 5: '99999999999999999999999999')"),
    ("views", "3.5", 3.5, "1 cells are fractional and stay as they are (first in row 5: '3.5')"),
    ("views", "1,234", 1234.0, ""),
    ("views", "1.2K", 1200.0, ""),
    ("date", "someday", pd.NaT, "1 cells are no date and count as missing (first in row 5: 'someday')"),
    ("date", "2031-01-01", pd.NaT, "1 cells are dates in the future and count as missing (first in row 5: '2031-01-01')"),
    ("date", "10:30", pd.NaT, "1 cells are no date and count as missing (first in row 5: '10:30')"),
    ("date", "now", pd.NaT, "1 cells are no date and count as missing (first in row 5: 'now')"),
    ("date", "9999-12-31", pd.NaT, "1 cells are dates in the future"),
    ("date", "0001-01-01", pd.Timestamp("0001-01-01", tz="UTC"), ""),
    ("date", "1612137600000000", pd.Timestamp("2021-02-01", tz="UTC"), ""),
    ("date", "90000000000", pd.NaT, "1 cells are dates in the future"),
    ("date", "1612137600", pd.Timestamp("2021-02-01", tz="UTC"), ""),
    ("date", "March 3, 2021", pd.Timestamp("2021-03-03", tz="UTC"), ""),
    ("title", "NA", "NA", ""),
    ("title", "x" * 1_000_000, "x" * 1_000_000, ""),
    ("title", "שלום עולם", "שלום עולם", ""),
    ("title", "👩‍👩‍👧 zero\u200bwidth", "👩‍👩‍👧 zero\u200bwidth", ""),
    ("title", "a\0b", "ab", "1 NUL bytes were dropped"),
    ("title", "a\rb", "a b", "1 carriage returns inside fields became spaces"),
    ("id", "-p4", "-p4", ""),
    ("id", "0004", "0004", ""),
]


@pytest.mark.parametrize(("column", "cell", "value", "warning"), CELLS, ids=lambda value: str(value)[:20])
def test_a_cell_is_read_or_counted_and_no_row_shifts(
    column: str, cell: str, value: object, warning: str, tmp_path: Path
) -> None:
    cells = {"id": "p4", "views": "13", "title": TITLES[4], "date": "2021-01-05", "likes": "7"} | {column: cell}
    rows = [*csv.reader(ROWS)]
    rows = [[*row, "7"] for row in rows]
    rows[4] = list(cells.values())
    path = tmp_path / "posts.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["id", "views", "title", "date", "likes"], *rows])
    if "\r" in cell:  # a bare carriage return without quotes, as some writers leave it
        path.write_bytes(path.read_bytes().replace(b'"a\rb"', b"a\rb"))
    found = prepare(path)
    assert found["rows"]["kept"] == NUM
    posts = load_dataset(tmp_path / "data").posts
    name = "posted_at" if column == "date" else column
    got = posts[name].iloc[4]
    assert got == value or (pd.isna(got) and pd.isna(value))
    others = posts.drop(index=4)
    assert others["views"].tolist() == [n * 3 + 1 for n in range(NUM) if n != 4]
    assert others["title"].tolist() == TITLES[:4] + TITLES[5:]
    warnings = [line for line in found["warnings"] if not line.startswith(("target", "no column"))]
    assert (warning in warnings[0] and len(warnings) == 1) if warning else not warnings
    if "first in row" in warning:
        problem = list(csv.DictReader((tmp_path / "data" / "problems.csv").open(encoding="utf-8")))
        assert [(row["source"], row["row"], row["id"]) for row in problem] == [("posts.csv", "5", "p4")]


ENCODINGS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "byte order mark": (lambda text: text.encode("utf-8-sig"), ""),
    "utf-16": (lambda text: text.encode("utf-16"), "is UTF-16 and was read so"),
    "semicolons": (lambda text: text.replace(",", ";").encode(), "is divided by semicolons and was read so"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "is divided by tabs and was read so"),
    "windows line ends": (lambda text: text.replace("\n", "\r\n").encode(), ""),
    "old mac line ends": (lambda text: text.replace("\n", "\r").encode(), ""),
    "excel's first line": (lambda text: b"sep=;\n" + text.replace(",", ";").encode(), ""),
    "blank lines": (lambda text: ("\n" + text.replace("\n", "\n\n")).encode(), ""),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_files_of_other_programs_are_read(name: str, tmp_path: Path) -> None:
    encode, warning = ENCODINGS[name]
    path = table(tmp_path)
    path.write_bytes(encode(path.read_text()))
    found = prepare(path)
    posts = load_dataset(tmp_path / "data").posts
    assert posts["title"].tolist() == TITLES
    assert posts["views"].tolist() == [n * 3 + 1 for n in range(NUM)]
    assert (warning in " ".join(found["warnings"])) if warning else not any("posts.csv" in w for w in found["warnings"])


FILES: dict[str, tuple[bytes, str]] = {
    "latin-1": (
        HEADER.encode() + "".join(ROWS).encode() + "x,1,é,\n".encode("latin-1"),
        "posts.csv, line 42: not UTF-8 (byte 0xe9",
    ),
    "empty": (b"", "posts.csv is empty"),
    "blank": (b"\n\n", "posts.csv is empty"),
    "header only": (HEADER.encode(), "has a header but no rows"),
    "no counter": (
        b"id,title\na,b\n",
        "has no counter (views, likes, ...) that could be found by name; it has the columns: id, title",
    ),
    "one column": (b"text\nhello\n", "has no counter"),
    "two columns of one name": (b"id,views,views\na,1,2\n", "two columns are called 'views'"),
    "one row": (
        HEADER.encode() + ROWS[0].encode(),
        "--split random leaves no post for validation: there are 1 posts; give more posts",
    ),
    "no date at all": (b"id,views,date\na,3,soon\n", "column 'date', row 1: 'soon' is no date, like 1 of 1 cells"),
    "no outcome at all": (b"id,views\na,\nb,n/a\n", "no usable post in posts.csv: 2 every counter missing"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_used_are_one_sentence(name: str, tmp_path: Path) -> None:
    data, sentence = FILES[name]
    (tmp_path / "posts.csv").write_bytes(data)
    result = engage("prepare", "--table", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data" / "dataset.json").exists()


def test_equal_counters_and_identical_rows_are_said(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, views=lambda n: 7)
    path.write_text(path.read_text() + '"p3","7","title number 3"\n')
    found = prepare(path)
    assert found["rows"]["left_out"] == {"the same row again": 1}
    assert "target views: every post has the same score, so there is nothing to learn" in found["warnings"]


def test_one_author_only(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, author=lambda n: "me", date=lambda n: f"2021-01-{n % 28 + 1:02d}")
    assert "relative" in prepare(path)["targets"]
    result = engage("prepare", "--table", path, "--no-images", "--split", "author", "--data", tmp_path / "other")
    assert result.exit_code == 1
    assert "--split author needs 3 authors or more; the data has 1" in result.stderr


def _as_16_bit() -> bytes:
    return encoded(Image.fromarray(np.asarray(picture(9).convert("L")).astype(np.uint16) * 257), "PNG")


def _animated() -> bytes:
    return encoded(picture(8), "GIF", save_all=True, append_images=[picture(7)])


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(6), exif=exif)


# A file -> why it gives no picture, or "" where it gives one.
IMAGES: dict[str, tuple[bytes, str]] = {
    "bomb.png": (bomb(), "too many pixels"),
    "truncated.jpg": (encoded(picture(1), quality=95)[:2000], "truncated"),
    "text.jpg": (b"no picture", "not an image"),
    "empty.jpg": (b"", "empty file"),
    "cmyk.jpg": (encoded(picture(2).convert("CMYK")), ""),
    "palette.png": (encoded(picture(3).convert("P"), "PNG"), ""),
    "16-bit.png": (_as_16_bit(), ""),
    "animated.gif": (_animated(), ""),
    "turned.jpg": (_turned(), ""),
    "-dash.jpg": (encoded(picture(4)), ""),
    "../outside.jpg": (encoded(picture(5)), "path leaves the image folder"),
    "link.jpg": (b"", "path leaves the image folder"),
    "circle.jpg": (b"", "a link that leads nowhere"),
    "missing.jpg": (b"", "no such file"),
    "": (b"", "no image named"),
}


@pytest.mark.parametrize("level", [[], ["--verify-images"], ["--no-dedupe"]])
def test_images_of_every_kind_and_the_rows_after_them(level: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    names = list(IMAGES) + [f"good{n}.jpg" for n in range(NUM - len(IMAGES))]
    for name, (data, _) in IMAGES.items():
        if name and name not in ("missing.jpg", "link.jpg", "circle.jpg"):
            (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    for number, name in enumerate(names[len(IMAGES) :]):
        (folder / name).write_bytes(encoded(picture(100 + number)))
    names[3] = str(tmp_path / "outside.jpg")  # an absolute path, in place of the empty file
    path = write_table(tmp_path / "posts.csv", NUM, image=names)
    found = answer("prepare", "--table", path, "--images-dir", folder, "--data", tmp_path / "data", *level)
    posts = load_dataset(tmp_path / "data").posts
    expected = [IMAGES[name][1] if name in IMAGES else "" for name in names]
    expected[3] = "path leaves the image folder"
    if level == ["--no-dedupe"]:  # headers alone: a file that ends early is found when it is embedded
        expected[names.index("truncated.jpg")] = ""
    assert posts["image_problem"].tolist() == expected
    assert found["image_problems"]["path leaves the image folder"] == 3
    problems = list(csv.DictReader((tmp_path / "data" / "problems.csv").open()))
    assert [(row["row"], row["problem"]) for row in problems] == [
        (str(n + 1), f"image: {reason}") for n, reason in enumerate(expected) if reason
    ]


def test_a_16_bit_picture_is_not_white() -> None:
    assert 40 < np.asarray(decode(_as_16_bit())).mean() < 215


def test_the_data_folder_is_never_overwritten_unasked_and_then_only_what_we_wrote(tmp_path: Path) -> None:
    path, data = table(tmp_path), tmp_path / "data"
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
        (["--table", mine / "posts.parquet", "--data", mine], "lies in"),
        (["--table", table(tmp_path), "--data", mine], "holds other files (posts.parquet)"),
        (["--table", table(tmp_path), "--data", mine, "--overwrite"], "holds other files (posts.parquet)"),
    ):
        result = engage("prepare", *call, "--no-images")
        assert result.exit_code == 1
        assert words in result.stderr
    assert {entry.name: entry.read_bytes() for entry in mine.iterdir()} == before


def test_parquet_keeps_large_integers_and_the_index(tmp_path: Path) -> None:
    ids = [7_000_000_000_000_000_000 + n for n in range(NUM)]
    frame = pd.DataFrame(
        {
            "views": pd.array([*range(NUM - 1), None], "Int64"),
            "author": pd.array([None, *ids[1:]], "Int64"),
            "title": TITLES,
            "odd": [{"a": [pd.Timestamp("2021-01-01")]}] * NUM,
            "huge": [1e19] * NUM,
        },
        index=pd.Index(ids, name="id"),
    )
    frame.drop(index=ids[3]).to_parquet(tmp_path / "posts.parquet")
    found = prepare(tmp_path / "posts.parquet", "--keep", "huge")
    posts = load_dataset(tmp_path / "data").posts
    assert posts["id"].tolist() == [str(id) for n, id in enumerate(ids) if n not in (3, NUM - 1)]
    assert posts["author"].tolist()[:2] == ["", str(ids[1])]
    assert found["rows"]["left_out"] == {"every counter missing": 1}


JSONL = {
    "a number of thousands of digits": (
        '{"id": 1, "views": ' + "9" * 5000 + "}",
        "posts.jsonl, line 1: a number of thousands of digits",
    ),
    "nested lists": ('{"id": 1, "views": 2, "tags": ' + "[" * 800 + "]" * 800 + "}", ""),
    "nested beyond measure": ('{"id": 1, "views": 2, "tags": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deep"),
    "half a character in a key": ('{"id": 1, "views": 2, "\\ud800": {"\\udfff": "\\ud800"}}', ""),
    "no object": ("[1, 2]", "posts.jsonl, line 1: a JSON object is expected"),
}


@pytest.mark.parametrize("name", JSONL)
def test_odd_json(name: str, tmp_path: Path) -> None:
    line, sentence = JSONL[name]
    others = [json.dumps({"id": f"p{n}", "views": n, "title": title}) for n, title in enumerate(TITLES)]
    (tmp_path / "posts.jsonl").write_text("\n".join([line, *others]))
    result = engage("prepare", "--table", tmp_path / "posts.jsonl", "--no-images", "--data", tmp_path / "data")
    assert "Traceback" not in result.stderr
    assert not isinstance(result.exception, (UnicodeError, RecursionError, ValueError)), result.exception
    if sentence:
        assert result.exit_code == 1
        assert sentence in result.stderr


def test_columns_that_are_empty_count_as_absent(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, likes=lambda n: n % 5, shares=lambda n: "", title=lambda n: TITLES[n])
    found = prepare(path)
    assert "column 'shares' has no usable cell and counts as absent" in found["warnings"]
    assert {"popularity", "engagement", "composite", "rate"} < set(found["targets"])


def test_a_kept_cell_that_is_no_number_is_counted(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, age=lambda n: "unknown" if n == 7 else n % 9, title=lambda n: TITLES[n])
    found = prepare(path, "--keep", "age")
    assert any(
        "column 'age': 1 cells are no number and count as missing (first in row 8: 'unknown')" in w
        for w in found["warnings"]
    )
    assert "8,p7,age: 'unknown'" in (tmp_path / "data" / "problems.csv").read_text()


def test_kept_columns_of_two_tables_may_differ_in_kind(tmp_path: Path) -> None:
    for name, mood in (("a.csv", lambda n: n), ("b.csv", lambda n: "good")):
        write_table(tmp_path / name, NUM, mood=mood, title=lambda n, name=name: f"{name} {TITLES[n]}")
    answer("prepare", tmp_path / "a.csv", tmp_path / "b.csv", "--no-images", "--keep", "mood", "--data", tmp_path / "data")
    assert load_dataset(tmp_path / "data").posts["own.mood"].iloc[[3, NUM]].tolist() == ["3", "good"]


WRONG_CALLS = [
    (["t.csv", "t.csv"], 2, "t.csv is named twice"),
    (
        ["--table", "t.csv", "--format", "nonsense"],
        2,
        "unknown format 'nonsense'; there are: pixelrec, microlens, smpd, table",
    ),
    (["--table", "."], 1, ". is a folder; name the table in it"),
    (["--microlens-dir", "t.csv"], 1, "t.csv is a file; name its folder"),
    (["--table", "t.csv", "--map", "views=views,views=likes"], 2, "'views' is given twice: views and likes"),
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
    write_table(tmp_path / "t.csv", NUM, likes=lambda n: n)
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
    assert "stand for several different posts" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "\x1b" not in refused.stderr


def test_images_with_a_capital_suffix_are_found_by_id(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for n in range(NUM):
        (tmp_path / "images" / f"p{n}.{'JPG' if n % 2 else 'Jpeg'}").write_bytes(encoded(picture(n)))
    path = write_table(tmp_path / "t.csv", NUM)
    assert (
        answer("prepare", "--table", path, "--images-dir", tmp_path / "images", "--data", tmp_path / "d")["image_problems"]
        == {}
    )


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
