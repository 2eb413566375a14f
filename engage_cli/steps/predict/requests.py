"""Posts that are asked about, as the table that a run reads: cleaned as `prepare` cleans them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from engage_cli.data.authors.history import add_time
from engage_cli.data.cells.numbers import parse_scores
from engage_cli.data.cells.texts import clean_text
from engage_cli.data.schema import LOG_AGE, OWN
from engage_cli.data.table_format import ColumnFormat
from engage_cli.errors import WrongCallError
from engage_cli.features.groups.columns import NUMBER, Time
from engage_cli.models.predictor import extra_columns, members_of
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.run_folder import Run
from engage_cli.steps.inputs.sources import sees_images
from engage_cli.steps.predict._asked_age import add_asked_age
from engage_cli.steps.predict._publication_date import parse_publication_date
from engage_cli.uncertainty.neighbours import Neighbours

IMAGE = "image"  # the block of the cover
OPTION = re.compile(r"--(posted-at|after|with|title|tags|description)\b(?!-)")  # which are fields of a line, too

LONGEST_TEXT = 65_536  # characters of one text: no post has more, and every explanation reads it dozens of times


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What a run reads of a post beside its cover and texts."""

    run: str  # what sentences call it
    columns: Mapping[str, str]  # column of the table -> a number or a category
    date: bool  # even where no column is made of it
    median_age: float | None = None  # days, of the counters of its training posts
    table: Mapping[str, ColumnFormat] = field(default_factory=dict)  # how the run's own table wrote each column


def reads_of(run: Run) -> Reads:
    has_date = any(member.meta.reads_date for member in members_of(run))
    return Reads(
        run=str(run.folder),
        columns=extra_columns(run),
        date=has_date,
        median_age=run.meta.data.median_age,
        table=run.meta.data.table,
    )


def make_posts(
    reads: Reads,
    pairs: Sequence[tuple[str, str]],
    *,
    tags: str,
    description: str,
    posted_at: str,
    columns: Mapping[str, str | float],
    reporter: Reporter,
    after: str = "",
) -> pd.DataFrame:
    """Return a row for each (image, title). Reports the columns that the run was trained with and that are missing.

    `after` is how long after publication the prediction is for.

    Dates, and numbers that are texts, are read as the run's own table was.
    """
    texts = [tags, description, *(title for _, title in pairs)]
    given = [(name, value) for name, value in columns.items() if isinstance(value, str)]
    for name, text in (*zip(("--tags", "--description", *["--title"] * len(pairs)), texts, strict=True), *given):
        if len(text) > LONGEST_TEXT:
            raise WrongCallError(f"{name} has {len(text):,} characters; shorten it to {LONGEST_TEXT:,}")
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
        raise WrongCallError("two images or titles are equal except for spaces; give each once")
    if posted_at:
        order = reads.table["posted_at"].date_order if "posted_at" in reads.table else ""
        date = parse_publication_date(as_unicode(posted_at), order)
        posts = add_time(posts.assign(posted_at=date.moment), has_hours=date.has_time)
    posts = add_asked_age(posts, after, reads=reads.columns, median_age=reads.median_age, run=reads.run, say=reporter.say)
    posts = _add_columns(posts, reads, columns, reporter)
    if "posted_at" not in posts and reads.date:
        reporter.say(
            "no publication date is given: the answer is for an unknown one. If you know it, give --posted-at, "
            "as in --posted-at 2026-12-01T18:00"
        )
    if not posts["title"].any():
        reporter.say("no --title: predicting from the image, tags and description only")
    return posts


def has_seen_covers(run: Run, known: Neighbours | None) -> bool:
    """Whether any of the posts that the run learned from had a cover that it looked at.

    A run that reads covers, of posts that had none, met the same stand-in in the place of each. `known` are the training
    posts that it keeps.
    """
    if not any(sees_images(member) for member in members_of(run)):
        return False
    if known is None or IMAGE not in known.spaces:
        return True  # it measures covers and embeds none, or keeps no posts to tell by
    points = known.spaces[IMAGE].points
    return bool((points != points[:1]).any())


def in_fields(sentence: str) -> str:
    """Name the fields of a line in a sentence that was written for the command line: posted_at for --posted-at."""
    return OPTION.sub(lambda found: found.group(1).replace("-", "_"), sentence)


def as_unicode(text: str) -> str:
    """What the shell handed over in another encoding than UTF-8 comes as lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _add_columns(posts: pd.DataFrame, reads: Reads, values: Mapping[str, str | float], reporter: Reporter) -> pd.DataFrame:
    """Add the further columns that the run was trained on; say which ones are not given."""
    wanted = {name.removeprefix(OWN): (name, kind) for name, kind in reads.columns.items() if name != LOG_AGE}
    for name, given in values.items():
        value = as_unicode(str(given))
        if name not in wanted:
            there = ", ".join(wanted) or "none"
            raise WrongCallError(f"--column {name}: {reads.run} was trained without it; its columns are: {there}")
        column, kind = wanted[name]
        if kind == NUMBER:
            written = reads.table[column].decimal if column in reads.table else ""
            number = parse_scores(pd.Series([value]), decimal=written if isinstance(given, str) else ".")
            if number.problem:
                raise WrongCallError(f"--column {name}={value}: '{value}' is ambiguous; write it with a dot alone")
            if number.unusable[0]:
                like = " with a comma before its decimals, as in the run's own table" if written == "," else ""
                raise WrongCallError(f"--column {name}={value}: '{value}' is not a number{like}")
            posts[column] = float(number.values[0])
        else:
            posts[column] = str(clean_text(pd.Series([value])).iloc[0])
    missing = [name for name, (column, _) in wanted.items() if column not in posts]
    times = [name for name in missing if name in Time.names]
    if times and ("posted_at" in posts or not reads.date):  # else the note about the date covers them
        reporter.say(f"not given: {', '.join(times)} (the run was trained with them); give --posted-at")
    if missing := [name for name in missing if name not in times]:
        reporter.say(f"not given: {', '.join(missing)} (the run was trained with them); give --column {missing[0]}=...")
    return posts
