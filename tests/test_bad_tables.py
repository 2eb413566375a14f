"""Whatever is in a table, prepare reads it right or says in a sentence where it is wrong. Nothing is lost in silence."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.evaluation.evidence import HELPS
from tests.calls import engage
from tests.good import HEADER, NUM, ROWS, TITLES, good_table, prepare
from tests.sources import write_table

# A row (1-based) that is put into a good table -> the sentence that names it.
BROKEN = [
    ("too long", "p4,5,t,2021-01-01,more\n", "posts.csv, row 5: 5 fields where the header has 4: 'p4,5,t,2021-01-01,more'"),
    ("too short", "p4,5\n", "posts.csv, row 5: 2 fields where the header has 4: 'p4,5'"),
    ("quote never closed", 'p4,5,"open,2021-01-01\n', "posts.csv, row 5: 3 fields where the header has 4"),
    (
        "quote closed by the quoted cell of the next row",
        'p4,5,"open,2021-01-01\np5,6,"t",2021-01-01\n',
        "row 5: the cell of 'title' runs into the next rows, as 'open,2021-01-01",
    ),
    (
        "id of another post",
        "p3,999,t,2021-01-01\n",
        "1 ids belong to several different posts: 'p3' (rows 4 and 5); make ids unique",
    ),
]


@pytest.mark.parametrize(("name", "cells", "sentence"), BROKEN, ids=[one[0] for one in BROKEN])
def test_a_row_that_cannot_be_read_stops_with_its_number(name: str, cells: str, sentence: str, tmp_path: Path) -> None:
    path = good_table(tmp_path, 5, cells)
    result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


# Rows from the 5th on, where a quote is closed only by one of a later row -> how many rows the cell then holds.
SWALLOWED = {
    "two rows": ('p4,5,"open,2021-01-01\np5,6,t,2021-01-01\np6,7,t",2021-01-01\n', 2),
    "one row": ('p4,5,"open,2021-01-01\np5,6,t",2021-01-01\n', 1),
    "over a counter that is shortened": ('p4,5,"open,2021-01-01\np5,1.2K,t,2021-01-01\np6,7,t",2021-01-01\n', 2),
    "over an empty counter": ('p4,5,"open,2021-01-01\np5,,t,2021-01-01\np6,7,t",2021-01-01\n', 2),
    "over a counter that is none": ('p4,5,"open,2021-01-01\np5,unknown,t,2021-01-01\np6,7,t",2021-01-01\n', 2),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_rows_that_an_open_quote_swallows_are_said(name: str, tmp_path: Path) -> None:
    cells, num = SWALLOWED[name]
    found = prepare(good_table(tmp_path, 5, cells))
    words = f"posts.csv, row 5: the cell of 'title' seems to hold the {num} rows after it ('open,2021-01-01"
    assert any(words in " ".join(warning.split("\n")) for warning in found["warnings"]), found["warnings"]


PROSE = [
    "Ingredients:\nflour, sifted, grams, 200\nmilk,1,cup,3",
    "0:00, Intro, start, 1\n1:30, Verse, middle, 2\n",
    "12 Main St, Springfield, IL, 62704\n",
    "#a, #b, #c, \n#d",
    "Game 1, won, 3:2, 50\nGame 2, lost, 1:4, 70",
    "a;b;c;4\na|b|c|4\na\tb\tc\t4",
    'She said ""no"",\nthen ""yes"", 1, 2, 3\n',
    "x = [1, 2, 3]\ny = {4, 5, 6}\n",
    "😱\n😱, 1, 2, 3",
]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_prose_of_several_lines_is_no_alarm(newline: str, tmp_path: Path) -> None:
    rows = [f'"p{n}","{TITLES[n]}","{PROSE[n % len(PROSE)]}","{n * 3 + 1}"' for n in range(NUM)]
    text = "\n".join(["id,title,description,views", *rows]) + "\n"
    (tmp_path / "posts.csv").write_bytes(text.replace("\n", newline).encode())
    found = prepare(tmp_path / "posts.csv")
    assert not [warning for warning in found["warnings"] if "posts.csv" in warning]
    expected = [PROSE[n % len(PROSE)].replace('""', '"').strip() for n in range(NUM)]
    assert load_dataset(tmp_path / "data").posts["description"].tolist() == expected


def test_lines_of_white_space_are_no_rows(tmp_path: Path) -> None:
    path = good_table(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:9], "  ", *lines[9:], "\t", " \f "]) + "\n")
    assert prepare(path)["rows"] == {"read": NUM, "kept": NUM, "left_out": {}}


def test_a_quote_open_at_the_end_of_the_file(tmp_path: Path) -> None:
    for last in ('p39,5,"open', 'p39,5,t,"', 'p39,5,t,"say ""hi""\n'):
        path = good_table(tmp_path, NUM, last)
        result = engage("prepare", "--table", path, "--no-images", "--data", tmp_path / "data")
        assert result.exit_code == 1
        assert "row 40" in result.stderr
        assert "never closed" in result.stderr
    closed = good_table(tmp_path, NUM, 'p39,5,t,"2021-01-01\n"\n')
    assert prepare(closed)["rows"]["kept"] == NUM


# A cell, in row 5 of a good table -> (column, what prepare makes of it, words of the warning).
CELLS = [
    ("views", "-5", np.nan, "1 cell is not a count and counts as missing (first in row 5: '-5')"),
    ("views", "many", np.nan, "(first in row 5: 'many')"),
    ("views", "0,5", np.nan, "(first in row 5: '0,5')"),
    ("views", "n/a", np.nan, ""),
    ("views", "1e308", np.nan, "1 cell is not a count and counts as missing (first in row 5: '1e308')"),
    ("views", "99999999999999999999999999", np.nan, "(first in row 5: '99999999999999999999999999')"),
    ("views", "3.5", 3.5, "1 cell is fractional and stays as it is (first in row 5: '3.5')"),
    ("views", "1,234", 1234.0, ""),
    ("views", "1.2K", 1200.0, ""),
    ("date", "someday", pd.NaT, "1 cell is not a date and counts as missing (first in row 5: 'someday')"),
    ("date", "2031-01-01", pd.NaT, "1 cell is in the future and counts as missing (first in row 5: '2031-01-01')"),
    ("date", "10:30", pd.NaT, "1 cell is not a date and counts as missing (first in row 5: '10:30')"),
    ("date", "now", pd.NaT, "1 cell is not a date and counts as missing (first in row 5: 'now')"),
    ("date", "2200-12-31", pd.NaT, "1 cell is in the future"),
    ("date", "0001-01-01", pd.NaT, "1 cell is not a date and counts as missing (first in row 5: '0001-01-01')"),
    ("date", "1612137600000000", pd.Timestamp("2021-02-01", tz="UTC"), ""),
    ("date", "90000000000", pd.NaT, "1 cell is in the future"),
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
    warnings = [line for line in found["warnings"] if not line.startswith(("target", "no column")) and HELPS not in line]
    assert (warning in warnings[0] and len(warnings) == 1) if warning else not warnings
    if "first in row" in warning:
        problem = list(csv.DictReader((tmp_path / "data" / "problems.csv").open(encoding="utf-8")))
        assert [(row["source"], row["row"], row["id"]) for row in problem] == [("posts.csv", "5", "p4")]


ENCODINGS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "byte order mark": (lambda text: text.encode("utf-8-sig"), ""),
    "utf-16": (lambda text: text.encode("utf-16"), "is UTF-16 and was read that way"),
    "semicolons": (lambda text: text.replace(",", ";").encode(), "is divided by semicolons and was read that way"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "is divided by tabs and was read that way"),
    "windows line ends": (lambda text: text.replace("\n", "\r\n").encode(), ""),
    "old mac line ends": (lambda text: text.replace("\n", "\r").encode(), ""),
    "excel's first line": (lambda text: b"sep=;\n" + text.replace(",", ";").encode(), ""),
    "blank lines": (lambda text: ("\n" + text.replace("\n", "\n\n")).encode(), ""),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_files_of_other_programs_are_read(name: str, tmp_path: Path) -> None:
    encode, warning = ENCODINGS[name]
    path = good_table(tmp_path)
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
    "no date at all": (b"id,views,date\na,3,soon\n", "column 'date', row 1: 'soon' is not a date, like 1 of 1 cells"),
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


def test_a_row_without_id_is_left_out_and_named(tmp_path: Path) -> None:
    found = prepare(good_table(tmp_path, 5, ",5,t,2021-01-01\n"))
    assert found["rows"] == {"read": NUM, "kept": NUM - 1, "left_out": {"no id": 1}}
    assert "posts.csv,5,,left out: no id" in (tmp_path / "data" / "problems.csv").read_text()


def test_equal_counters_and_identical_rows_are_said(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, views=lambda n: 7)
    path.write_text(path.read_text() + '"p3","7","title number 3"\n')
    found = prepare(path)
    assert found["rows"]["left_out"] == {"the same row again": 1}
    assert "posts.csv,41,p3,left out: the same row again" in (tmp_path / "data" / "problems.csv").read_text()
    assert (
        "target views: every post has the same score, so there is nothing to learn; give another --target"
        in found["warnings"]
    )


def test_one_author_only(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, author=lambda n: "me", date=lambda n: f"2021-01-{n % 28 + 1:02d}")
    assert "relative" in prepare(path)["targets"]
    result = engage("prepare", "--table", path, "--no-images", "--split", "author", "--data", tmp_path / "other")
    assert result.exit_code == 1
    assert "--split author needs 3 authors or more; the data has 1" in result.stderr
