"""The table of posts: its columns, when each is known, and the texts that a model reads."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from engage_cli.errors import WrongCallError

TEXT_COLUMNS = ("title", "tags", "description")
CONTENT_COLUMNS = ("id", "image", *TEXT_COLUMNS, "author", "posted_at")
# Columns of the user's own that `--keep` declares known before publication are stored under this prefix.
OWN = "own."
# Computed by data.authors.history from the date and from what the author's earlier posts earned.
AUTHOR_COLUMNS = (
    "author_posts",
    "author_median_views",
    "author_is_new",
    "author_success",
    "author_trend",
    "author_posts_per_week",
    "author_days_since_last",
)
HISTORY_COLUMNS = ("hour", "weekday", *AUTHOR_COLUMNS)
# When a post's counters were read. No model is given it: of it the age is made, which is chosen before publication.
OBSERVED_AT = "observed_at"
LOG_AGE = "log_age"  # computed by data.ages
DATES = ("posted_at", OBSERVED_AT)
# What prepare adds; none of it is computed from a counter.
GIVEN_PART = "given_part"  # of --split-from COLUMN, until the split is made
GIVEN_GROUP = "given_group"  # of --group COLUMN, until the groups are made
# Of a randomised test: which one a post is a variant of, and which image it had where there is no file of it. They come
# before publication, and only say which posts are compared with which: no model reads them.
EXPERIMENT, IMAGE_ID = "experiment", "image_id"
EXPERIMENT_COLUMNS = (EXPERIMENT, IMAGE_ID)
BOOKKEEPING_COLUMNS = ("source", "source_row", "image_hash", "image_problem", "group", "split")
KNOWN_BEFORE = (*CONTENT_COLUMNS, *HISTORY_COLUMNS, LOG_AGE, *BOOKKEEPING_COLUMNS, *EXPERIMENT_COLUMNS)

COUNTERS = ("views", "likes", "comments", "shares", "favorites")
EXTRA_COUNTERS = ("coins", "barrages", "dislikes")
ALL_COUNTERS = (*COUNTERS, *EXTRA_COUNTERS)
SCORE = "score"  # a measure of success that the source gives ready-made, without counters
# How often a post was shown, and how often that succeeded, as by a click.
EXPOSURE, OUTCOME = "exposure", "outcome"
KNOWN_AFTER = (*ALL_COUNTERS, SCORE, OUTCOME, EXPOSURE)
# The lettering on the cover, read off the image (the extra `covers`): in no table, but added where a model reads it.
COVER_TEXT = "cover_text"
TEXT_BLOCKS = ("title", "context", "text", COVER_TEXT)
BLOCKS = ("image", *TEXT_BLOCKS)
EMBEDDED = ("image", "title", "context", "text")  # unless other blocks are asked for


def is_known_before(column: str) -> bool:
    """Say whether a column of the table is known before publication. Whatever is not listed is not."""
    return column in (*KNOWN_BEFORE, COVER_TEXT) or column.startswith(OWN)


def table_columns(columns: Iterable[str]) -> list[str]:
    """Return those of the columns that posts.parquet holds, in its order."""
    present = list(columns)
    own = [column for column in present if column.startswith(OWN)]
    bookkeeping = (*BOOKKEEPING_COLUMNS, *EXPERIMENT_COLUMNS, OBSERVED_AT)
    order = (*CONTENT_COLUMNS, *own, *HISTORY_COLUMNS, LOG_AGE, *bookkeeping, *KNOWN_AFTER)
    return [column for column in order if column in present]


def parse_blocks(text: str, *, also: Iterable[str] = ()) -> tuple[str, ...]:
    """Parse "image,title" into block names; raise WrongCallError, with those that exist (`also` too), for anything else."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or set(names) - set(BLOCKS) or len(set(names)) < len(names):
        raise WrongCallError(f"--blocks '{text}': name one or more of these, each once: {', '.join((*BLOCKS, *also))}")
    return names


def side_of(block: str) -> str:
    """Return which encoder reads a block: "vision" or "text"."""
    return "vision" if block == "image" else "text"


def texts_of(posts: pd.DataFrame, block: str) -> list[str]:
    """Return the string of each post for a text block; empty where the post has none.

    `title` is the title, `context` is tags and description, `text` is all three: the title first, so that an
    encoder with a short window cuts the description. `cover_text` is the lettering on the cover.
    """
    columns = {
        "title": ("title",),
        "context": ("tags", "description"),
        "text": TEXT_COLUMNS,
        COVER_TEXT: (COVER_TEXT,),
    }[block]
    present = [posts[column].fillna("").astype(str).tolist() for column in columns if column in posts.columns]
    if not present:
        return [""] * len(posts)
    return [". ".join(part for part in row if part) for row in zip(*present, strict=True)]
