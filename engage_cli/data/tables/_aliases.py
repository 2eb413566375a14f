"""The names that columns have in tables and exports, in several languages, and what the cells below them must look like."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from engage_cli.data.cells._dates import parse_dates
from engage_cli.data.cells.numbers import parse_counters
from engage_cli.data.counter_names import COUNTER_ALIASES, core_name, plain_name
from engage_cli.data.schema import ALL_COUNTERS, DATES
from engage_cli.images.decode import IMAGE_SUFFIXES

# Compared without case and punctuation, as they stand and without the words around them: viewCount, view_count and "View
# count" are one, and so are video_title and title. The more certain name stands first.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": (
        *("itemid", "postid", "videoid", "mediaid", "awemeid", "noteid", "tweetid", "shortcode", "bvid", "aid", "pid"),
        *(
            "uuid",
            "statusid",
            "displayid",
            "articleid",
            "视频id",
            "笔记id",
            "作品id",
            "动态id",
            "動画id",
            "投稿id",
            "게시물id",
        ),
        *("beitragsid", "identifiantdelapublication", "identificadordelapublicación", "key"),
    ),
    "image": (
        *(
            "imagepath",
            "imagefile",
            "imagefilename",
            "imagename",
            "thumbnailpath",
            "thumbnailfile",
            "coverpath",
            "coverfile",
        ),
        *(
            "filename",
            "file",
            "filepath",
            "thumbnail",
            "cover",
            "image",
            "photo",
            "img",
            "imageid",
            "path",
            "封面",
            "封面图",
            "图片",
        ),
    ),
    "title": (
        *("caption", "headline", "videotitle", "posttitle", "name", "subject", "标题", "視頻標題", "视频标题", "笔记标题"),
        *("作品标题", "タイトル", "動画のタイトル", "제목", "titel", "videotitel", "titre", "titredelavidéo", "título"),
        *("títulodelvídeo", "títulodelvideo", "títulodovídeo", "titolo", "titolodelvideo", "название", "названиевидео"),
        *("заголовок", "tytuł", "başlık", "bildunterschrift", "légende", "leyenda", "legenda", "didascalia", "文案"),
    ),
    "tags": (
        *("tag", "hashtags", "hashtag", "keywords", "keyword", "labels", "topics", "标签", "話題", "话题", "タグ", "태그"),
        *(
            "schlagwörter",
            "motsclés",
            "etiquetas",
            "palabrasclave",
            "теги",
            "etykiety",
            "etiketler",
            "category",
            "categories",
        ),
    ),
    "description": (
        *(
            "lede",
            "desc",
            "body",
            "text",
            "summary",
            "message",
            "selftext",
            "content",
            "fulltext",
            "videodescription",
            "简介",
            "描述",
        ),
        *("正文", "内容", "笔记内容", "視頻描述", "説明", "概要", "本文", "설명", "내용", "beschreibung", "texte"),
        *("descripción", "descrição", "descrizione", "beschrijving", "описание", "текст", "opis", "açıklama"),
    ),
    "author": (
        *("authorid", "authorname", "username", "user", "userid", "channeltitle", "channelname", "channel", "channelid"),
        *(
            "uploader",
            "uploaderid",
            "creator",
            "creatorname",
            "accountusername",
            "accountname",
            "account",
            "accountid",
            "handle",
        ),
        *(
            "ownerusername",
            "owner",
            "ownerid",
            "profile",
            "profilename",
            "pagename",
            "screenname",
            "nickname",
            "authorusername",
        ),
        *(
            "authormetaname",
            "authoruniqueid",
            "subreddit",
            "作者",
            "up主",
            "博主",
            "博主昵称",
            "昵称",
            "用户名",
            "作者昵称",
        ),
        *(
            "投稿者",
            "チャンネル",
            "チャンネル名",
            "채널",
            "작성자",
            "kanal",
            "nutzername",
            "chaîne",
            "compte",
            "canal",
            "cuenta",
        ),
        *("autor", "autore", "автор", "канал", "autordelvideo", "hesap"),
    ),
    "posted_at": (
        *("publishedat", "postedat", "publishtime", "publisheddate", "publishdate", "publicationdate", "publishedtime"),
        *(
            "createdat",
            "createdutc",
            "createtime",
            "createtimeiso",
            "creationdate",
            "created",
            "posttime",
            "postdate",
            "posteddate",
        ),
        *("uploaddate", "uploadedat", "uploadtime", "uploaded", "releasedate", "released", "releasetimestamp", "takenat"),
        *(
            "takenattimestamp",
            "datetime",
            "dateposted",
            "pubdate",
            "published",
            "posted",
            "timestamp",
            "date",
            "time",
            "day",
        ),
        *(
            "发布时间",
            "发布日期",
            "发表时间",
            "创建时间",
            "上传时间",
            "日期",
            "时间",
            "發布時間",
            "投稿日時",
            "投稿日",
            "公開日",
            "公開日時",
        ),
        *("動画公開時刻", "게시일", "업로드일", "게시시간", "동영상게시시간", "veröffentlichungsdatum", "veröffentlichtam"),
        *(
            "veröffentlichungszeitpunktdesvideos",
            "datum",
            "datedepublication",
            "heuredepublicationdelavidéo",
            "fechadepublicación",
        ),
        *("horadepublicacióndelvídeo", "horadepublicación", "fecha", "datadepublicação", "horáriodepublicaçãodovídeo"),
        *("datadipubblicazione", "oradipubblicazione", "датапубликации", "времяпубликациивидео", "дата", "datapublikacji"),
        *("yayınlanmatarihi", "tarih"),
    ),
    # When the counters were read.
    "observed_at": (
        *("crawledat", "crawltime", "crawldate", "crawltimestamp", "crawled", "scrapedat", "scrapetime", "scrapedate"),
        *("scrapetimestamp", "scrapedtime", "scraped", "fetchedat", "fetchtime", "fetched", "retrievedat", "retrievedon"),
        *("retrievedutc", "retrieved", "collectedat", "collectedon", "collectiontime", "collectiondate", "capturedat"),
        *("observationtime", "observationdate", "snapshotat", "snapshottime", "snapshotdate", "trendingdate", "epoch"),
        *("asof", "采集时间", "抓取时间", "爬取时间", "取得日時", "수집일시"),
    ),
    **COUNTER_ALIASES,
}
ADDRESS = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?//|^www\.", re.IGNORECASE)
OTHER_MEDIA = re.compile(r"\.(?:mp4|mov|mkv|webm|avi|m4v|mp3|m4a|wav|txt|json|html?|csv|pdf)$", re.IGNORECASE)
ADDRESSES = "addresses"
SAMPLE = 500  # filled cells that are looked at
MOST_ODD = 0.5  # of them that do not look like what the name says
LONG = 200  # signs; who writes more does not write a name


def candidates(columns: list[str]) -> dict[str, list[str]]:
    """Return our column -> the file's columns whose names may mean it, the most certain first."""
    names = [(column, plain_name(column), core_name(column)) for column in columns]
    found: dict[str, list[str]] = {}
    for ours, aliases in ALIASES.items():
        wanted = (plain_name(ours), *aliases)
        ranked: list[str] = []
        for name in wanted:
            ranked += [column for column, plain, _ in names if plain == name and column not in ranked]
        for name in wanted:
            ranked += [column for column, _, core in names if core == name and column not in ranked]
        found[ours] = ranked
    return found


def sample_of(column: pd.Series) -> pd.Series:
    """Return the first filled cells, stripped."""
    cells = column.iloc[: 20 * SAMPLE].str.strip()
    cells = cells[cells != ""]
    if cells.empty and len(column) > 20 * SAMPLE:
        cells = column[column.str.strip() != ""].str.strip()
    return cells.iloc[:SAMPLE]


def looks_like(ours: str, cells: pd.Series, *, is_number: bool = False) -> str:
    """Return "" where cells look like what our column holds, else what they are instead."""
    if ours in ALL_COUNTERS:
        numbers = parse_counters(cells, is_typed=is_number)
        if numbers.unusable.mean() > MOST_ODD and not numbers.problem:
            return "no counts"
    elif ours in DATES:
        dates = parse_dates(cells, now=pd.Timestamp("2200-01-01", tz="UTC"))
        if dates.unusable.mean() > MOST_ODD and not dates.problem:
            return "no dates"
    elif ours == "image":
        if cells.str.contains(ADDRESS).mean() > MOST_ODD:
            return ADDRESSES
        if cells.str.contains(OTHER_MEDIA).mean() > MOST_ODD:
            return "other files than images"
    elif ours in ("title", "description"):
        if cells.str.contains(ADDRESS).mean() > MOST_ODD:
            return ADDRESSES
        if _are_numbers(cells):
            return "numbers"
        if cells.str.lower().str.endswith(IMAGE_SUFFIXES).mean() > MOST_ODD:
            return "names of files"
    elif ours == "author":
        if (cells.str.len() > LONG).mean() > MOST_ODD or cells.str.startswith("{").mean() > MOST_ODD:
            return "no names"
    elif ours == "id" and (cells.str.len() > LONG).mean() > MOST_ODD:
        return "no ids"
    return ""


def _are_numbers(cells: pd.Series) -> bool:
    return bool(np.isfinite(pd.to_numeric(cells, errors="coerce")).mean() > 1 - MOST_ODD / 10)
