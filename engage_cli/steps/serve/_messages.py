"""What the server and its model process tell each other, beside files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class JobMessage(TypedDict):
    """A job without its images, which go as files, as many as it has names."""

    names: list[str]
    titles: list[str]
    tags: str
    description: str
    posted_at: str
    columns: Mapping[str, str | float]
    explain: bool
    log: bool


class ColumnJson(TypedDict):
    name: str
    type: str


class ReadsJson(TypedDict):
    """What a run reads of a post besides its texts."""

    image: bool
    date: bool
    columns: list[ColumnJson]


class TrainedJson(TypedDict):
    posts: int | None
    split: str
    finished: str


class FiguresJson(TypedDict):
    """A few metrics, each with name, title, meaning and value; of test figures also low and high."""

    rows: int | None
    metrics: list[Mapping[str, str | float]]


class RunJson(TypedDict):
    """What a run is, as /api/run tells it."""

    run: str
    engage: str
    model: str
    members: list[str]
    model_in_words: str
    kind: str
    target: str
    unit: str
    trained: TrainedJson
    test: FiguresJson | None
    cross_validated: FiguresJson | None  # where the test posts are few
    validation: FiguresJson
    warnings: list[str]
    leaky: bool
    marks: list[str]
    reads: ReadsJson


class Message(TypedDict, total=False):
    """One message. The model process begins with one of the first two; then each batch of jobs is answered."""

    about: RunJson
    failed: str  # a sentence
    jobs: list[JobMessage]
    status: list[int]  # HTTP's, one for each job; the answers are the files
