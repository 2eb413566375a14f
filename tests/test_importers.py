"""Each source, compared by value with what its folder holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.data.cells._dates import parse_dates
from engage_cli.data.cells.numbers import parse_counters
from engage_cli.data.cells.texts import clean_text
from engage_cli.data.importers.microlens import read_microlens
from engage_cli.data.importers.pixelrec import read_pixelrec
from engage_cli.data.importers.smpd import read_smpd
from engage_cli.data.importers.table import read_table
from engage_cli.data.schema import texts_of
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.prepare.import_posts import Source, import_posts, recognise
from tests.calls import engage
from tests.sources import PIXELREC, encoded, microlens_folder, picture, pixelrec_folder, smpd_folder, write_archive

NOW = pd.Timestamp("2026-01-01", tz="UTC")


def test_pixelrec(tmp_path: Path) -> None:
    imported = read_pixelrec(pixelrec_folder(tmp_path))
    first, second = imported.posts.to_dict("records")
    assert imported.images == tmp_path / "covers"
    assert first == {
        "id": "i0", "title": 'A cat, "really"', "tags": "cute", "description": "two\nlines", "views": 799668.0,
        "likes": 500.0, "comments": 10.0, "shares": 7.0, "favorites": 20.0, "coins": 1.0, "barrages": 3.0,
        "image": "i0.jpg", "source_row": 1,
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
        (
            lambda folder: [(folder / f"{n}_item_info.csv").write_text(PIXELREC) for n in (1, 2)],
            "several files .*1_item_info.csv, .*2_item_info.csv",
        ),
    ],
)
def test_pixelrec_that_is_none(make: object, sentence: str, tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(EngageError, match=sentence):
        read_pixelrec(tmp_path)


@pytest.mark.parametrize("name", ["cover", "covers", "images", "PixelRec_covers"])
def test_folders_of_covers_by_name(name: str, tmp_path: Path) -> None:
    assert read_pixelrec(pixelrec_folder(tmp_path, covers=name)).images == tmp_path / name


@pytest.mark.parametrize("name", ["cover.tar.gz", "cover.zip", "pixelrec_covers.tar.gz"])
def test_packed_covers_are_found(name: str, tmp_path: Path) -> None:
    folder = pixelrec_folder(tmp_path)
    (folder / "covers").rmdir()
    archive = write_archive(folder / name, {"cover/i0.jpg": encoded(picture(0))})
    assert read_pixelrec(folder).images == archive


def test_a_7z_is_named_with_how_to_unpack_it_but_only_where_images_are_wanted(tmp_path: Path) -> None:
    folder = pixelrec_folder(tmp_path / "p", PIXELREC + "i2,1,2,3,4,5,6,7,a,b,c\n" * 1)
    (folder / "covers").rmdir()
    (folder / "cover.7z").touch()
    result = engage("prepare", "--pixelrec-dir", folder, "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "packed in" in result.stderr
    assert f"`cd {folder} && 7z x cover.7z -ocover`" in result.stderr
    for more in (["--no-images"], ["--images-dir", tmp_path]):  # goes on until there are too few posts
        assert "packed" not in engage("prepare", "--pixelrec-dir", folder, "--data", tmp_path / "data", *more).stderr


@pytest.mark.parametrize(
    ("titles", "header"),
    [
        ("MicroLens-50k_titles.csv", "item,title\n"),
        ("MicroLens-100k_title_en.csv", "id,title\n"),
        ("MicroLens-100k_title_en.csv", ""),
    ],
)
def test_microlens(titles: str, header: str, tmp_path: Path) -> None:
    imported = read_microlens(microlens_folder(tmp_path, titles=titles, header=header))
    assert imported.images == tmp_path / "MicroLens-50k_covers"
    assert imported.posts[["id", "title", "tags", "likes", "views", "image"]].to_dict("records") == [
        {
            "id": "1",
            "title": "Cats, dogs, and a #bird",
            "tags": "animals",
            "likes": 20.0,
            "views": 1000.0,
            "image": "1.jpg",
        },
        {"id": "3", "title": "“Quiet” night", "tags": "music", "likes": 5.0, "views": 800.0, "image": "3.jpg"},
        {"id": "9", "title": "", "tags": "", "likes": 1.0, "views": 2.0, "image": "9.jpg"},
    ]
    assert any("1 items that have counters have no title" in warning for warning in imported.warnings)
    assert any("1 of 3 titled items have no counters" in warning for warning in imported.warnings)


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("MicroLens-50k_likes_and_views.txt", "1,20,1000\n", "line 1: 1 fields instead of item, likes and views"),
        ("MicroLens-50k_titles.csv", "item,title\n1 no comma\n", "line 2: there is no comma between"),
        ("MicroLens-50k_titles.csv", "item,title\n1,a\n1,b\n", "line 3: item '1' occurs twice"),
    ],
)
def test_broken_microlens(file: str, text: str, sentence: str, tmp_path: Path) -> None:
    folder = microlens_folder(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(EngageError, match=sentence):
        read_microlens(folder)


@pytest.mark.parametrize("of_2020", [False, True])
def test_smpd(of_2020: bool, tmp_path: Path) -> None:
    imported = read_smpd(smpd_folder(tmp_path, of_2020=of_2020))
    assert imported.images == tmp_path
    first, second, _ = imported.posts.drop(columns="source_row").to_dict("records")
    assert first == {
        "id": "1000", "author": "70@N0", "image": "train/70@N0/1000.jpg", "score": 5.5, "title": "Title 0",
        "tags": "sun sea0", "description": "", "posted_at": pd.Timestamp(1_425_000_000, unit="s", tz="UTC"),
        "own.category": "Travel", "own.subcategory": "Beach", "own.concept": "sea",
    }  # fmt: skip
    assert (second["title"], second["tags"], second["author"]) == ("", "", "71@N1")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("train_label.txt", "1\n2\n", "has 3 rows and .*train_label.txt 2; they must be aligned"),
        ("train_text.json", "[]", "has 0 records where the paths have 3 rows"),
        ("train_text.json", "{", "no JSON"),
        ("train_text.json", "[1, 2, 3]", "expected a list of JSON objects"),
        (
            "train_text.json",
            '[{"Pid": "1000"}, {"Pid": "1002"}, {"Pid": "1001"}]',
            "row 2: Pid '1002' where the path has '1001'",
        ),
        ("train_img_filepath.txt", "a/b.jpg\nnothing\nc/d.jpg\n", "row 2: 'nothing' is not a train/<Uid>/<Pid>.jpg"),
    ],
)
def test_broken_smpd(file: str, text: str, sentence: str, tmp_path: Path) -> None:
    folder = smpd_folder(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(EngageError, match=sentence):
        read_smpd(folder)


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
    imported = read_table(path)
    posts = imported.posts
    assert imported.found == {"id": "video_id", "title": "Title", "posted_at": "published_at", "views": "viewCount"}
    assert posts["id"].tolist() == ["007", "-a"]
    assert posts["views"].tolist() == [1234.0, 1200.0]
    assert posts["title"].tolist() == ["x", "é"]
    assert posts["posted_at"].iloc[0] == pd.Timestamp("2021-02-03", tz="UTC")
    assert posts["posted_at"].isna().tolist() == [False, True]


def test_typed_cells_of_parquet_and_jsonl(tmp_path: Path) -> None:
    raw = pd.DataFrame(
        {"id": [7.0, 8.0], "views": [5, 6], "tags": [["a", "b"], []], "date": pd.to_datetime(["2021-01-02", None])}
    )
    raw.to_parquet(tmp_path / "posts.parquet")
    posts = read_table(tmp_path / "posts.parquet").posts
    assert posts["id"].tolist() == ["7", "8"]
    assert posts["tags"].tolist() == ["a|b", ""]
    assert posts["posted_at"].notna().tolist() == [True, False]
    (tmp_path / "posts.jsonl").write_text(
        '{"id": 1, "views": 3, "tags": ["x", "y"], "title": "\\ud83d half"}\n\n{"id": 2, "views": null}\n'
    )
    posts = read_table(tmp_path / "posts.jsonl").posts
    assert posts["id"].tolist() == ["1", "2"]
    assert posts["tags"].tolist() == ["x|y", ""]
    assert posts["title"].tolist() == ["\ufffd half", ""]
    assert posts["views"].isna().tolist() == [False, True]


def test_map_wins_and_names_what_exists(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("key,views,plays\na,1,2\n")
    imported = read_table(path, mapping={"views": "plays", "id": "key"})
    assert imported.posts["views"].tolist() == [2.0]
    assert imported.unused == ("views",)
    with pytest.raises(WrongCallError, match="no column 'likez'; it has: key, views, plays"):
        read_table(path, mapping={"likes": "likez"})
    with pytest.raises(WrongCallError, match="unknown field 'lovers'"):
        read_table(path, mapping={"lovers": "plays"})


def test_kept_columns_are_numbers_or_categories_and_never_counters(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("id,view_count,followers,language\na,1,10,en\nb,2,,de\n")
    posts = read_table(path, keep=["followers", "language"]).posts
    np.testing.assert_array_equal(posts["own.followers"], [10.0, np.nan])
    assert posts["own.language"].tolist() == ["en", "de"]
    for name in ("view_count", "Plays", "LIKES_COUNT"):
        path.write_text(f"id,views,{name}\na,1,10\nb,2,20\n")
        with pytest.raises(WrongCallError, match=f"--keep {name}: that is a counter, known only after publication"):
            read_table(path, keep=[name])
    path.write_text("id,view_count,followers,language\na,1,10,en\nb,2,,de\n")
    with pytest.raises(WrongCallError, match="has no such column; it has: id, view_count, followers, language"):
        read_table(path, keep=["age"])


@pytest.mark.parametrize(
    ("make", "name"),
    [(pixelrec_folder, "pixelrec"), (microlens_folder, "microlens"), (smpd_folder, "smpd")],
)
def test_folders_are_recognised(make: object, name: str, tmp_path: Path) -> None:
    assert recognise(make(tmp_path / "data")) == name


def test_an_unknown_folder_names_what_was_looked_for_and_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(EngageError) as caught:
        recognise(tmp_path)
    for words in ("*item_info*.csv", "*_likes_and_views.txt", "train_label.txt", "found notes.txt", "--table FILE"):
        assert words in str(caught.value)
    with pytest.raises(EngageError, match=r"notes.txt is not a table \(.csv, .tsv, .jsonl, .*.parquet"):
        recognise(tmp_path / "notes.txt")


def test_a_union_of_sources(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("id,views,likes,published_at\n1,5,2,2020-01-01\n")
    sources = [
        Source(path=microlens_folder(tmp_path / "m")),
        Source(path=smpd_folder(tmp_path / "s")),
        Source(path=tmp_path / "own.csv"),
    ]
    imported = import_posts(sources, mapping={}, keep=(), reporter=SilentReporter())
    posts = imported.posts
    assert posts["source"].value_counts().to_dict() == {"microlens": 3, "smpd": 3, "own.csv": 1}
    assert posts["id"].tolist()[0::3] == ["microlens:1", "smpd:1000", "own.csv:1"]
    assert posts["views"].isna().tolist() == [False] * 3 + [True] * 3 + [False]
    assert posts["own.category"].tolist() == [""] * 3 + ["Travel"] * 3 + [""]
    assert posts["posted_at"].isna().tolist() == [True] * 3 + [False] * 4
    assert imported.images["smpd"] == tmp_path / "s"
    assert imported.name == "microlens + smpd + own.csv"


def test_counters() -> None:
    cells = ["12", "799668.0", "1,234", "1.2K", "3M", "3.5", "n/a", "", "-5", "many", "inf", "0,5", "1,2345"]
    numbers = parse_counters(pd.Series(cells))
    values, unusable = numbers.values, numbers.unusable
    assert values[:6].tolist() == [12.0, 799668.0, 1234.0, 1200.0, 3e6, 3.5]
    assert np.isnan(values[6:]).all()
    assert unusable.tolist() == [False] * 8 + [True] * 5


@pytest.mark.parametrize(
    ("cells", "days", "note"),
    [
        (["2021-09-05", "2021-09-05T23:30:00-02:00"], ["2021-09-05", "2021-09-06"], ""),
        (["1630800000", "1630800000000"], ["2021-09-05", "2021-09-05"], ""),
        (["20210905", "Sep 5, 2021"], ["2021-09-05", "2021-09-05"], ""),
        (["25/09/2021", "05/09/2021 10:00"], ["2021-09-25", "2021-09-05"], "day, month, year"),
        (["05.09.2021", "25.09.2021"], ["2021-09-05", "2021-09-25"], "day, month, year"),
        (["09/25/2021", "09/05/2021"], ["2021-09-25", "2021-09-05"], "read as month, day, year"),
        (["09/05/2021", "09/25/2021", ""], ["2021-09-05", "2021-09-25", None], "read as month, day, year"),
        (["25/09/21", "05/09/21", "06.09.21 10:00"], ["2021-09-25", "2021-09-05", "2021-09-06"], "day, month, year"),
        (["2021-09-05", "n/a", "soon"], ["2021-09-05", None, None], ""),
        (["2030-01-01", "2021-09-05"], [None, "2021-09-05"], ""),
    ],
)
def test_dates(cells: list[str], days: list[str | None], note: str) -> None:
    dates = parse_dates(pd.Series(cells), now=NOW)
    assert [None if pd.isna(value) else value.strftime("%Y-%m-%d") for value in dates.values] == days
    assert note in dates.note
    assert bool(dates.note) == bool(note)
    assert dates.unusable.tolist() == [cell == "soon" for cell in cells]
    assert dates.values.dtype == "datetime64[us, UTC]"
    assert dates.future.tolist() == [cell.startswith("2030") for cell in cells]


def test_texts() -> None:
    cleaned = clean_text(pd.Series([" a\0b ", "x\r\ny\rz", None, "שלום 👩‍👩‍👧", "zero\u200bwidth"]))
    assert cleaned.tolist() == ["ab", "x\ny\nz", "", "שלום 👩‍👩‍👧", "zero\u200bwidth"]
    posts = pd.DataFrame({"id": ["a"], "title": ["T"], "tags": [""], "description": ["D"], "views": [1.0], "likes": [2.0]})
    assert texts_of(posts, "title") == ["T"]
    assert texts_of(posts, "context") == ["D"]
    assert texts_of(posts, "text") == ["T. D"]
