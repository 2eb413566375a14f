"""An answer goes into the ledger."""

from __future__ import annotations

import datetime
from pathlib import Path

from engage_cli.errors import WrongCallError
from engage_cli.io.records import file_hash
from engage_cli.ledger.keys import title_hash
from engage_cli.ledger.store import Entry, LoggedRun, append
from engage_cli.runs.run_folder import MARKER
from engage_cli.steps.predict import Answer


def log_answer(answer: Answer, ledger: Path, *, post: str = "") -> int:
    """Append a prediction, of variants each; return how many are new: the same question to the same run adds none."""
    if post and len(answer.titles) > 1:
        raise WrongCallError("--post-id names one post, and there are several variants; leave it out, or name one variant")
    run = answer.run
    marker = file_hash(run.folder / MARKER)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    entries = []
    for row, title in enumerate(answer.titles):
        said = answer.post_json(row)
        low, high = said["interval_80"] or (None, None)
        entries.append(
            Entry(
                time=now,
                run=marker,
                post=post,
                title_hash=title_hash(title),
                image_hash=answer.image_hashes[row],
                inputs_hash=answer.inputs_hashes[row],
                value=said["value"],
                percentile=said["percentile"],
                low=low,
                high=high,
            )
        )
    return append(ledger, LoggedRun(marker=marker, folder=str(run.folder), target=run.target), entries)
