"""Folders and tables as tools write them, with their quirks, compared by value."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.data.importers import IMPORTERS, Import
from engage_cli.data.importers.exports import EXPORTS
from engage_cli.data.importers.table import read_table
from engage_cli.data.schema import TEXT_COLUMNS
from engage_cli.data.tables.options import ReadOptions
from engage_cli.errors import EngageError
from engage_cli.steps.prepare.import_posts import recognise
from tests.sources import encoded, picture, write_archive


def read_folder(folder: Path) -> Import:
    found: Import = IMPORTERS.load(recognise(folder))(folder)
    return found


def row(posts: pd.DataFrame, number: int, *columns: str) -> list[object]:
    return [None if value != value else value for value in posts.iloc[number][list(columns)]]


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_yt_dlp_with_its_usual_names_playlists_and_missing_counts(tmp_path: Path) -> None:
    video = {"id": "a-B_c", "title": "T [x]", "description": "D", "tags": ["u", "v w"], "channel": "C", "_type": "video"}
    counts = {"timestamp": 1_700_000_000, "upload_date": "20231114", "view_count": 5, "like_count": None}
    counts |= {"comment_count": 2, "thumbnails": [{"id": "0"}]}
    name = "T [x] [a-B_c]"
    write_json(tmp_path / f"{name}.info.json", {**video, **counts})
    (tmp_path / f"{name}.webp").write_bytes(b"x")
    other = {
        "id": "7",
        "fulltitle": "F",
        "uploader": "U",
        "upload_date": "20230102",
        "view_count": 9,
        "like_count": 6,
        "repost_count": 3,
    }
    write_json(tmp_path / "deep" / "F [7].info.json", other)
    (tmp_path / "deep" / "F [7].0.jpg").write_bytes(b"x")
    write_json(tmp_path / "C [UC1].info.json", {"_type": "playlist", "id": "UC1", "title": "C", "entries": []})
    (tmp_path / "broken [8].info.json").write_text('{"id": "8"')
    found = read_folder(tmp_path)
    first, second = (found.posts["id"] == "a-B_c").argmax(), (found.posts["id"] == "7").argmax()
    assert len(found.posts) == 2
    assert row(found.posts, first, "title", "tags", "author", "image", "views", "likes", "comments") == [
        "T [x]", "u|v w", "C", f"{name}.webp", 5.0, None, 2.0,
    ]  # fmt: skip
    assert found.posts["posted_at"].iloc[first] == pd.Timestamp(1_700_000_000, unit="s", tz="UTC")
    assert row(found.posts, second, "title", "author", "image", "shares") == ["F", "U", "", 3.0]
    assert found.posts["posted_at"].iloc[second] == pd.Timestamp("2023-01-02", tz="UTC")
    assert any("1 files are of playlists" in note for note in found.warnings)
    assert any("1 *.info.json hold no JSON" in note for note in found.warnings)


def test_instaloader_with_hidden_likes_and_carousels(tmp_path: Path) -> None:
    def post(code: str, likes: int, text: str, **more: object) -> dict:
        node = {
            "shortcode": code, "taken_at_timestamp": 1_600_000_000, "edge_media_preview_like": {"count": likes},
            "edge_media_to_comment": {"count": 4}, "owner": {"username": "me"}, "video_view_count": None,
            "edge_media_to_caption": {"edges": [{"node": {"text": text}}] if text else []}, **more,
        }  # fmt: skip
        return {"node": node, "instaloader": {"version": "4.13", "node_type": "Post"}}

    stem = "2020-09-13_12-26-40_UTC"
    with lzma.open(tmp_path / f"{stem}.json.xz", "wt") as file:
        json.dump(post("Ab1", -1, "Hello #Sun and #sea"), file)
    for number in (1, 2):
        (tmp_path / f"{stem}_{number}.jpg").write_bytes(b"x")
    write_json(tmp_path / "2020-09-14_12-26-40_UTC.json", post("Cd2", 12, "", video_view_count=90))
    (tmp_path / "2020-09-14_12-26-40_UTC.txt").write_text("from the text file", encoding="utf-8")
    (tmp_path / "2020-09-14_12-26-40_UTC.jpg").write_bytes(b"x")
    write_json(tmp_path / "2020-09-15_00-00-00_UTC_profile_pic.json", {"node": {}, "instaloader": {"node_type": "Profile"}})
    found = read_folder(tmp_path)
    posts = found.posts.sort_values("id", ignore_index=True)
    assert row(posts, 0, "id", "title", "tags", "image", "likes", "comments", "views") == [
        "Ab1", "Hello #Sun and #sea", "sun|sea", f"{stem}_1.jpg", None, 4.0, None,
    ]  # fmt: skip
    assert row(posts, 1, "id", "title", "image", "likes", "views") == [
        "Cd2", "from the text file", "2020-09-14_12-26-40_UTC.jpg", 12.0, 90.0,
    ]  # fmt: skip
    assert any("1 files are of profiles" in note for note in found.warnings)


def test_gallery_dl_with_posts_of_several_files(tmp_path: Path) -> None:
    tweet = {"tweet_id": 17, "content": "Hi", "favorite_count": 5, "retweet_count": 2, "reply_count": 1,
             "author": {"name": "me"}, "date": "2021-02-03 04:05:06", "hashtags": ["x"]}  # fmt: skip
    for number in (2, 1):
        write_json(tmp_path / "me" / f"17_{number}.jpg.json", {**tweet, "num": number})
        (tmp_path / "me" / f"17_{number}.jpg").write_bytes(b"x")
    write_json(tmp_path / "me" / "18_1.mp4.json", {**tweet, "tweet_id": 18, "num": 1})
    found = read_folder(tmp_path)
    assert found.posts["id"].tolist() == ["17", "18"]
    assert row(found.posts, 0, "description", "tags", "author", "image", "likes", "shares", "comments") == [
        "Hi", "x", "me", "me/17_1.jpg", 5.0, 2.0, 1.0,
    ]  # fmt: skip
    assert found.posts["posted_at"].iloc[0] == pd.Timestamp("2021-02-03 04:05:06", tz="UTC")
    assert found.posts["image"].tolist()[1] == ""


def test_gallery_dl_of_other_sites_by_their_own_field_names(tmp_path: Path) -> None:
    """As its extractors give them: Instagram's tags carry their sign, TikTok's counts lie one level down."""
    instagram = {
        "category": "instagram",
        "post_id": "192",
        "post_shortcode": "Bq",
        "username": "me",
        "num": 1,
        "likes": 9,
        "date": "2018-11-29 01:04:04",
        "description": "Hi #Sun",
        "tags": ["#Sun"],
        "typename": "GraphImage",
    }
    tiktok = {
        "category": "tiktok",
        "id": "724",
        "desc": "ho",
        "title": "ho",
        "user": "you",
        "author": {"uniqueId": "you"},
        "date": "2023-06-03 10:00:00",
        "createTime": "1685786400",
        "challenges": [{"id": "5", "title": "lamp"}],
        "stats": {"diggCount": 8, "shareCount": 0, "playCount": 98, "commentCount": 1, "collectCount": "3"},
    }
    bluesky = {
        "category": "bluesky",
        "post_id": "3kx",
        "text": "look",
        "author": {"handle": "we.social"},
        "likeCount": 4,
        "replyCount": 2,
        "repostCount": 1,
        "date": "2024-04-01 00:00:00",
        "hashtags": ["art"],
        "num": 1,
    }
    for name, info in (("a", instagram), ("b", tiktok), ("c", bluesky)):
        write_json(tmp_path / f"{name}.jpg.json", info)
        (tmp_path / f"{name}.jpg").write_bytes(b"x")
    found = read_folder(tmp_path)
    columns = ("id", "title", "description", "tags", "author", "views", "likes", "comments", "shares", "favorites")
    assert [row(found.posts, number, *columns) for number in range(3)] == [
        ["192", "", "Hi #Sun", "Sun", "me", None, 9.0, None, None, None],
        ["724", "ho", "ho", "lamp", "you", 98.0, 8.0, 1.0, 0.0, 3.0],
        ["3kx", "", "look", "art", "we.social", None, 4.0, 2.0, 1.0, None],
    ]  # fmt: skip


def test_a_webdataset_without_parquet(tmp_path: Path) -> None:
    members = {
        "000.jpg": encoded(picture(1)), "000.json": b'{"caption": "a", "view_count": 3}',
        "001.png": encoded(picture(2), "PNG"), "001.txt": b"b", "001.json": b'{"view_count": 4}',
    }  # fmt: skip
    write_archive(tmp_path / "00000.tar", members)
    found = read_folder(tmp_path)
    assert found.posts[["id", "title", "views", "image"]].to_dict("records") == [
        {"id": "000", "title": "a", "views": 3.0, "image": "00000/000"},
        {"id": "001", "title": "b", "views": 4.0, "image": "00000/001"},
    ]


def table(tmp_path: Path, name: str, content: str | bytes, **options: object) -> Import:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **options)


def test_kaggles_trending_videos_with_their_switches(tmp_path: Path) -> None:
    text = (
        "video_id,trending_date,title,channel_title,publish_time,tags,views,likes,dislikes,comment_count,thumbnail_link,"
        "comments_disabled,ratings_disabled,video_error_or_removed,description\n"
        'a,17.14.11,T,C,2017-11-13T17:13:01.000Z,"x|""y z""",748,57,2,0,http://i/a.jpg,True,False,False,one\\ntwo\n'
        "b,17.14.11,U,C,2017-11-13T07:30:00.000Z,[none],24,0,0,12,http://i/b.jpg,False,True,False,\n"
    )
    found = table(tmp_path, "USvideos.csv", text)
    assert row(found.posts, 0, "tags", "description", "views", "likes", "comments") == [
        "x|y z",
        "one\ntwo",
        748.0,
        57.0,
        None,
    ]
    assert row(found.posts, 1, "tags", "likes", "dislikes", "comments") == ["", None, None, 12.0]
    assert found.posts["posted_at"].iloc[0] == pd.Timestamp("2017-11-13T17:13:01Z")
    assert any("column 'ratings_disabled' says they are switched off" in note for note in found.warnings)
    assert "image" not in found.found


def test_tiktok_flat_and_nested(tmp_path: Path) -> None:
    flat = {"id": "1", "text": "hey", "createTimeISO": "2024-01-02T03:04:05.000Z", "authorMeta": {"name": "me", "fans": 5},
            "diggCount": 7, "shareCount": 1, "playCount": 99, "collectCount": 3, "commentCount": 2,
            "hashtags": [{"name": "fyp"}], "videoMeta": {"coverUrl": "https://x/1.jpg"}}  # fmt: skip
    nested = {"id": "2", "desc": "ho", "createTime": 1_704_164_645, "author": {"uniqueId": "you"},
              "stats": {"diggCount": 8, "shareCount": 0, "playCount": 98, "commentCount": 1},
              "challenges": [{"id": "5", "title": "lamp"}]}  # fmt: skip
    first = table(tmp_path, "a.jsonl", json.dumps(flat)).posts
    second = table(tmp_path, "b.json", json.dumps([nested])).posts
    outcomes = ("id", "description", "tags", "author", "views", "likes", "comments", "shares")
    assert row(first, 0, *outcomes, "favorites") == ["1", "hey", "fyp", "me", 99.0, 7.0, 2.0, 1.0, 3.0]
    assert row(second, 0, *outcomes) == ["2", "ho", "lamp", "you", 98.0, 8.0, 1.0, 0.0]
    assert first["posted_at"].iloc[0].timestamp() == second["posted_at"].iloc[0].timestamp()


def test_the_instagram_graph_api_with_insights(tmp_path: Path) -> None:
    media = {"id": "9", "caption": "c", "timestamp": "2025-01-02T03:04:05+0000", "like_count": 5, "comments_count": 1,
             "media_url": "https://x/9.jpg", "username": "me",
             "insights": {"data": [{"name": "reach", "values": [{"value": 50}]},
                                   {"name": "saved", "values": [{"value": 2}]},
                                   {"name": "views", "values": [{"value": 80}]}]}}  # fmt: skip
    found = table(tmp_path, "media.json", json.dumps({"data": [media], "paging": {"next": "..."}}))
    assert row(found.posts, 0, "id", "title", "author", "likes", "comments", "views", "favorites") == [
        "9", "c", "me", 5.0, 1.0, 80.0, 2.0,
    ]  # fmt: skip


def test_reddit_and_the_youtube_search(tmp_path: Path) -> None:
    listing = {"kind": "Listing", "data": {"children": [{"kind": "t3", "data": {
        "id": "r1", "title": "T", "selftext": "S", "author": "a", "created_utc": 1_600_000_000.0, "score": 12,
        "num_comments": 3, "subreddit": "pics"}}]}}  # fmt: skip
    found = table(tmp_path, "r.json", json.dumps(listing)).posts
    assert row(found, 0, "id", "title", "description", "author", "likes", "comments") == ["r1", "T", "S", "a", 12.0, 3.0]
    page = {"kind": "youtube#searchListResponse", "items": [{"id": {"kind": "youtube#video", "videoId": "v1"},
            "snippet": {"title": "It&#39;s", "publishedAt": "2024-01-01T00:00:00Z", "channelTitle": "c"},
            "statistics": {"viewCount": "5"}}]}  # fmt: skip
    found = table(tmp_path, "y.json", json.dumps(page)).posts
    assert row(found, 0, "id", "title", "author", "views") == ["v1", "It's", "c", 5.0]


def test_meta_business_suite_of_facebook(tmp_path: Path) -> None:
    text = (
        "Post ID,Page name,Title,Description,Publish time,Permalink,Post type,Date,Impressions,Reach,"
        "Reactions,Comments,Shares\n"
        '1,P,,"D, d",02/03/2026 06:08,https://x,Photos,Lifetime,900,800,20,3,1\n'
    )
    found = table(tmp_path, "fb.csv", text)
    assert row(found.posts, 0, "id", "author", "description", "likes", "comments", "shares") == [
        "1",
        "P",
        "D, d",
        20.0,
        3.0,
        1.0,
    ]
    assert found.posts["posted_at"].iloc[0] == pd.Timestamp("2026-02-03 06:08", tz="UTC")
    assert "views" not in found.found
    assert any("--map views=Impressions" in note for note in found.warnings)


LINES = {
    "cp1252": ("Crème brûlée à la façon d’été", "Über große Brücken und Flüsse gehen", "¿Qué pasó mañana?"),
    "cp932": ("今日の猫の料理をしてみた", "東京の夜景がきれいです", "新しい動画を見てください"),
    "gb18030": ("今天晚上做饭给猫吃", "北京的夜景很漂亮", "我们一起去看电影吧"),
    "cp949": ("오늘 밤 고양이 요리", "서울의 밤은 아름답다", "새로운 영상을 봐주세요"),
    "cp1251": ("Привет мир как готовить ужин", "Красивая ночь в Москве", "Новое видео про кошек"),
}


@pytest.mark.parametrize("encoding", LINES)
def test_other_encodings_are_detected_and_said(encoding: str, tmp_path: Path) -> None:
    text = "id,title,views\n" + "".join(f"v{n},{line},{n}\n" for n, line in enumerate(LINES[encoding] * 5))
    found = table(tmp_path, "posts.csv", text.encode(encoding))
    assert found.posts["title"].tolist() == list(LINES[encoding] * 5)
    assert any(f"is not UTF-8 and was read as {encoding}" in note for note in found.warnings)
    told = table(tmp_path, "told.csv", text.encode(encoding), options=ReadOptions(encoding=encoding))
    assert told.posts["title"].tolist() == found.posts["title"].tolist()


def test_what_is_half_utf_8_is_refused(tmp_path: Path) -> None:
    lines = [f"v{n},{'über größe'},{n}\n".encode("utf-8" if n % 2 else "cp1252") for n in range(20)]
    with pytest.raises(EngageError, match="name it with --encoding"):
        table(tmp_path, "posts.csv", b"id,title,views\n" + b"".join(lines))


def test_quotes_written_with_backslashes(tmp_path: Path) -> None:
    text = 'id,title,description,views\na,"say \\"hi, you\\" now","ends with \\\\",3\nb,"\\"x\\" y",plain,4\n'
    posts = table(tmp_path, "spark.csv", text).posts
    assert posts["title"].tolist() == ['say "hi, you" now', '"x" y']
    assert posts["description"].tolist() == ["ends with \\", "plain"]
    assert posts["views"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "bz2"])
def test_compressed_tables_and_damaged_ones(codec: str, tmp_path: Path) -> None:
    import pyarrow as pa

    suffix = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2"}[codec]
    path = tmp_path / f"posts.csv{suffix}"
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), codec) as stream:
        stream.write(b"id,title,views\na,T,3\n")
    assert recognise(path) == "table"
    assert read_table(path).posts["views"].tolist() == [3.0]
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(EngageError, match=r"is not a complete .* file|is empty"):
        read_table(path)


def test_a_score_alone_and_columns_whose_cells_say_otherwise(tmp_path: Path) -> None:
    found = table(tmp_path, "s.csv", "id,title,score\na,T,0.5\nb,U,-1.5\n")
    assert found.posts["score"].tolist() == [0.5, -1.5]
    found = table(
        tmp_path, "t.csv", "id,name,title,views,date,created\na,n,5,1,Lifetime,2024-01-02\nb,m,6,2,Lifetime,2024-01-03\n"
    )
    assert found.found["posted_at"] == "created"
    assert found.found["title"] == "name"
    with pytest.raises(EngageError, match=r"--map views=my_plays_total_x") as caught:
        table(tmp_path, "u.csv", "id,title,duration,plays_totals\na,T,5,7\n".replace("plays_totals", "my_plays_total_x"))
    assert "duration" not in str(caught.value).split("name one")[1]


def test_the_first_of_several_images_and_names_without_suffix(tmp_path: Path) -> None:
    (tmp_path / "covers").mkdir()
    for name in ("a1.jpg", "a2.jpg", "b"):
        (tmp_path / "covers" / name).write_bytes(encoded(picture(1)))
    text = "id,title,views,images\na,T,1,a1.jpg|a2.jpg\nb,U,2,b\n".replace("images", "image")
    found = table(tmp_path, "p.csv", text, images_dir=tmp_path / "covers")
    assert found.posts["image"].tolist() == ["a1.jpg", "b"]
    found = table(tmp_path, "q.csv", "id,title,views,filename\na1,T,1,v.mp4\nb,U,2,w.mp4\n", images_dir=tmp_path / "covers")
    assert found.posts["image"].tolist() == ["a1.jpg", "b"]


def test_the_docs_name_every_format() -> None:
    text = (Path(__file__).parent.parent / "docs" / "formats.md").read_text(encoding="utf-8").lower()
    named = {"table": "delimited text", "kaggle-trending": "kaggle", "youtube-api": "youtube data api"}
    for name in (*IMPORTERS, *EXPORTS):
        assert named.get(name, name.replace("-", " ")) in text or name in text, name
    assert sum(line.startswith("| ") and "---" not in line for line in text.splitlines()) >= 20


def test_every_format_gives_the_columns_that_all_have(tmp_path: Path) -> None:
    write_json(tmp_path / "x.info.json", {"id": "a", "title": "T", "view_count": 1})
    posts = read_folder(tmp_path).posts
    assert {"id", "image", *TEXT_COLUMNS, "source_row"} <= set(posts)
    assert np.isfinite(posts["views"]).all()
