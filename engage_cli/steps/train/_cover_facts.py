"""What a run remembers of its training posts' covers, where these were read (`engage embed --covers`)."""

from __future__ import annotations

from pathlib import Path

from engage_cli.covers.facts import Cover
from engage_cli.explain.cover_facts import count_facts, save_cover_facts
from engage_cli.models.trainer import Problem
from engage_cli.steps.covers import ReadCovers


def remember_covers(folder: Path, problem: Problem) -> None:
    """Count the facts of covers among training posts; nothing where a cover of theirs was not read."""
    covers, train = ReadCovers(problem.dataset), problem.train
    if not covers.has_read(train.posts):
        return
    titles = train.posts["title"].fillna("").astype(str) if "title" in train.posts else [""] * len(train)
    found = [
        None if reading is None else Cover(reading, title)
        for reading, title in zip(covers.covers(train.posts), titles, strict=True)
    ]
    facts = count_facts(found, train.scores, train.known if train.known.any else None)
    if facts is not None:
        save_cover_facts(folder, facts)
