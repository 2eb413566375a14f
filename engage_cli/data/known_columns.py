"""Kept columns that say what every platform has of a post: how many follow its author, how long it lasts, its category."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from engage_cli.data.counter_names import plain_name
from engage_cli.data.schema import OWN

FOLLOWERS, DURATION, CATEGORY = "followers", "duration", "category"
NUMBER_ROLES = (FOLLOWERS, DURATION)
# Compared as `plain_name` writes them.
NAMES: dict[str, tuple[str, ...]] = {
    FOLLOWERS: (
        *("followers", "followercount", "followerscount", "numfollowers", "channelfollowercount", "fans", "fanscount"),
        *("subscribers", "subscribercount", "subscriberscount", "numsubscribers", "channelsubscribers", "userfollowers"),
        *("粉丝", "粉丝数", "粉丝量", "登録者数", "チャンネル登録者数", "구독자수", "abonnenten", "abonnés", "seguidores"),
    ),
    DURATION: (
        *("duration", "videoduration", "durationseconds", "durationsec", "durations", "videolength", "lengthseconds"),
        *("时长", "视频时长", "再生時間", "動画の長さ", "재생시간", "dauer", "durée", "duración", "duração"),
    ),
    CATEGORY: ("category", "categoryid", "categoryname", "videocategory", "genre", "分区", "分类", "カテゴリ", "카테고리"),
}


def role_of(column: str) -> str | None:
    """Return what a kept column says, by its name; None where that is not known."""
    plain = plain_name(column.removeprefix(OWN))
    return next((role for role, names in NAMES.items() if column.startswith(OWN) and plain in names), None)


def known_columns(columns: Iterable[str]) -> list[str]:
    """Return those of the columns whose role is known."""
    return [column for column in columns if role_of(column) is not None]


def log_of_role(posts: pd.DataFrame, role: str) -> np.ndarray:
    """(n,) log1p of the first column of this role that holds numbers; NaN where unknown or below 0."""
    for column in posts.columns:
        if role_of(str(column)) == role and pd.api.types.is_numeric_dtype(posts[column]):
            values = posts[column].to_numpy(np.float64)
            return np.log1p(np.where(values >= 0, values, np.nan))
    return np.full(len(posts), np.nan)
