"""A table of posts that are asked about: read as the run's own table was, and answered row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from engage_cli.config.general import CLASS_NAMES
from engage_cli.data.authors.history import add_time
from engage_cli.data.importers import Import
from engage_cli.data.importers.table import read_unpublished
from engage_cli.data.schema import KNOWN_AFTER, LOG_AGE, OWN, TEXT_COLUMNS
from engage_cli.data.table_format import CATEGORY, NUMBER, ColumnFormat
from engage_cli.data.targets.target import Target
from engage_cli.images.decode import ImageError, read_bytes, resolve_inside
from engage_cli.models.predictor import extra_columns, members_of
from engage_cli.progress.reporters import Reporter
from engage_cli.runs.run_folder import Run
from engage_cli.steps.inputs.sources import sees_images
from engage_cli.steps.predict._asked_age import add_asked_age
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.uncertainty.forecast import INTERVALS, Forecast

READERS = 4  # threads


def _share_of(name: str) -> str:
    return f"p_{name.lower().replace(' ', '_')}"


# What a person looks for comes first. Every table has every column, whatever the run.
COLUMNS = (
    *("id", "title", "count"),
    *(f"count_{name}_{end}" for name in INTERVALS for end in ("low", "high")),
    *("is_guess", "value", "percentile"),
    *(f"interval_{name}_{end}" for name in INTERVALS for end in ("low", "high")),
    *("class", *map(_share_of, CLASS_NAMES), "neighbour_distance", "problem"),
)


def _formats_of(run: Run) -> dict[str, ColumnFormat]:
    """Return what the columns of the run's own table were."""
    known = dict(run.meta.data.table)
    for name, kind in extra_columns(run).items():
        if name.startswith(OWN) and (name not in known or known[name].kind != kind):
            known[name] = ColumnFormat(name=name.removeprefix(OWN), kind=NUMBER if kind == NUMBER else CATEGORY)
    return known


def _read_asked(path: Path, *, images_dir: Path | None, mapping: Mapping[str, str], run: Run) -> Import:
    """Read a table of posts that are to be predicted, as the run's own table was read."""
    reads = [name for name in extra_columns(run) if name not in KNOWN_AFTER]  # a table of posts to come has no counters
    found = read_unpublished(path, images_dir=images_dir, mapping=mapping, reads=reads, known=_formats_of(run))
    numbers = [name for name in reads if name in found.posts and is_numeric_dtype(found.posts[name])]
    notes = [
        f"no cell of column '{name.removeprefix(OWN)}' is a number, as it was in the run's own table: taken as unknown"
        for name in numbers
        if found.posts[name].isna().all()
    ]
    return replace(found, warnings=(*found.warnings, *notes))


def _unseen_texts(posts: pd.DataFrame, found: Mapping[str, str], run: Run) -> list[str]:
    """Return a note of each text that these posts have and no training post had."""
    seen = run.meta.data.texts
    there = [column for column in TEXT_COLUMNS if column in posts and (posts[column] != "").any()]
    others = " or ".join(seen) or "text"
    return [
        f"no training post had a {column}, and the text of column '{found.get(column, column)}' is read as one; if it is "
        f"{others}, give --map {seen[0] if seen else column}={found.get(column, column)}"
        for column in there
        if column not in seen
    ]


def read_posts(
    table: Path, images_dir: Path | None, mapping: Mapping[str, str], run: Run, reporter: Reporter, after: str = ""
) -> tuple[pd.DataFrame, list[tuple[int, str, str]]]:
    """Return posts as the run reads them, a row a row of the table, and (row, id, problem) of cells that cannot be used.

    `image` is a name inside `images_dir`, or "". Of counters there are none: nobody has them before publication.
    `after` is how long after publication the predictions are for.
    """
    wanted = [name for name in extra_columns(run) if name not in KNOWN_AFTER]  # a table of posts to come has no counters
    found = _read_asked(table, images_dir=images_dir, mapping=mapping, run=run)
    reporter.say("columns: " + ", ".join(f"{ours} = {theirs}" for ours, theirs in found.found.items()))
    for note in (*found.warnings, *_unseen_texts(found.posts, found.found, run)):
        reporter.say(note)
    posts = found.posts
    if "posted_at" in posts and posts["posted_at"].notna().any():
        times = posts["posted_at"].dropna()
        posts = add_time(posts, has_hours=bool((times != times.dt.normalize()).any()))
    posts = add_asked_age(
        posts, after, reads=wanted, median_age=run.meta.data.median_age, run=str(run.folder), say=reporter.say
    )
    if missing := [name.removeprefix(OWN) for name in wanted if name not in posts and name != LOG_AGE]:
        reporter.say(f"the table has no {', '.join(missing)}, which the run was trained with; they are treated as missing")
    if images_dir is None and any(sees_images(member) for member in members_of(run)):
        reporter.say("no --images-dir: every post is predicted without a cover")
    assert found.problems is not None
    columns = (found.problems[name].tolist() for name in ("row", "id", "problem"))
    return posts, [(int(row), str(id), str(problem)) for row, id, problem in zip(*columns, strict=True)]


def read_covers(posts: pd.DataFrame, images_dir: Path | None) -> list[tuple[bytes | None, str]]:
    """Return the file of each post's cover, or None and why there is none."""
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda name: _read_image(images_dir, name), posts["image"]))


def predict_rows(session: InferenceSession, posts: pd.DataFrame, images_dir: Path | None) -> pd.DataFrame:
    """Return one row of COLUMNS a post."""
    read = read_covers(posts, images_dir)
    images = [data for data, _ in read]
    said = session.forecast(posts, images)
    broken = session.sources.problems_of(images)
    session.sources.forget()
    problems = [first or second for (_, first), second in zip(read, broken, strict=True)]
    return _rows_of(posts, said, problems, session.run.target)


def _read_image(images_dir: Path | None, name: str) -> tuple[bytes | None, str]:
    if images_dir is None:
        return None, ""
    try:
        return (read_bytes(resolve_inside(images_dir, name)), "") if name else (None, "no image named")
    except ImageError as problem:
        return None, str(problem)


def _rows_of(posts: pd.DataFrame, said: Forecast, problems: Sequence[str], target: Target) -> pd.DataFrame:
    """Return one row of COLUMNS a post; what a run does not say is missing, and its column is there."""
    nothing = np.full(len(posts), np.nan)
    columns: dict[str, np.ndarray | pd.api.extensions.ExtensionArray | list[str] | str] = {
        "id": posts["id"].to_numpy(),
        "title": posts["title"].to_numpy() if "title" in posts else "",
        "count": nothing if said.count is None else said.count,
        # Unknown of a run that reads no vectors.
        "is_guess": pd.array([None] * len(posts) if said.distance is None else said.is_far, dtype="boolean"),
        "value": nothing if said.value is None else said.value,
        "percentile": said.percentile,
        "class": np.asarray(CLASS_NAMES, object)[said.classes],
        "neighbour_distance": nothing if said.distance is None else said.distance,
        "problem": list(problems),
    }
    for name in INTERVALS:
        for end, bound in zip(("low", "high"), said.intervals.get(name, (nothing, nothing)), strict=True):
            counts = target.counts(bound)
            columns[f"interval_{name}_{end}"] = bound
            columns[f"count_{name}_{end}"] = nothing if counts is None else np.maximum(0.0, counts)
    for number, name in enumerate(CLASS_NAMES):
        columns[_share_of(name)] = said.probabilities[:, number]
    return pd.DataFrame(columns)[list(COLUMNS)]
