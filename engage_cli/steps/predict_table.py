"""Predict every row of a table, part by part: a killed call goes on where it was when it is given again."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from engage_cli.core.atomic import file_fingerprint, fingerprint, read_json, replacing, write_json, write_text
from engage_cli.core.config import CLASS_NAMES
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.forecast import Forecast
from engage_cli.core.history import add_time
from engage_cli.core.image_checks import stamp_of
from engage_cli.core.images import ImageError, read_bytes, resolve_inside
from engage_cli.core.posts import KNOWN_AFTER, OWN
from engage_cli.core.predictors import extra_columns, members_of
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import MARKER, Run, load_run, newest_run
from engage_cli.steps.ask import OpenRun
from engage_cli.steps.asked_tables import read_asked, unseen_texts
from engage_cli.steps.sources import sees_pictures

SUFFIXES = (".csv", ".parquet")
PART_ROWS = 512
READERS = 4
PLAN_FILE = "plan.json"
PROBLEM_COLUMNS = ("row", "id", "problem")


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


def predict_table(
    table: Path,
    *,
    out: Path,
    images_dir: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TableSummary:
    """Write one row of predictions a row of the table, in its order, and the rows with problems beside them."""
    reporter = reporter or SilentReporter()
    _check_places(table, out)
    opened = load_run(run) if run is not None else newest_run(runs_dir)
    if run is None:
        reporter.say(f"run: {opened.folder} (the newest finished one)")
    for mark in opened.marks:
        reporter.say(mark)
    posts, problems = _read(table, images_dir, mapping or {}, opened, reporter)
    with _lock(out):
        return _predict_posts(posts, problems, table, out, images_dir, mapping or {}, opened, reporter)


def _predict_posts(
    posts: pd.DataFrame,
    problems: list[tuple[int, str, str]],
    table: Path,
    out: Path,
    images_dir: Path | None,
    mapping: Mapping[str, str],
    opened: Run,
    reporter: Reporter,
) -> TableSummary:
    parts = out.with_name(f".{out.name}.parts")
    went_on = _make_room(parts, table, posts["image"], images_dir, mapping, opened)
    starts = range(0, len(posts), PART_ROWS)
    paths = [parts / f"part-{number:05d}.parquet" for number in range(len(starts))]
    done = [went_on and path.is_file() for path in paths]
    num_done = sum(min(PART_ROWS, len(posts) - start) for start, is_done in zip(starts, done, strict=True) if is_done)
    if num_done:
        reporter.say(f"going on: {num_done:,} of {len(posts):,} rows are predicted already")
    with reporter.stage("predicting", len(posts)) as stage:
        stage.advance(num_done)
        asked = OpenRun(opened, num_towers=None) if not all(done) else None
        for start, path, is_done in zip(starts, paths, done, strict=True):
            if is_done or asked is None:
                continue
            some = posts.iloc[start : start + PART_ROWS].reset_index(drop=True)
            with replacing(path) as beside:
                _predict(asked, some, images_dir).to_parquet(beside, index=False)
            stage.advance(len(some))
    whole = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    problems += [(row, id, problem) for row, id, problem in _of_images(whole)]
    far = int(whole.pop("is_far").sum())
    if opened.leaky:
        whole["leaky"] = True
    _write(out, whole)
    problems_file = _write_problems(out, problems)
    shutil.rmtree(parts)
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
    )


def _check_places(table: Path, out: Path) -> None:
    """Raise WrongCallError where what is written would be no table, or would take the place of something else."""
    if out.suffix.lower() not in SUFFIXES or out.is_dir():
        raise WrongCallError(f"--out {out}: name the {' or the '.join(SUFFIXES)} that is to be written")
    problems = _problems_of(out)
    if any(path.exists() and table.exists() and path.samefile(table) for path in (out, problems)):
        raise WrongCallError(f"--out {out} would take the place of the table itself; name another file")
    if problems.exists() and not _is_ours(problems):
        raise WrongCallError(f"{problems}, where problems are written, is another file; name another --out")


def _problems_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.problems.csv")


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(64).strip() == ",".join(PROBLEM_COLUMNS).encode()


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Hold the output's lock; the system frees it when a process dies, however it dies."""
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f".{out.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise EngageError(f"another process is writing {out}; wait for it, or name another --out") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: after, it may be another call's
        lock.release()


def _read(
    table: Path, images_dir: Path | None, mapping: Mapping[str, str], run: Run, reporter: Reporter
) -> tuple[pd.DataFrame, list[tuple[int, str, str]]]:
    wanted = [name for name in extra_columns(run) if name not in KNOWN_AFTER]  # a table of posts to come has no counters
    found = read_asked(table, images_dir=images_dir, mapping=mapping, run=run)
    reporter.say("columns: " + ", ".join(f"{ours} = {theirs}" for ours, theirs in found.found.items()))
    for note in (*found.warnings, *unseen_texts(found.posts, found.found, run)):
        reporter.say(note)
    posts = found.posts
    if "posted_at" in posts and posts["posted_at"].notna().any():
        times = posts["posted_at"].dropna()
        posts = add_time(posts, has_hours=bool((times != times.dt.normalize()).any()))
    if missing := [name.removeprefix(OWN) for name in wanted if name not in posts]:
        reporter.say(f"the table has no {', '.join(missing)}, which the run was trained on: taken as unknown")
    if images_dir is None and any(sees_pictures(member) for member in members_of(run)):
        reporter.say("no --images-dir: every post is predicted as one without a cover")
    assert found.problems is not None
    columns = (found.problems[name].tolist() for name in ("row", "id", "problem"))
    return posts, [(int(row), str(id), str(problem)) for row, id, problem in zip(*columns, strict=True)]


def _make_room(
    parts: Path, table: Path, names: pd.Series, images_dir: Path | None, mapping: Mapping[str, str], run: Run
) -> bool:
    """Keep the parts of an equal call that was killed; return whether there are any."""
    plan = {
        "call": fingerprint(
            [file_fingerprint(table), str(images_dir and images_dir.resolve()), dict(mapping), str(run.folder.resolve())]
        ),
        "run": file_fingerprint(run.folder / MARKER),
        "images": fingerprint([stamp_of(images_dir, name) for name in names] if images_dir is not None else []),
        "rows": PART_ROWS,
    }
    if (parts / PLAN_FILE).is_file():
        try:
            if read_json(parts / PLAN_FILE) == plan:
                return True
        except (ValueError, AssertionError):
            pass  # half a plan: its parts are made anew
    shutil.rmtree(parts, ignore_errors=True)
    write_json(parts / PLAN_FILE, plan)
    return False


def _predict(asked: OpenRun, posts: pd.DataFrame, images_dir: Path | None) -> pd.DataFrame:
    with ThreadPoolExecutor(READERS) as readers:
        read = list(readers.map(lambda name: _read_image(images_dir, name), posts["image"]))
    images = [data for data, _ in read]
    said = asked.forecast(posts, images)
    broken = asked.sources.problems_of(images)
    asked.sources.forget()
    problems = [first or second for (_, first), second in zip(read, broken, strict=True)]
    return _rows_of(posts["id"], said, problems)


def _read_image(images_dir: Path | None, name: str) -> tuple[bytes | None, str]:
    if images_dir is None:
        return None, ""
    try:
        return (read_bytes(resolve_inside(images_dir, name)), "") if name else (None, "no image named")
    except ImageError as problem:
        return None, str(problem)


def _rows_of(ids: pd.Series, said: Forecast, problems: Sequence[str]) -> pd.DataFrame:
    columns: dict[str, Any] = {"id": ids.to_numpy(), "percentile": said.percentile}
    if said.value is not None:
        columns = {"id": columns["id"], "value": said.value, "percentile": said.percentile}
    for name, (low, high) in said.intervals.items():
        columns |= {f"interval_{name}_low": low, f"interval_{name}_high": high}
    columns["class"] = np.asarray(CLASS_NAMES, object)[said.classes]
    for number, name in enumerate(CLASS_NAMES):
        columns[f"p_{name.lower().replace(' ', '_')}"] = said.probabilities[:, number]
    if said.distance is not None:
        columns["neighbour_distance"] = said.distance
    return pd.DataFrame({**columns, "problem": list(problems), "is_far": said.is_far})


def _of_images(rows: pd.DataFrame) -> list[tuple[int, str, str]]:
    numbers = np.flatnonzero((rows["problem"] != "").to_numpy())
    return [(int(row) + 1, str(rows["id"].iloc[row]), f"image: {rows['problem'].iloc[row]}") for row in numbers]


def _write(out: Path, rows: pd.DataFrame) -> None:
    with replacing(out) as beside:
        if out.suffix.lower() == ".csv":
            rows.to_csv(beside, index=False, float_format="%.6g", lineterminator="\n")
        else:
            rows.to_parquet(beside, index=False)


def _write_problems(out: Path, problems: Sequence[tuple[int, str, str]]) -> str | None:
    """Write row, id, problem; return the file, or None where there is no problem."""
    path = _problems_of(out)
    if not problems:
        path.unlink(missing_ok=True)  # of an earlier call: _check_places saw to that
        return None
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([PROBLEM_COLUMNS, *sorted(problems)])
    write_text(path, text.getvalue())
    return str(path)
