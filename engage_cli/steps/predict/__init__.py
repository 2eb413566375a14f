"""Posts before they are published: one, or the variants of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES, MOST_VARIANTS
from engage_cli.errors import WrongCallError
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.io.own_folders import refuse_link
from engage_cli.ledger.keys import image_hash, inputs_hash
from engage_cli.models.predictions import Predictions
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import Run
from engage_cli.steps.predict.answer_json import AnswerJson, GainJson, PostJson, RankedJson
from engage_cli.steps.predict.explain import Explanation, explain_post
from engage_cli.steps.predict.image_file import read_image
from engage_cli.steps.predict.requests import has_seen_covers, make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.travel.hub import find_run
from engage_cli.uncertainty.difference_error import draw_variants
from engage_cli.uncertainty.error_correlation import chances_of_best, chances_to_beat, draw_together
from engage_cli.uncertainty.forecast import Forecast

MOST_COMPARED = 8  # variants whose pairs are shown
SURE_ENOUGH = 2 / 3  # that the first beats the second: below it the two are too close to call
NO_IMAGE = ""  # of titles alone


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many percent more the first variant brings than one of all taken at random."""

    percent: float
    low: float  # between these it is, in 80 of 100 draws
    high: float

    def to_json(self) -> GainJson:
        return {"percent": self.percent, "low": self.low, "high": self.high}

    @classmethod
    def of(cls, draws: np.ndarray, place: int) -> Gain:
        """Return that of a variant by draws (d, n) of the logarithms of what all bring, but for a common level."""
        more = np.exp(draws - draws.max(axis=1, keepdims=True))
        percent = 100 * (more[:, place] / more.mean(axis=1) - 1)
        low, high = np.quantile(percent, [0.1, 0.9])
        return cls(percent=float(percent.mean()), low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Variants of one post, the best first."""

    order: tuple[int, ...]  # places among the posts
    best: tuple[float, ...]  # the probability that each of them, in this order, is the best of all
    beats: np.ndarray  # (m, m) the probability that one of the first m beats another of them
    gain: Gain | None = None  # of the first; None where differences of the target are no ratios

    @property
    def is_close(self) -> bool:
        """Whether the first two are too close to call."""
        return bool(self.beats[0, 1] < SURE_ENOUGH)

    @property
    def verdict(self) -> str:
        chance = f"the first beats the second with a probability of {100 * self.beats[0, 1]:.0f} %"
        if self.is_close:
            return f"too close to call: {chance}"
        return f"{chance}, and is the best of all with {100 * self.best[0]:.0f} %"


@dataclass(frozen=True, kw_only=True)
class Details:
    """What is given of a post beside its cover and title."""

    tags: str = ""
    description: str = ""
    posted_at: str = ""  # when it will be published, in UTC unless it says otherwise
    after: str = ""  # how long after that the prediction is for, as "30d"
    columns: Mapping[str, str | float] = field(default_factory=dict)  # further columns that the run was given


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run says about posts."""

    run: Run
    images: tuple[str, ...]
    titles: tuple[str, ...]
    forecast: Forecast
    ranking: Ranking | None = None  # of variants
    explanation: Explanation | None = None  # of one post, where that was asked for
    image_hashes: tuple[str, ...] = ()
    inputs_hashes: tuple[str, ...] = ()  # of all that is known of each post

    def to_json(self) -> AnswerJson:
        """Every key is there in every answer: what there is not is null."""
        ranking = self.ranking
        return {
            "run": str(self.run.folder),
            "target": self.run.target.name,
            "unit": str(self.run.target.formula),
            "kind": self.run.kind,
            "posts": [self.post_json(row) for row in range(len(self.titles))],
            "ranking": None if ranking is None else self._ranking_json(ranking),
            "beats": None if ranking is None else ranking.beats.tolist(),
            "gain": None if ranking is None or ranking.gain is None else ranking.gain.to_json(),
            "too_close_to_call": None if ranking is None else ranking.is_close,
            "verdict": None if ranking is None else ranking.verdict,
            "warnings": warnings_of(self.run),
        }

    def _ranking_json(self, ranking: Ranking) -> list[RankedJson]:
        places = zip(ranking.order, ranking.best, strict=True)
        return [
            {"rank": rank, "post": n, "image": self.images[n] or None, "title": self.titles[n], "p_best": chance}
            for rank, (n, chance) in enumerate(places, start=1)
        ]

    def post_json(self, row: int) -> PostJson:
        said = self.forecast
        return {
            "image": self.images[row] or None,
            "title": self.titles[row],
            "value": None if said.value is None else float(said.value[row]),
            "count": None if said.count is None else float(said.count[row]),
            "percentile": float(said.percentile[row]),
            "interval_80": self._interval_json("80", row),
            "interval_95": self._interval_json("95", row),
            "class": CLASS_NAMES[int(said.classes[row])],
            "probabilities": {name: float(p) for name, p in zip(CLASS_NAMES, said.probabilities[row], strict=True)},
            "neighbour_distance": None if said.distance is None else float(said.distance[row]),
            "unlike_training_posts": [block for block, far in said.far_in.items() if far[row]],
            "leaky": self.run.leaky,
            "marks": list(self.run.marks),
            "explanation": None if self.explanation is None else self.explanation.to_json(),
        }

    def _interval_json(self, name: str, row: int) -> list[float] | None:
        """None of a run of classes, and where too few validation posts support it."""
        if name not in self.forecast.intervals:
            return None
        low, high = self.forecast.intervals[name]
        return [float(low[row]), float(high[row])]


def predict(
    images: Sequence[Path],
    *,
    titles: Sequence[str] = ("",),
    details: Details | None = None,
    explain: bool = False,
    overlay: Path | None = None,
    stdin: bytes | None = None,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Answer:
    """Predict every image with every title, from what is known before publication.

    Without an image the titles alone are predicted, by a run that has seen no covers. The image "-" is in `stdin`.
    `overlay` is where the image of `explain` is written.
    """
    reporter, details = reporter or SilentReporter(), details or Details()
    pairs = pairs_of(list(map(str, images)), titles)
    _check(pairs, explain=explain, overlay=overlay)
    files = {str(image): read_image(image, stdin) for image in images}
    opened = find_run(run, runs_dir, reporter)
    posts = make_posts(
        reads_of(opened),
        pairs,
        tags=details.tags,
        description=details.description,
        posted_at=details.posted_at,
        columns=details.columns,
        reporter=reporter,
        after=details.after,
    )
    session = InferenceSession(opened)
    if not images:
        check_titles_alone(session)
    session.load(reporter)
    contents = [files.get(image) for image in posts["image"]]
    explanation = None
    if explain:
        explanation = explain_post(session, posts, contents[0], overlay=overlay, reporter=reporter)
    return answer_of(session, posts, contents, explanation=explanation)


def answer_of(
    session: InferenceSession,
    posts: pd.DataFrame,
    images: Sequence[bytes | None],
    *,
    explanation: Explanation | None = None,
) -> Answer:
    """Answer for posts that are variants of each other, where there are several."""
    predictions = session.predict(posts, images)
    forecast = session.uncertainty.forecast(predictions)
    return answer_from(session, posts, images, predictions, forecast, explanation=explanation)


def answer_from(
    session: InferenceSession,
    posts: pd.DataFrame,
    images: Sequence[bytes | None],
    predictions: Predictions,
    forecast: Forecast,
    *,
    explanation: Explanation | None = None,
) -> Answer:
    """As `answer_of`, of posts that were predicted already."""
    hashes = tuple(image_hash(image) for image in images)
    return Answer(
        run=session.run,
        image_hashes=hashes,
        inputs_hashes=tuple(inputs_hash(post, image) for post, image in zip(posts.to_dict("records"), hashes, strict=True)),
        images=tuple(posts["image"]),
        titles=tuple(posts["title"]),
        forecast=forecast,
        ranking=_rank(session, posts, images, predictions) if len(posts) > 1 else None,
        explanation=explanation,
    )


def _rank(
    session: InferenceSession, posts: pd.DataFrame, images: Sequence[bytes | None], predictions: Predictions
) -> Ranking:
    uncertainty = session.uncertainty
    pairs = np.triu_indices(len(posts), k=1)
    true = uncertainty.true_differences(session.predictor, posts, session.sources.of(images), predictions, pairs)
    if true is not None:
        draws = draw_variants(true, len(posts))
    else:
        correlation = uncertainty.correlation.of_variants(uncertainty.points(predictions), len(predictions))
        draws = draw_together(uncertainty.calibration, predictions, correlation)
    # What few residuals say is drawn to even chances, as classes are to their shares: 0 of 100 draws is not never.
    best = uncertainty.calibration.smoothed(chances_of_best(draws), [1 / len(predictions)])
    order = np.argsort(-uncertainty.main(predictions), kind="stable")
    top = order[:MOST_COMPARED]
    is_ratio = true is not None and session.run.target.formula.transform != "identity"
    return Ranking(
        order=tuple(order.tolist()),
        best=tuple(best[order].tolist()),
        beats=uncertainty.calibration.smoothed(chances_to_beat(draws[:, top]), [0.5]),
        gain=Gain.of(draws, int(order[0])) if is_ratio else None,
    )


def _check(pairs: Sequence[tuple[str, str]], *, explain: bool, overlay: Path | None) -> None:
    check_variants(pairs)
    if explain and len(pairs) > 1:
        raise WrongCallError(f"--explain takes one post, and there are {len(pairs)} variants; name one image and one title")
    if overlay is not None and not explain:
        raise WrongCallError("--overlay needs --explain; give both")
    if overlay is not None and (overlay.suffix.lower() != ".png" or overlay.is_dir()):
        raise WrongCallError(f"--overlay {overlay}: name a .png file")
    if overlay is not None and overlay.is_file() and any(Path(i).is_file() and overlay.samefile(i) for i, _ in pairs):
        raise WrongCallError(f"--overlay {overlay} is the image itself and would be overwritten; name another file")
    if overlay is not None:
        refuse_link(overlay)


def pairs_of(images: Sequence[str], titles: Sequence[str]) -> list[tuple[str, str]]:
    """Return every image with every title, images first; the titles alone, with "" for an image, where none is given."""
    names = list(images) or ([NO_IMAGE] if any(titles) else [])
    return [(name, title) for name in names for title in list(titles) or [""]]


def check_titles_alone(session: InferenceSession) -> None:
    """Raise WrongCallError where the run expects a cover: without one it would predict a post that lacks something."""
    if has_seen_covers(session.run, session.uncertainty.neighbours):
        raise WrongCallError(
            f"name an image: {session.run.folder} was trained on posts with covers; to compare titles alone, train a run "
            "on posts without covers (`engage prepare --no-images`)"
        )


def check_variants(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise WrongCallError for none, for too many, or for equal ones."""
    if not pairs:
        raise WrongCallError("no image and no title is given; give an image file, --title, or both")
    if len(pairs) > MOST_VARIANTS:
        raise WrongCallError(f"{len(pairs):,} variants: at most {MOST_VARIANTS} are ranked; give --table for many posts")
    if len(set(pairs)) < len(pairs):
        raise WrongCallError("an image or a title is given twice; give each once")
