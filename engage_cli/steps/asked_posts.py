"""Posts that are asked about, as the table that a run reads: cleaned as `prepare` cleans them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from engage_cli.core.cells import clean_text
from engage_cli.core.errors import WrongCallError
from engage_cli.core.history import add_time
from engage_cli.core.number_cells import parse_scores
from engage_cli.core.posts import OWN
from engage_cli.core.predictors import extra_columns, members_of
from engage_cli.core.progress import Reporter
from engage_cli.core.runs import Run
from engage_cli.core.table_parts.columns import NUMBER, Time


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What a run reads of a post beside its cover and texts."""

    run: str  # what sentences call it
    columns: Mapping[str, str]  # column of the table -> a number or a category
    date: bool  # even where no column is made of it


def reads_of(run: Run) -> Reads:
    has_date = any(member.meta.get("reads_date") for member in members_of(run))
    return Reads(run=str(run.folder), columns=extra_columns(run), date=has_date)


def make_posts(
    reads: Reads,
    pairs: Sequence[tuple[str, str]],
    *,
    tags: str,
    description: str,
    posted_at: str,
    columns: Mapping[str, str],
    reporter: Reporter,
) -> pd.DataFrame:
    """Return a row for each (image, title). What the run was trained on and is not given is said."""
    texts = [tags, description, *(title for _, title in pairs)]
    tags, description, *titles = clean_text(pd.Series([as_unicode(text) for text in texts], dtype=str)).tolist()
    posts = pd.DataFrame(
        {
            "id": [f"post {number}" for number in range(1, len(pairs) + 1)],
            "image": [image for image, _ in pairs],
            "title": pd.Series(titles, dtype=str),
            "tags": pd.Series([tags] * len(pairs), dtype=str),
            "description": pd.Series([description] * len(pairs), dtype=str),
        }
    )
    if posts.duplicated(["image", "title"]).any():
        raise WrongCallError("an image or a title is given twice (but for spaces); give each once")
    if posted_at:
        posts = add_time(posts.assign(posted_at=_parse_moment(posted_at)), has_hours=":" in posted_at)
    posts = _add_columns(posts, reads, columns, reporter)
    if "posted_at" not in posts and reads.date:
        reporter.say("without a date: give --posted-at, the run was trained on it")
    if not posts["title"].any():
        reporter.say("no --title: the model predicts from the image (and tags, description) alone")
    return posts


def as_unicode(text: str) -> str:
    """What the shell handed over in another encoding than UTF-8 comes as lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _parse_moment(text: str) -> pd.Timestamp:
    moment = pd.to_datetime(text, errors="coerce", utc=True)
    if pd.isna(moment):
        raise WrongCallError(f"--posted-at '{text}' is no date; write it as 2026-11-24 or 2026-11-24T18:30")
    return moment


def _add_columns(posts: pd.DataFrame, reads: Reads, values: Mapping[str, str], reporter: Reporter) -> pd.DataFrame:
    """Add the further columns that the run was trained on; say which ones are not given."""
    wanted = {name.removeprefix(OWN): (name, kind) for name, kind in reads.columns.items()}
    for name, value in ((name, as_unicode(value)) for name, value in values.items()):
        if name not in wanted:
            there = ", ".join(wanted) or "none"
            raise WrongCallError(f"--with {name}: {reads.run} was trained without it; it was given: {there}")
        column, kind = wanted[name]
        if kind == NUMBER:
            number = parse_scores(pd.Series([value]))
            if number.unusable[0]:
                raise WrongCallError(f"--with {name}={value}: '{value}' is no number")
            posts[column] = float(number.values[0])
        else:
            posts[column] = str(clean_text(pd.Series([value])).iloc[0])
    missing = [name for name, (column, _) in wanted.items() if column not in posts]
    if times := [name for name in missing if name in Time.names]:
        reporter.say(f"without {', '.join(times)}: give --posted-at, the run was trained on it")
    if missing := [name for name in missing if name not in times]:
        reporter.say(f"without {', '.join(missing)}: give it as in --with {missing[0]}=..., the run was trained on it")
    return posts
