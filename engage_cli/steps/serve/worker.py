"""The model process: it loads a run once, and answers batches of jobs until its server is gone.

It reads stdin and writes what was stdout (see `frames`); whatever a library prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pandas as pd

from engage_cli.errors import EngageError
from engage_cli.io.strict_json import strict
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import problem_of
from engage_cli.steps.ledger.log import log_answer
from engage_cli.steps.predict import answer_from, answer_of, check_variants
from engage_cli.steps.predict.answer_json import AnswerJson
from engage_cli.steps.predict.explain import explain_post
from engage_cli.steps.predict.requests import Reads, make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.serve._frames import pack, read
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._messages import Message

OPTION = re.compile(r"--([a-z][a-z-]*)")  # in sentences that are written for the command line
OK, UNUSABLE = 200, 422
USABLE_FORMATS = "give a JPEG, PNG, WebP or GIF"


class Reply(NamedTuple):
    status: int  # HTTP's
    # What is predicted, {"variants": n, "new": how many the ledger did not have}, or {"error": a sentence}.
    body: AnswerJson | Mapping[str, str] | Mapping[str, int]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's: it ends this process when it has its answers
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        folder, *more = map(Path, sys.argv[1:])
        run, ledger = load_run(folder), more[0] if more else None
        session, reads = InferenceSession(run, num_towers=None), reads_of(run)
        session.load(SilentReporter())
    except EngageError as error:
        _send(answers, pack({"failed": str(error)}))
        raise SystemExit(1) from None
    _send(answers, pack({"about": describe_run(run, session.uncertainty.neighbours)}))
    while (got := read(sys.stdin.buffer)) is not None:
        message, files = got
        replies = answer(session, reads, _jobs_of(message, files), ledger)
        _send(answers, pack({"status": [status for status, _ in replies]}, [body for _, body in replies]))


def _send(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
    stream.flush()


def _jobs_of(message: Message, files: list[bytes]) -> list[Job]:
    jobs, start = [], 0
    for one in message["jobs"]:
        end = start + len(one["names"])
        jobs.append(Job.from_message(one, files[start:end]))
        start = end
    return jobs


def answer(
    session: InferenceSession, reads: Reads, jobs: Sequence[Job], ledger: Path | None = None
) -> list[tuple[int, bytes]]:
    """Return an HTTP status and a JSON body for each job; the posts of all are encoded and predicted together."""
    replies: dict[int, Reply] = {}
    tables: dict[int, pd.DataFrame] = {}
    for number, job in enumerate(jobs):
        try:
            tables[number] = _posts_of(reads, job)
        except EngageError as error:
            replies[number] = _refuse(error)
    shapes: dict[tuple[str, ...], list[int]] = {}  # only posts of equal columns go into one table
    for number, table in tables.items():
        shapes.setdefault(tuple(table.columns), []).append(number)
    try:
        for numbers in shapes.values():
            some = {number: (jobs[number], tables[number]) for number in numbers}
            replies |= _answer_together(session, some, ledger)
    finally:
        session.sources.forget()
    found = (replies[number] for number in range(len(jobs)))
    return [(status, json.dumps(strict(body), allow_nan=False).encode()) for status, body in found]


def _posts_of(reads: Reads, job: Job) -> pd.DataFrame:
    check_variants(job.pairs)
    return make_posts(
        reads,
        job.pairs,
        tags=job.tags,
        description=job.description,
        posted_at=job.posted_at,
        columns=job.columns,
        reporter=SilentReporter(),
    )


def _answer_together(
    session: InferenceSession, jobs: dict[int, tuple[Job, pd.DataFrame]], ledger: Path | None
) -> dict[int, Reply]:
    posts = pd.concat([table for _, table in jobs.values()], ignore_index=True)
    images = [cover for job, _ in jobs.values() for cover in job.covers for _ in job.titles]
    predictions = session.predict(posts, images)
    forecast = session.uncertainty.forecast(predictions)
    replies: dict[int, Reply] = {}
    start = 0
    for number, (job, table) in jobs.items():
        rows = slice(start, start + len(table))
        start = rows.stop
        try:
            _must_be_images(session, job)
            if job.explain:
                said = answer_of(
                    session,
                    table,
                    job.covers,
                    explanation=explain_post(session, table, job.covers[0], overlay=None, reporter=SilentReporter()),
                )
            else:
                said = answer_from(session, table, images[rows], predictions.take(rows), forecast.take(rows))
            if job.log and ledger is not None:
                replies[number] = Reply(OK, {"variants": len(said.titles), "new": log_answer(said, ledger)})
            else:
                replies[number] = Reply(OK, said.to_json())
        except EngageError as error:
            replies[number] = _refuse(error)
    return replies


def _must_be_images(session: InferenceSession, job: Job) -> None:
    """Raise EngageError for a file that gives no image: it was predicted as a post without a cover."""
    if session.sources.sees_images:
        problems = session.sources.problems_of(job.images)
    else:
        problems = [problem_of(image) for image in job.images]
    for name, problem in zip(job.names, problems, strict=True):
        if problem:
            raise EngageError(f"{name}: {problem}; {USABLE_FORMATS}")


def _refuse(error: EngageError) -> Reply:
    return Reply(UNUSABLE, {"error": OPTION.sub(lambda found: found.group(1).replace("-", "_"), str(error))})


if __name__ == "__main__":
    main()
