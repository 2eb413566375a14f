"""What one post's prediction rests on: asked again without each of its parts, words, and regions of its cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.covers.facts import Cover
from engage_cli.data.schema import TEXT_COLUMNS
from engage_cli.errors import EngageError
from engage_cli.explain.cover_facts import ToldFact, load_cover_facts, tell_facts
from engage_cli.explain.occlusion import GRID, WINDOW, cell_shares, covered, draw_overlay
from engage_cli.explain.title_words import Word, without, words_of
from engage_cli.io.files import atomic_write
from engage_cli.models.predictions import Reasons
from engage_cli.models.predictor import Explainer
from engage_cli.progress.reporters import Reporter
from engage_cli.steps.predict.answer_json import ContributionsJson, CoverFactJson, ExplanationJson, NeighbourJson
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.uncertainty.neighbours import NAMES_FILE, load_names

NOT_A_CAUSE = "the model's view, not a cause"
UNIT_OF_PERCENTILES = "percentile"
LEAST_OF_VALUES, LEAST_OF_PERCENTILES = 0.002, 0.05  # changes that are shown: of the target's deviation; of 100
BATCH = 16  # questions that are asked at once: progress shows, and no more images are in memory


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the prediction would be without a part of the post."""

    part: str  # "image", "title", "tags", "description"
    without: float
    change: float  # the prediction minus that: above 0 the part lifts it


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """One of the training posts nearest to this one."""

    id: str
    title: str
    image: str
    earned: float  # in the target's unit
    count: float | None
    percentile: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """In `unit`: the target's own, or for classes the percentile."""

    unit: str
    value: float
    parts: tuple[Part, ...]
    words: tuple[tuple[str, float], ...]  # of the title, in its order: by how much the prediction falls without each
    regions: np.ndarray | None  # (6, 6) of the cover: the mean change of the windows that cover a region
    windows: np.ndarray | None  # (7, 7): by how much with the 2 x 2 regions covered of which this is the last
    neighbours: tuple[Neighbour, ...]  # the nearest first
    reasons: Reasons | None  # of CatBoost: contributions of its features
    covers: tuple[ToldFact, ...] = ()  # what is true of the cover, beside the training posts that did best
    overlay: Path | None = None

    def to_json(self) -> ExplanationJson:
        return {
            "note": NOT_A_CAUSE,
            "unit": self.unit,
            "value": self.value,
            "without": [{"part": one.part, "without": one.without, "change": one.change} for one in self.parts],
            "words": [{"word": word, "change": change} for word, change in self.words],
            "regions": None if self.regions is None else self.regions.tolist(),
            "windows": None if self.windows is None else self.windows.tolist(),
            "neighbours": [_neighbour_json(one) for one in self.neighbours],
            "contributions": None if self.reasons is None else _reasons_json(self.reasons),
            "cover": [_fact_json(one) for one in self.covers],
            "overlay": None if self.overlay is None else str(self.overlay),
        }


@dataclass(frozen=True)
class _Question:
    """A post that differs from the one that is explained."""

    kind: str  # "part", "word", "window", or "whole": the image as it is compared with covered ones
    name: str
    post: pd.DataFrame
    image: bytes | None


def explain_post(
    session: InferenceSession, post: pd.DataFrame, image: bytes | None, *, overlay: Path | None, reporter: Reporter
) -> Explanation:
    """Explain the prediction of one post (a table of one row)."""
    title = str(post["title"].iloc[0])
    words = words_of(title)
    questions = [*_without_parts(session, post, image), *_without_words(post, image, title, words)]
    if image is not None and session.sources.sees_images:
        questions += _covered(post, image)
    own = session.uncertainty.main(session.predict(post, [image]))
    answers = _ask_all(session, questions, reporter)
    value = float(own[0])
    of = {kind: [(q, a) for q, a in zip(questions, answers, strict=True) if q.kind == kind] for kind in _kinds(questions)}
    regions = windows = None
    if "whole" in of:
        whole = of["whole"][0][1]
        changes = [whole - answer for _, answer in of["window"]]
        regions, windows = cell_shares(changes), np.reshape(changes, (GRID + WINDOW - 1, -1))
        least = LEAST_OF_VALUES * session.run.target.std if session.run.kind == "value" else LEAST_OF_PERCENTILES
        regions[np.abs(regions) < least] = 0.0  # what rounding does, not the cover
    if overlay is not None and image is not None and regions is not None:
        with atomic_write(overlay) as beside:
            beside.write_bytes(draw_overlay(image, regions, f"{NOT_A_CAUSE}; {session.run.folder.name}"))
    elif overlay is not None:
        reporter.say(f"no {overlay}: the run does not use images")
        overlay = None
    return Explanation(
        unit=str(session.run.target.formula) if session.run.kind == "value" else UNIT_OF_PERCENTILES,
        value=value,
        parts=tuple(Part(part=q.name, without=a, change=value - a) for q, a in of.get("part", ())),
        words=tuple((q.name, value - a) for q, a in of.get("word", ())),
        regions=regions,
        windows=windows,
        neighbours=_neighbours(session, post, image),
        reasons=_reasons(session, post, image),
        covers=_covers(session, title, image, reporter),
        overlay=overlay,
    )


def _kinds(questions: Sequence[_Question]) -> list[str]:
    return list(dict.fromkeys(question.kind for question in questions))


def _ask_all(session: InferenceSession, questions: Sequence[_Question], reporter: Reporter) -> list[float]:
    answers: list[float] = []
    with reporter.stage("measuring the effect of each part", len(questions)) as stage:
        for start in range(0, len(questions), BATCH):
            some = questions[start : start + BATCH]
            posts = pd.concat([question.post for question in some], ignore_index=True)
            answers += session.uncertainty.main(session.predict(posts, [question.image for question in some])).tolist()
            stage.advance(len(some))
    return answers


def _without_parts(session: InferenceSession, post: pd.DataFrame, image: bytes | None) -> list[_Question]:
    found = [_Question("part", "image", post, None)] if image is not None and session.sources.sees_images else []
    for column in TEXT_COLUMNS:
        if post[column].iloc[0]:
            found.append(_Question("part", column, post.assign(**{column: ""}), image))
    return found


def _without_words(post: pd.DataFrame, image: bytes | None, title: str, words: Sequence[Word]) -> list[_Question]:
    if len(words) < 2:  # without its only word the post has no title, and that is asked already
        return []
    return [_Question("word", word.text, post.assign(title=without(title, word)), image) for word in words]


def _covered(post: pd.DataFrame, image: bytes) -> list[_Question]:
    whole, pieces = covered(image)
    return [_Question("whole", "", post, whole), *(_Question("window", "", post, piece) for piece in pieces)]


def _travelled_without_names(session: InferenceSession) -> bool:
    """Whether the run was exported without the names of its training posts: its marker lists its files without them."""
    return NAMES_FILE not in session.run.done.files


def _neighbours(session: InferenceSession, post: pd.DataFrame, image: bytes | None) -> tuple[Neighbour, ...]:
    known = session.uncertainty.neighbours
    vectors = session.predictor.vectors(post, session.sources.of([image]))
    if known is None or vectors is None or _travelled_without_names(session):
        return ()
    places, distances = (found[0] for found in known.nearest(vectors))
    target, posts = session.run.target, load_names(session.run.open(NAMES_FILE), len(known.scores)).iloc[places]
    earned = known.scores[places].astype(np.float64)
    counts = target.counts(earned)
    return tuple(
        Neighbour(
            id=str(one.id),
            title=str(one.title),
            image=str(one.image),
            earned=float(earned[row]),
            count=None if counts is None else float(counts[row]),
            percentile=float(target.percentile(earned[row : row + 1])[0]),
            distance=float(distances[row]),
        )
        for row, one in enumerate(posts.itertuples(index=False))
    )


def _reasons(session: InferenceSession, post: pd.DataFrame, image: bytes | None) -> Reasons | None:
    if not isinstance(session.predictor, Explainer):
        return None
    return session.predictor.explain(post, session.sources.of([image]))[0]


def _covers(session: InferenceSession, title: str, image: bytes | None, reporter: Reporter) -> tuple[ToldFact, ...]:
    known = load_cover_facts(session.run)
    if known is None or image is None:
        return ()
    try:
        (reading,) = session.sources.covers.read([image])
    except EngageError as error:
        reporter.say(f"nothing is said of the cover's lettering and faces: {error}")
        return ()
    return () if reading is None else tuple(tell_facts(known, Cover(reading, title)))


def _fact_json(one: ToldFact) -> CoverFactJson:
    effect = one.effect
    return {
        "fact": one.fact,
        "share_of_top": one.share_of_top,
        "share_of_all": one.share_of_all,
        "is_clear": one.is_clear,
        "effect": None if effect is None else {"value": effect.value, "low": effect.low, "high": effect.high},
    }


def _neighbour_json(one: Neighbour) -> NeighbourJson:
    return {
        "id": one.id,
        "title": one.title,
        "image": one.image,
        "earned": one.earned,
        "count": one.count,
        "percentile": one.percentile,
        "distance": one.distance,
    }


def _reasons_json(reasons: Reasons) -> ContributionsJson:
    return {
        "unit": reasons.unit,
        "start": reasons.start,
        "groups": reasons.groups,
        "features": reasons.features,
        "values": reasons.values,
    }
