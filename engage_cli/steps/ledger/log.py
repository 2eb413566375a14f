"""An answer goes into the ledger."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engage_cli.errors import WrongCallError
from engage_cli.io.records import file_hash
from engage_cli.ledger.keys import title_hash
from engage_cli.ledger.store import Entry, LoggedRun, append
from engage_cli.runs.run_folder import MARKER, Run
from engage_cli.steps.predict import Answer
from engage_cli.uncertainty.forecast import Forecast


def log_answer(answer: Answer, ledger: Path, *, post: str = "") -> int:
    """Append a prediction, of variants each; return how many are new: the same question to the same run adds none."""
    if post and len(answer.titles) > 1:
        raise WrongCallError("--post-id names one post, and there are several variants; leave it out, or name one variant")
    posts = [
        Asked(post=post, title=title, image_hash=image, inputs_hash=inputs)
        for title, image, inputs in zip(answer.titles, answer.image_hashes, answer.inputs_hashes, strict=True)
    ]
    return log_forecast(answer.run, posts, answer.forecast, ledger, time=utc_now())


def utc_now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """By what a post that was asked about is known again."""

    post: str  # its id, "" for none
    title: str
    image_hash: str
    inputs_hash: str


def log_forecast(run: Run, posts: Sequence[Asked], said: Forecast, ledger: Path, *, time: str) -> int:
    """Append what a run says of n posts, in one transaction; `time` is UTC, ISO 8601. Return how many are new."""
    marker = file_hash(run.folder / MARKER)
    low, high = said.intervals.get("80", (None, None))
    numbers = {"value": said.value, "low": low, "high": high, "point": said.point, "spread": said.spread}
    entries = [
        Entry(
            time=time,
            run=marker,
            post=asked.post,
            title_hash=title_hash(asked.title),
            image_hash=asked.image_hash,
            inputs_hash=asked.inputs_hash,
            percentile=float(said.percentile[row]),
            **{name: None if part is None else float(part[row]) for name, part in numbers.items()},
        )
        for row, asked in enumerate(posts)
    ]
    before = run.done.recalibration
    logged = LoggedRun(marker=marker, folder=str(run.folder), target=run.target, of=before.model if before else "")
    return append(ledger, logged, entries)
