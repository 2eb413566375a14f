"""Each source, compared by value; each wrong one, by its sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.importers.pixelrec import read_pixelrec
from engage_cli.core.importers.table import read_table
from engage_cli.core.posts import known_before, parse_counters, texts_of

PIXELREC = (
    "item_id,view_number,comment_number,thumbup_number,share_number,coin_number,favorite_number,barrage_number,title,tag,description\n"
    'i0,799668.0,10.0,500.0,7.0,1.0,20.0,3.0,"A cat, ""really""",cute,"two\nlines"\n'
    "i1,,,,,,,,NA,food,\n"
)


def pixelrec_folder(tmp_path: Path, text: str = PIXELREC) -> Path:
    (tmp_path / "deep" / "pixelrec_iteminfo").mkdir(parents=True)
    (tmp_path / "deep" / "pixelrec_iteminfo" / "pixel50k_item_info.csv").write_text(text, encoding="utf-8")
    (tmp_path / "covers").mkdir()
    return tmp_path


def test_pixelrec(tmp_path: Path) -> None:
    imported = read_pixelrec(pixelrec_folder(tmp_path))
    first, second = imported.posts.to_dict("records")
    assert imported.images_dir == tmp_path / "covers"
    assert first == {
        "id": "i0", "title": 'A cat, "really"', "tags": "cute", "description": "two\nlines", "views": 799668.0,
        "likes": 500.0, "comments": 10.0, "shares": 7.0, "favorites": 20.0, "coins": 1.0, "barrages": 3.0,
        "image": "i0.jpg",
    }  # fmt: skip
    assert second["title"] == "NA"  # a real title, not a missing one
    assert np.isnan(second["views"])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: None, "no \\*item_info\\*.csv below"),
        (lambda folder: (folder / "lmdb.mdb").touch(), "pickles"),
        (lambda folder: (folder / "x_item_info.csv").write_text("item_id,title\ni0,a\n"), "lacks the column 'view_number'"),
        (lambda folder: (folder / "x_item_info.csv").write_text(""), "is empty"),
        (lambda folder: (folder / "x_item_info.csv").write_text(PIXELREC.splitlines()[0]), "no rows"),
    ],
)
def test_pixelrec_that_is_none(make: object, sentence: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(EngageError, match=sentence):
        read_pixelrec(tmp_path)


def test_packed_covers_are_named(tmp_path: Path) -> None:
    folder = pixelrec_folder(tmp_path)
    (folder / "covers").rmdir()
    (folder / "cover.7z").touch()
    with pytest.raises(EngageError, match=r"still packed: unpack .*cover.7z"):
        read_pixelrec(folder)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables(suffix: str, tmp_path: Path) -> None:
    raw = pd.DataFrame(
        {"video_id": ["007", "-a"], "viewCount": ["1,234", "1.2K"], "Title": ["x", "é"], "published_at": ["2021-02-03", ""]}
    )
    path = tmp_path / f"posts{suffix}"
    write = {
        ".csv": lambda: raw.to_csv(path, index=False, encoding="utf-8-sig"),
        ".tsv": lambda: raw.to_csv(path, index=False, sep="\t"),
        ".jsonl": lambda: raw.to_json(path, orient="records", lines=True),
        ".parquet": lambda: raw.to_parquet(path),
    }
    write[suffix]()
    posts = read_table(path).posts
    assert posts["id"].tolist() == ["007", "-a"]
    assert posts["views"].tolist() == [1234.0, 1200.0]
    assert posts["title"].tolist() == ["x", "é"]
    assert posts["posted_at"].iloc[0] == pd.Timestamp("2021-02-03", tz="UTC")
    assert posts["posted_at"].isna().tolist() == [False, True]


def test_map_wins_and_names_what_exists(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("key,views,plays\na,1,2\n")
    assert read_table(path, mapping={"views": "plays", "id": "key"}).posts["views"].tolist() == [2.0]
    with pytest.raises(WrongCallError, match="no column 'likez'; it has: key, views, plays"):
        read_table(path, mapping={"likes": "likez"})
    with pytest.raises(WrongCallError, match="unknown column 'lovers'"):
        read_table(path, mapping={"lovers": "plays"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("id;views;title\na;1;x\n", "has one column only, 'id;views;title': a .csv is divided by commas"),
        ("id,views\na,1,more\nb,2,more\n", "cannot be read as csv: Length of header"),
        ("id,views\na,1\nb,2,more\n", "cannot be read as csv: .*line 3"),
        ('id,views,title\na,1,"never closed\nb,2,c\n', "cannot be read as csv: .*EOF inside string"),
        ("id,views\n", "has a header but no rows"),
        ("id,title\na,b\n", "has no counter .* it has the columns: id, title"),
        ("id,views\n,3\n", "row 1: the id .* is empty"),
        ("id,views,date\na,3,soon\n", "column 'date', row 1: 'soon' is no date"),
    ],
)
def test_bad_tables(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(text)
    with pytest.raises(EngageError, match=sentence):
        read_table(path)


def test_latin_1_is_named(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_bytes("id,views,title\na,1,é\n".encode("latin-1"))
    with pytest.raises(EngageError, match="not UTF-8"):
        read_table(path)


def test_counters() -> None:
    values, unusable = parse_counters(pd.Series(["12", "799668.0", "1,234", "1.2K", "3M", "n/a", "", "-5", "many", "inf"]))
    assert values[:5].tolist() == [12.0, 799668.0, 1234.0, 1200.0, 3e6]
    assert np.isnan(values[5:]).all()
    assert unusable.tolist() == [False] * 7 + [True, True, True]


def test_unusable_counters_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("id,views\na,1\nb,many\n")
    assert "1 cells are no counter" in read_table(path).warnings[0]
    assert "row 2: 'many'" in read_table(path).warnings[0]


def test_texts_and_what_is_known_before() -> None:
    posts = pd.DataFrame({"id": ["a"], "title": ["T"], "tags": [""], "description": ["D"], "views": [1.0], "likes": [2.0]})
    assert texts_of(posts, "title") == ["T"]
    assert texts_of(posts, "context") == ["D"]
    assert texts_of(posts, "text") == ["T. D"]
    assert list(known_before(posts).columns) == ["id", "title", "tags", "description"]
