"""Columns that say that a counter is hidden or switched off, so that the zero beside it is not a count."""

from __future__ import annotations

from collections.abc import Iterable

from engage_cli.data.counter_names import plain_name

# A name without case and punctuation -> the counters that it is about.
OFF = {
    "commentsdisabled": ("comments",),
    "commentdisabled": ("comments",),
    "commentsoff": ("comments",),
    "commentsturnedoff": ("comments",),
    "commentingdisabled": ("comments",),
    "hascommentsdisabled": ("comments",),
    "ratingsdisabled": ("likes", "dislikes"),
    "likesdisabled": ("likes",),
    "likeshidden": ("likes",),
    "hidelikes": ("likes",),
    "hidelikecount": ("likes",),
    "likeandviewcountsdisabled": ("likes", "views"),
    "hidelikeandviewcounts": ("likes", "views"),
    "viewshidden": ("views",),
    "sharesdisabled": ("shares",),
}
ON = {
    "commentsenabled": ("comments",),
    "iscommentenabled": ("comments",),
    "iscommentable": ("comments",),
    "allowcomments": ("comments",),
    "ratingsenabled": ("likes", "dislikes"),
    "averageratingallowed": ("likes", "dislikes"),
    "likesenabled": ("likes",),
}


def find_switches(columns: Iterable[str]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Return each such column -> (counters of ours, what it says where they are off)."""
    found: dict[str, tuple[tuple[str, ...], bool]] = {}
    for column in columns:
        plain = plain_name(column)
        if plain in OFF:
            found[column] = (OFF[plain], True)
        elif plain in ON:
            found[column] = (ON[plain], False)
    return found
