"""Files that people have: each is read rightly, compared by value, or refused with the reason."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from engage_cli.data.dataset import load_dataset
from tests.calls import answer, engage

CASES = Path(__file__).parent / "cases"


def read_case(
    tmp_path: Path, name: str, table: str = "posts.csv", *more: object, images: bool = False
) -> tuple[dict, pd.DataFrame]:
    """Prepare a case's table, or its folder; return what prepare says and the posts."""
    source = CASES / name / table if table else CASES / name
    call = ["prepare", source, *more, *([] if images else ["--no-images"]), "--data", tmp_path / "out"]
    return answer(*call), load_dataset(tmp_path / "out").posts


def rows_of(name: str, table: str = "posts.csv") -> list[dict[str, str]]:
    with (CASES / name / table).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines_of(name: str, table: str = "posts.jsonl") -> list[dict]:
    return [json.loads(line) for line in (CASES / name / table).read_text(encoding="utf-8").splitlines() if line]


def refuse(tmp_path: Path, *call: object) -> str:
    result = engage("prepare", *call, "--data", tmp_path / "out")
    assert result.exit_code != 0
    assert not (tmp_path / "out" / "dataset.json").exists()
    return result.stderr


def has_warning(found: dict, words: str) -> bool:
    return any(words in warning for warning in found["warnings"])


def test_a_few_broken_signs_are_replaced_and_counted(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "a-few-bad-bytes")
    assert posts["title"].iloc[0] == "오늘 밤 고양이 요리 0"
    assert int(posts["title"].str.contains("\ufffd").sum()) == 2
    assert has_warning(found, "UTF-8 with 2 invalid characters")


@pytest.mark.parametrize(("which", "row"), [("last", 2), ("first", 0), ("max", 2)])
def test_of_a_post_on_several_days_the_row_that_was_asked_for(which: str, row: int, tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "a-post-on-several-days", "posts.csv", "--duplicates", which)
    raw = rows_of("a-post-on-several-days")
    of_first = [line for line in raw if line["video_id"] == "v0"]
    assert posts["views"].iloc[0] == float(of_first[row]["view_count"])
    assert len(posts) == 20
    assert found["rows"]["left_out"] == {f"another row of the same id (--duplicates {which})": 40}


def test_a_post_on_several_days_names_the_way_to_say_which(tmp_path: Path) -> None:
    said = refuse(tmp_path, CASES / "a-post-on-several-days" / "posts.csv", "--no-images")
    assert "--duplicates last, first or max" in said


def test_a_date_that_predicts_well_is_no_leak(tmp_path: Path) -> None:
    found, _ = read_case(tmp_path, "age-is-not-a-leak")
    assert not has_warning(found, "is it really known before publication")
    assert has_warning(found, "the account grew or shrank, or older posts had longer to gather it")


def test_an_address_does_not_hide_the_covers(tmp_path: Path) -> None:
    covers = CASES / "an-address-hides-the-covers" / "covers"
    found, posts = read_case(tmp_path, "an-address-hides-the-covers", "posts.jsonl", "--images-dir", covers, images=True)
    assert (posts["image_problem"] == "").all()
    assert len(posts) == 20
    assert [Path(name).stem for name in posts["image"]] == posts["id"].tolist()
    assert has_warning(found, "'thumbnail' holds addresses")


def test_codes_of_categories_are_categories(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "category-codes-are-numbers", "posts.csv", "--keep", "category_id")
    assert posts["own.category_id"].tolist() == [row["category_id"] for row in rows_of("category-codes-are-numbers")]
    assert has_warning(found, "--keep category_id:number")
    _, numbers = read_case(tmp_path / "n", "category-codes-are-numbers", "posts.csv", "--keep", "category_id:number")
    assert numbers["own.category_id"].iloc[0] == 10.0


def test_counts_in_ten_thousands(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "counts-in-ten-thousands")
    cells = [row["views"] for row in rows_of("counts-in-ten-thousands")]
    expected = [round(float(cell[:-1]) * 10_000) if cell.endswith("万") else float(cell) for cell in cells]
    assert posts["views"].tolist() == expected


def test_a_date_column_that_says_lifetime(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "date-column-says-lifetime")
    assert found["sources"]["posts.csv"]["columns"]["posted_at"] == "Publish time"
    assert posts["posted_at"].iloc[0] == pd.Timestamp("2026-03-01 06:08", tz="UTC")
    assert posts["views"].iloc[0] == 34429.0
    assert posts["description"].iloc[0] == "forest copper engine garden 0"


def test_dates_of_year_day_month(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "dates-year-day-month", "posts.csv", "--map", "posted_at=trending_date")
    assert posts["posted_at"].min() == pd.Timestamp("2017-12-01", tz="UTC")
    assert posts["posted_at"].max() == pd.Timestamp("2017-12-12", tz="UTC")


def test_an_empty_date_does_not_win(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "empty-date-wins", "posts.jsonl")
    assert posts["posted_at"].dt.strftime("%Y%m%d").tolist() == [
        line["upload_date"] for line in lines_of("empty-date-wins")
    ]
    assert found["split"]["method"] == "time"


def test_shards_of_img2dataset(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "format-img2dataset", "", images=True)
    assert len(posts) == 36
    assert int((posts["image_problem"] == "").sum()) == 32
    assert has_warning(found, "4 images were not downloaded (failed_to_download)")
    assert posts["title"].iloc[0] == "violin cloud paper button 0"
    assert posts["views"].iloc[0] == 9285.0


@pytest.mark.parametrize("table", ["posts.json", "posts.csv.gz", "posts.xlsx"])
def test_json_compressed_and_excel(table: str, tmp_path: Path) -> None:
    if table.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    _, posts = read_case(tmp_path, "format-json-xlsx-gz", table)
    expected = json.loads((CASES / "format-json-xlsx-gz" / "posts.json").read_text())
    assert posts[["id", "title", "views"]].to_dict("records") == expected


@pytest.mark.parametrize("table", ["items.jsonl", "items.csv"])
def test_items_of_the_youtube_api(table: str, tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "format-youtube-api", table)
    for post, item in zip(posts.to_dict("records"), lines_of("format-youtube-api", "items.jsonl"), strict=True):
        snippet, numbers = item["snippet"], item["statistics"]
        assert post["title"] == snippet["title"]
        assert post["tags"] == "|".join(snippet["tags"])
        assert post["author"] == snippet["channelTitle"]
        assert post["posted_at"] == pd.Timestamp(snippet["publishedAt"])
        assert [post[name] for name in ("views", "likes", "comments")] == [float(value) for value in numbers.values()]


def test_a_folder_of_yt_dlp(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "format-yt-dlp", "", images=True)
    assert len(posts) == 20
    for post in posts.to_dict("records"):
        info = json.loads((CASES / "format-yt-dlp" / f"{post['id']}.info.json").read_text())
        assert (post["title"], post["author"], post["tags"]) == (info["title"], info["channel"], "|".join(info["tags"]))
        assert post["posted_at"].strftime("%Y%m%d") == info["upload_date"]
        assert post["views"] == info["view_count"]
        assert post["likes"] == info["like_count"] or (pd.isna(post["likes"]) and info["like_count"] is None)
        assert (post["image"], post["image_problem"]) == (f"{post['id']}.webp", "")


def test_covers_of_a_phone_are_named_as_such(tmp_path: Path) -> None:
    folder = CASES / "heic-covers"
    said = refuse(tmp_path, folder / "posts.csv", "--images-dir", folder / "covers")
    assert "HEIC" in said
    assert "no such file" not in said


def test_names_that_are_not_ours_are_understood(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "hint-names-the-wrong-column")
    raw = rows_of("hint-names-the-wrong-column")
    assert posts["views"].tolist() == [float(row["video_view_count"]) for row in raw]
    assert posts["title"].tolist() == [row["video_title"] for row in raw]
    assert found["sources"]["posts.csv"]["columns"]["comments"] == "video_comment_count"


def test_images_inside_a_parquet(tmp_path: Path) -> None:
    folder = CASES / "images-inside-parquet"
    _, posts = read_case(tmp_path, "images-inside-parquet", "posts.parquet", "--images-dir", folder, images=True)
    assert (posts["image_problem"] == "").all()
    assert len(posts) == 20
    _, bare = read_case(tmp_path / "n", "images-inside-parquet", "posts.parquet")
    assert not bare["title"].str.contains("bytes").any()
    assert (bare["image"] == "").all()


@pytest.mark.parametrize("name", ["like", "share", "reply", "coin"])
def test_counters_cannot_be_kept(name: str, tmp_path: Path) -> None:
    said = refuse(tmp_path, CASES / "kept-counters" / "posts.csv", "--no-images", "--keep", name)
    assert f"--keep {name}: that is a counter, known only after publication" in said


def test_more_likes_than_views_and_a_cell_beyond_all_others(tmp_path: Path) -> None:
    found, _ = read_case(tmp_path, "likes-above-views", "")
    assert has_warning(found, "3 posts have more likes than views (first: row 1 '1'")
    assert has_warning(found, "1 of 20 cells is 49,900,000,000")
    assert "more likes than views" in (tmp_path / "out" / "quality.html").read_text(encoding="utf-8")


def test_a_mapped_counter_is_read_or_refused(tmp_path: Path) -> None:
    mapping = ("--map", "views=播放量,likes=点赞")
    _, posts = read_case(tmp_path, "mapped-counter-without-a-number", "posts.csv", *mapping)
    cells = [row["播放量"] for row in rows_of("mapped-counter-without-a-number")]
    assert posts["views"].tolist() == [round(float(cell[:-1]) * 10_000) for cell in cells]
    text = (CASES / "mapped-counter-without-a-number" / "posts.csv").read_text(encoding="utf-8")
    (tmp_path / "odd.csv").write_text(text.replace("万", " fathoms"), encoding="utf-8")
    said = refuse(tmp_path / "odd", tmp_path / "odd.csv", "--no-images", *mapping)
    assert "is not a count, like 20 of 20 cells" in said


def test_the_table_of_youtube_studio(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "no-text-found", "Table data.csv")
    raw = rows_of("no-text-found", "Table data.csv")[1:]
    assert posts["id"].tolist() == [row["Content"].strip() for row in raw]
    assert posts["title"].tolist() == [row["Video title"] for row in raw]
    assert posts["views"].tolist() == [float(row["Views"]) for row in raw]
    assert posts["posted_at"].iloc[0] == pd.Timestamp("2025-08-01", tz="UTC")
    assert has_warning(found, "the row of totals was left out")


def test_one_row_without_id(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "one-row-without-id")
    assert found["rows"] == {"read": len(posts) + 1, "kept": len(posts), "left_out": {"no id": 1}}


def test_tags_of_objects_and_of_python(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "tags-of-objects", "posts.jsonl")
    assert posts["tags"].tolist() == [
        "|".join(tag["name"] for tag in line["hashtags"]) for line in lines_of("tags-of-objects")
    ]
    found, posts = read_case(tmp_path / "p", "tags-python-list")
    cells = [re.findall(r"'(\w+)'", row["tags"]) for row in rows_of("tags-python-list")]
    assert posts["tags"].tolist() == ["|".join(tags) for tags in cells]
    assert found["missing"]["tags"] == sum(not tags for tags in cells)


def test_impressions_are_views_only_where_that_is_said_and_an_empty_part_is_named(tmp_path: Path) -> None:
    found, posts = read_case(tmp_path, "target-only-among-the-oldest")
    assert "views" not in posts
    assert has_warning(found, "--map views=impressions")
    mapped, _ = read_case(tmp_path / "m", "target-only-among-the-oldest", "posts.csv", "--map", "views=impressions")
    assert has_warning(mapped, "target views has 0 validation and 0 test posts")


def test_escapes_in_texts(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "text-escapes")
    assert posts["title"].iloc[0] == "It's lamp engine river forest 0 & more"
    assert posts["description"].iloc[0] == "first line\nhttps://example.org/0\n\nFollow me"


def test_views_in_words(tmp_path: Path) -> None:
    _, posts = read_case(tmp_path, "views-in-words")
    cells = [row["Views"].split("K")[0] for row in rows_of("views-in-words")]
    assert posts["views"].tolist() == [round(float(cell) * 1000) for cell in cells]


# A run's table and one that asks -> features, columns kept, and ids with about the value that is right.
ASKED = [
    ("asked-category-of-digits", "words,kind,secs", "kind,secs", {"a": 12.0, "b": 5.3}),
    ("asked-date-in-two-orders", "handcrafted", "", {"a": 11.1}),
    ("asked-number-that-is-empty", "words,kind,secs", "kind,secs", {"a": 4.75}),
]


@pytest.mark.parametrize(("name", "features", "keep", "right"), ASKED, ids=[one[0] for one in ASKED])
def test_a_run_reads_later_tables_as_its_own(
    name: str, features: str, keep: str, right: dict[str, float], tmp_path: Path
) -> None:
    kept = ["--keep", keep] if keep else []
    answer("prepare", CASES / name / "train.csv", "--no-images", *kept, "--data", tmp_path / "out")
    train: list[object] = ["train-catboost", "--data", tmp_path / "out", "--target", "views", "--as", "value"]
    train += ["--iterations", 350, "--learning-rate", 0.1]
    answer(*train, "--features", features, "--run", tmp_path / "run")
    values = {}
    for table in ("ask.csv", "ask2.csv"):
        out = tmp_path / f"{table}.p.csv"
        answer("predict", "--table", CASES / name / table, "--run", tmp_path / "run", "--out", out)
        values[table] = pd.read_csv(out).set_index("id")["value"]
    for id, value in right.items():
        assert values["ask.csv"][id] == pytest.approx(value, abs=0.7)
        assert values["ask.csv"][id] == pytest.approx(values["ask2.csv"][id], abs=1e-4)


def test_a_text_that_the_run_has_never_seen_is_said(tmp_path: Path) -> None:
    folder = CASES / "caption-here-description-there"
    answer("prepare", folder / "train.csv", "--no-images", "--data", tmp_path / "out")
    train = ["train-catboost", "--data", tmp_path / "out", "--target", "views", "--as", "value", "--iterations", 5]
    answer(*train, "--features", "words", "--run", tmp_path / "run")
    result = engage("predict", "--table", folder / "ask.csv", "--run", tmp_path / "run", "--out", tmp_path / "p.csv")
    assert result.exit_code == 0
    assert "no training post had a title, and the text of column 'caption' is read as one" in result.stderr
    # The run has seen no cover, so a title alone is answered, each way with the same numbers.
    alone = answer("predict", "--title", "lamp river", "--run", tmp_path / "run")
    line = engage("predict", "--serve-stdin", "--run", tmp_path / "run", stdin='{"title": "lamp river"}\n')
    assert line.exit_code == 0
    assert json.loads(line.stdout)["posts"][0]["value"] == pytest.approx(alone["posts"][0]["value"], abs=1e-6)
