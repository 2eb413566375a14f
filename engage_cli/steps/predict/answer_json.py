"""What `engage predict --json` prints, typed: the same as schemas/predict.json. Every key is there in every answer."""

from __future__ import annotations

from typing import TypedDict

Rows = list[list[float]]


class PartJson(TypedDict):
    part: str
    without: float
    change: float


class WordJson(TypedDict):
    word: str
    change: float


class NeighbourJson(TypedDict):
    id: str
    title: str
    image: str
    earned: float
    count: float | None
    percentile: float
    distance: float


class ContributionsJson(TypedDict):
    unit: str
    start: float
    groups: dict[str, float]
    features: dict[str, float]
    values: dict[str, str]


# Two of its keys are words of Python.
class EffectJson(TypedDict):
    value: float
    low: float
    high: float


class CoverFactJson(TypedDict):
    fact: str
    share_of_top: float
    share_of_all: float
    is_clear: bool
    effect: EffectJson | None


class ExplanationJson(TypedDict):
    note: str
    unit: str
    value: float
    without: list[PartJson]
    words: list[WordJson]
    regions: Rows | None
    windows: Rows | None
    neighbours: list[NeighbourJson]
    contributions: ContributionsJson | None
    cover: list[CoverFactJson]
    overlay: str | None


PostJson = TypedDict(
    "PostJson",
    {
        "image": "str | None",
        "title": str,
        "value": "float | None",
        "count": "float | None",
        "percentile": float,
        "interval_80": "list[float] | None",
        "interval_95": "list[float] | None",
        "class": str,
        "probabilities": "dict[str, float]",
        "neighbour_distance": "float | None",
        "unlike_training_posts": "list[str]",
        "leaky": bool,
        "marks": "list[str]",
        "explanation": "ExplanationJson | None",
    },
)


class RankedJson(TypedDict):
    rank: int
    post: int
    image: str | None
    title: str
    p_best: float


class GainJson(TypedDict):
    percent: float
    low: float
    high: float


class AnswerJson(TypedDict):
    run: str
    target: str
    unit: str
    kind: str
    posts: list[PostJson]
    ranking: list[RankedJson] | None
    beats: Rows | None
    gain: GainJson | None
    too_close_to_call: bool | None
    verdict: str | None
    warnings: list[str]
