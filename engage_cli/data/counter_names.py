"""Under which names counters stand in tables, so that importers find them and no model is given one."""

from __future__ import annotations

import re
import unicodedata

from engage_cli.data.schema import ALL_COUNTERS, SCORE

# Other names of counters, without case, punctuation and the words around them (NAME_FRAME): found by importers, and
# refused as features.
COUNTER_ALIASES = {
    "views": (
        *("view", "play", "plays", "playcount", "viewcount", "videoviews", "videoplays", "watches", "hits", "pageviews"),
        *(
            "播放量",
            "播放数",
            "播放",
            "播放次数",
            "观看量",
            "观看",
            "观看次数",
            "浏览量",
            "浏览",
            "阅读量",
            "阅读数",
            "阅读",
        ),
        *("播放數", "觀看次數", "視聴回数", "再生回数", "再生数", "조회수", "aufrufe", "vues", "vistas", "visualizaciones"),
        *("reproducciones", "visualizações", "visualizacoes", "visualizzazioni", "weergaven", "просмотры", "wyświetlenia"),
        *("görüntülemeler", "görüntüleme", "lượtxem", "penayangan"),
    ),
    "likes": (
        *(
            "like",
            "digg",
            "diggs",
            "thumbup",
            "thumbups",
            "thumbsup",
            "heart",
            "hearts",
            "upvote",
            "upvotes",
            "ups",
            "faves",
        ),
        *(
            "reaction",
            "reactions",
            "applause",
            "claps",
            "pluses",
            "点赞",
            "点赞数",
            "点赞量",
            "获赞",
            "赞",
            "点赞次数",
            "喜欢",
        ),
        *(
            "喜欢数",
            "按讚",
            "高評価数",
            "高評価",
            "いいね",
            "いいね数",
            "좋아요",
            "좋아요수",
            "gefälltmir",
            "magichbewertungen",
        ),
        *("jaime", "mentionsjaime", "megusta", "curtidas", "gostei", "mipiace", "лайки", "лайков", "нравится", "beğeni"),
        "vindikleuk",
    ),
    "comments": (
        *(
            "comment",
            "reply",
            "replies",
            "answers",
            "commenti",
            "评论",
            "评论数",
            "评论量",
            "留言",
            "留言数",
            "回复",
            "回复数",
        ),
        *(
            "コメント",
            "コメント数",
            "댓글",
            "댓글수",
            "kommentare",
            "commentaires",
            "comentarios",
            "comentários",
            "opmerkingen",
        ),
        *("комментарии", "комментариев", "yorumlar", "yorum", "komentarze"),
    ),
    "shares": (
        *(
            "share",
            "retweet",
            "retweets",
            "repost",
            "reposts",
            "forward",
            "forwards",
            "crossposts",
            "reblogs",
            "分享",
            "分享数",
        ),
        *(
            "分享量",
            "转发",
            "转发数",
            "转发量",
            "シェア",
            "共有数",
            "공유",
            "공유수",
            "geteilteinhalte",
            "partages",
            "compartidos",
        ),
        *("compartilhamentos", "condivisioni", "репосты", "paylaşım"),
    ),
    "favorites": (
        *("favorite", "favourite", "favourites", "bookmark", "bookmarks", "save", "saves", "saved", "collect", "collects"),
        *(
            "collected",
            "collection",
            "collections",
            "pinned",
            "repins",
            "收藏",
            "收藏数",
            "收藏量",
            "保存",
            "保存数",
            "저장",
        ),
        *("gespeichert", "enregistrements", "guardados", "salvos", "salvataggi"),
    ),
    "coins": ("coin", "投币", "投币数", "投币量", "硬币", "硬币数"),
    "barrages": ("barrage", "danmaku", "danmakus", "danmu", "弹幕", "弹幕数", "弹幕量"),
    "dislikes": ("dislike", "thumbdown", "thumbsdown", "downvote", "downvotes", "downs", "bury", "低評価数"),
}
# How often a post was shown, and what else is known only afterwards: none of it is read as a counter but by --map.
EXPOSURES = ("impressions", "impression", "reach", "reached", "accountsreached", "展现量", "曝光量", "曝光", "impressionen")
KNOWN_AFTER_ALIASES = (
    *("engagement", "engagements", "engagementrate", "interactions", "clicks", "linkclicks", "ctr", "clickthroughrate"),
    *("impressionsclickthroughrate", "watchtime", "watchtimehours", "averageviewduration", "averagepercentageviewed"),
    *("retention", "completionrate", "profilevisits", "profileactivity", "estimatedrevenue", "revenue", "rpm", "cpm"),
    *("subscribersgained", "subscriberslost", "followersgained", "follows", "uniqueviewers", "likeratio", "likesratio"),
    *(
        "viewsperday",
        "viewsperhour",
        "trendingrank",
        "upvoteratio",
        "awards",
        "scorehidden",
        "minuteswatched",
        "完播率",
        "涨粉",
    ),
)
# Words around a counter's name that say nothing of what it counts: statistics.viewCount, Total likes, num_comments.
NAME_FRAME = frozenset(
    (
        *(
            "statistics",
            "stats",
            "stat",
            "video",
            "videos",
            "post",
            "posts",
            "media",
            "item",
            "public",
            "metrics",
            "metric",
        ),
        *(
            "data",
            "node",
            "total",
            "lifetime",
            "reel",
            "reels",
            "tweet",
            "pin",
            "note",
            "photo",
            "insights",
            "aweme",
            "article",
        ),
        *(
            "count",
            "counts",
            "counter",
            "number",
            "numbers",
            "num",
            "nums",
            "cnt",
            "no",
            "of",
            "n",
            "organic",
            "sum",
            "all",
        ),
        *("current", "latest", "final", "snippet", "the", "yt", "ig", "tt"),
    )
)


def plain_name(name: str) -> str:
    """Fold case, width and punctuation: " Ｖiew_Count " and "viewcount" are one name."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


def core_name(name: str) -> str:
    """As `plain_name`, without the words around it: "statistics.viewCount" is "view", "Total likes" is "likes"."""
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    words = re.findall(r"[^\W_]+", spread.casefold())
    return "".join(word for word in words if word not in NAME_FRAME)


def counter_named(name: str) -> str | None:
    """Return the counter that a column of this name holds, under any usual spelling; None where it is another's name."""
    names = (plain_name(name), core_name(name))
    for ours in ALL_COUNTERS:
        if any(one in (ours, *COUNTER_ALIASES[ours]) for one in names):
            return ours
    return None


def counter_hinted(name: str) -> str | None:
    """Return the counter that one word of a name is of: "my plays of May" may be views. A hint, and no more."""
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    words = set(re.findall(r"[^\W_]+", spread.casefold()))
    return next((ours for ours in ALL_COUNTERS if words & {ours, *COUNTER_ALIASES[ours]}), None)


def is_exposure_name(name: str) -> bool:
    return any(one in EXPOSURES for one in (plain_name(name), core_name(name)))


def is_counter_name(name: str) -> bool:
    """Say whether a column of this name is one that is known only after publication, under any usual spelling."""
    names = (plain_name(name), core_name(name))
    is_other = any(one in (SCORE, *EXPOSURES, *KNOWN_AFTER_ALIASES) for one in names)
    return is_other or counter_named(name) is not None
