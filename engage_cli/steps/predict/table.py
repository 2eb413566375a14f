"""Predict every row of a table, part by part: a killed call goes on where it was when it is given again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.general import LOCAL, EngineConfig
from engage_cli.errors import EngageError
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.images.check import stamp_of
from engage_cli.io.csv_cells import csv_of_rows
from engage_cli.io.files import (
    atomic_write,
    file_fingerprint,
    fingerprint,
    half_written_of,
    remove_tree,
    write_text,
)
from engage_cli.io.own_folders import OwnFolder, is_plain_file
from engage_cli.io.records import check_file, file_hash, read_record, record, write_record
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.records import Hash
from engage_cli.runs.run_folder import MARKER, Run, load_run
from engage_cli.runtime.ray_pieces import check_engine, run_on_ray
from engage_cli.steps.predict._files import check_rows, write_predictions
from engage_cli.steps.predict._places import PROBLEM_COLUMNS, check_places, lock_output, parts_of, problems_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.predict.table_posts import COLUMNS, predict_rows, read_posts
from engage_cli.steps.travel.hub import find_run

PART_ROWS = 512
PLAN_FILE = "plan.json"
PLAN_KIND, PART_KIND, VERSION = "prediction plan", "predicted part", 1
AGAIN = "give the command again"


@record
class Plan:
    """plan.json: of which call, run and images the parts are."""

    call: str
    run: str
    images: str
    rows: int
    columns: tuple[str, ...]


@record
class Part:
    """Written after a part, for only then is that whole."""

    table: Hash


@dataclass(frozen=True, kw_only=True)
class TableSummary:
    """What was written."""

    run: str
    out: str
    rows: int
    problems: int  # rows that were predicted without something that cannot be used
    problems_file: str | None
    far: int  # rows unlike all that the run was trained on
    went_on: int  # rows that an earlier call had predicted already
    leaky: bool
    marks: tuple[str, ...]
    warnings: tuple[str, ...] = ()  # to be shown beside the predictions


def predict_table(
    table: Path,
    *,
    out: Path,
    images_dir: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    after: str = "",
    how: EngineConfig = LOCAL,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TableSummary:
    """Write one row of predictions a row of the table, in its order, and the rows with problems beside them.

    `how` lets workers of Ray predict the parts, on a disk that all machines share.
    """
    check_engine(how)
    reporter = reporter or SilentReporter()
    check_places(table, out)
    opened = find_run(run, runs_dir, reporter)
    for mark in opened.marks:
        reporter.say(mark)
    posts, problems = read_posts(table, images_dir, mapping or {}, opened, reporter, after)
    check_rows(out, len(posts))
    with lock_output(out):
        return _predict_posts(posts, problems, table, out, images_dir, mapping or {}, after, how, opened, reporter)


def _predict_posts(
    posts: pd.DataFrame,
    problems: list[tuple[int, str, str]],
    table: Path,
    out: Path,
    images_dir: Path | None,
    mapping: Mapping[str, str],
    after: str,
    how: EngineConfig,
    opened: Run,
    reporter: Reporter,
) -> TableSummary:
    parts = parts_of(out)
    went_on = _make_room(parts, table, posts["image"], images_dir, mapping, after, opened)
    starts = range(0, len(posts), PART_ROWS)
    paths = [parts / f"part-{number:05d}.parquet" for number in range(len(starts))]
    done = [went_on and _is_whole(path) for path in paths]
    num_done = sum(min(PART_ROWS, len(posts) - start) for start, is_done in zip(starts, done, strict=True) if is_done)
    if num_done:
        reporter.say(f"continuing: {num_done:,} of {len(posts):,} rows are predicted already")
    left = {
        path: posts.iloc[start : start + PART_ROWS].reset_index(drop=True)
        for start, path, is_done in zip(starts, paths, done, strict=True)
        if not is_done
    }
    if how.engine == "ray":
        known = opened.folder.resolve(), file_fingerprint(opened.folder / MARKER)
        pieces = [(*known, some, images_dir and images_dir.resolve(), path.resolve()) for path, some in left.items()]
        run_on_ray(predict_part, pieces, how, reporter, title=f"predicting {PART_ROWS:,} rows at a time")
    elif left:
        with reporter.stage("predicting", len(posts)) as stage:
            stage.advance(num_done)
            session = InferenceSession(opened, num_towers=None)
            for path, some in left.items():
                _write_part(session, some, images_dir, path)
                stage.advance(len(some))
    whole = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    problems += [(row, id, problem) for row, id, problem in _of_images(whole)]
    far = int(whole["is_guess"].sum())
    if opened.leaky:
        whole["leaky"] = True
    write_predictions(out, whole)
    problems_file = _write_problems(out, problems)
    OwnFolder(parts, (PLAN_FILE,)).remove_folder(parts)
    return TableSummary(
        run=str(opened.folder),
        out=str(out),
        rows=len(whole),
        problems=len({row for row, *_ in problems}),
        problems_file=problems_file,
        far=far,
        went_on=num_done,
        leaky=opened.leaky,
        marks=opened.marks,
        warnings=tuple(warnings_of(opened)),
    )


def predict_part(folder: Path, marker: str, posts: pd.DataFrame, images_dir: Path | None, path: Path) -> None:
    """Predict one part on a worker of Ray, whose run must be the caller's."""
    _write_part(_session_of(folder, marker), posts, images_dir, path)


@lru_cache(maxsize=1)
def _session_of(folder: Path, marker: str) -> InferenceSession:
    if file_fingerprint(folder / MARKER) != marker:
        raise EngageError(f"{folder} holds another run on this machine; share the disk that holds it")
    return InferenceSession(load_run(folder), num_towers=None)


def _write_part(session: InferenceSession, posts: pd.DataFrame, images_dir: Path | None, path: Path) -> None:
    with atomic_write(path) as beside:
        predict_rows(session, posts, images_dir).to_parquet(beside, index=False)
    write_record(path.with_suffix(".json"), Part(table=file_hash(path)), kind=PART_KIND, version=VERSION)


def _make_room(
    parts: Path,
    table: Path,
    names: pd.Series,
    images_dir: Path | None,
    mapping: Mapping[str, str],
    after: str,
    run: Run,
) -> bool:
    """Keep the parts of an equal call that was killed; return whether there are any."""
    plan = Plan(
        call=fingerprint(
            [
                file_fingerprint(table),
                str(images_dir and images_dir.resolve()),
                dict(mapping),
                after,
                str(run.folder.resolve()),
            ]
        ),
        run=file_fingerprint(run.folder / MARKER),
        images=fingerprint([stamp_of(images_dir, name) for name in names] if images_dir is not None else []),
        rows=PART_ROWS,
        columns=COLUMNS,
    )
    if is_plain_file(parts / PLAN_FILE):
        try:
            if read_record(parts / PLAN_FILE, Plan, kind=PLAN_KIND, version=VERSION, again=AGAIN) == plan:
                return True
        except EngageError:
            pass  # damaged, or of another version: its parts are made anew
        OwnFolder(parts, (PLAN_FILE,)).remove_folder(parts)
    others = [entry.name for entry in parts.iterdir() if half_written_of(entry.name) is None] if parts.is_dir() else []
    if others:
        raise EngageError(
            f"{parts}, the folder for parts of the answer, holds other files ({others[0]}); name another --out"
        )
    remove_tree(parts)
    write_record(parts / PLAN_FILE, plan, kind=PLAN_KIND, version=VERSION)
    return False


def _is_whole(path: Path) -> bool:
    """Whether a part was written to its end and is what was written; any other is predicted anew."""
    place = path.with_suffix(".json")
    if not is_plain_file(place):
        return False
    try:
        part = read_record(place, Part, kind=PART_KIND, version=VERSION, again=AGAIN)
        check_file(path, part.table, again=AGAIN)
    except EngageError:
        return False
    return True


def _of_images(rows: pd.DataFrame) -> list[tuple[int, str, str]]:
    numbers = np.flatnonzero((rows["problem"] != "").to_numpy())
    return [(int(row) + 1, str(rows["id"].iloc[row]), f"image: {rows['problem'].iloc[row]}") for row in numbers]


def _write_problems(out: Path, problems: Sequence[tuple[int, str, str]]) -> str | None:
    """Write row, id, problem; return the file, or None where there is no problem."""
    path = problems_of(out)
    if not problems:
        path.unlink(missing_ok=True)  # of an earlier call: _check_places saw to that
        return None
    write_text(path, csv_of_rows(PROBLEM_COLUMNS, sorted(problems)))
    return str(path)
