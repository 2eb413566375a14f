"""Words that stand beside numbers: what multiplies them, what they count, and what stands where there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engage_cli.data.cells.texts import NOTHING

# What stands where a counter is hidden, switched off or was not collected.
UNKNOWN = (
    *NOTHING,
    *("hidden", "disabled", "unavailable", "not available", "unknown", "private", "off", "not shown", "#n/a", "#value!"),
    *("--", "—", "–", "?", "n.a.", "(null)", "\\n", "[none]", "false", "隐藏", "未知", "暂无", "无", "非公開", "비공개"),
)
MULTIPLIERS = {
    **dict.fromkeys(("k", "tsd", "tsd.", "mil", "тыс", "тыс.", "rb", "bin", "tis.", "tys.", "千", "仟", "천"), 1e3),
    **dict.fromkeys(("w", "万", "萬", "만"), 1e4),
    **dict.fromkeys(("lakh", "lakhs", "lac"), 1e5),
    **dict.fromkeys(
        ("m", "mn", "mn.", "mln", "mln.", "mio", "mio.", "mi", "million", "millions", "млн", "млн.", "jt"), 1e6
    ),
    **dict.fromkeys(("crore", "crores"), 1e7),
    **dict.fromkeys(("亿", "億", "억"), 1e8),
    **dict.fromkeys(("b", "bn", "mrd", "mrd.", "md", "mld", "billion", "billions", "млрд", "млрд."), 1e9),
}
UNITS = (
    *("views", "view", "plays", "play", "likes", "like", "comments", "comment", "shares", "share", "followers", "follower"),
    *(
        "subscribers",
        "subscriber",
        "reposts",
        "retweets",
        "saves",
        "times",
        "次观看",
        "次播放",
        "次觀看",
        "次",
        "播放",
        "观看",
    ),
    *(
        "阅读",
        "赞",
        "人",
        "回視聴",
        "回再生",
        "回",
        "조회수",
        "회",
        "件",
        "Aufrufe",
        "Aufruf",
        "vues",
        "vue",
        "visualizaciones",
    ),
    *(
        "visualización",
        "vistas",
        "visualizações",
        "visualização",
        "visualizzazioni",
        "weergaven",
        "просмотров",
        "просмотра",
    ),
    *("просмотр", "wyświetleń", "görüntüleme", "lượt xem", "ditonton"),
)


def one_of(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


UNIT = f"(?:{one_of(UNITS)})"
MULTIPLIER = f"(?:{one_of(tuple(MULTIPLIERS))})"
