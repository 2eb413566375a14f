"""Posts before they are published: one, or the variants of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.config import CLASS_NAMES, MOST_VARIANTS
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.evidence import warnings_of
from engage_cli.core.forecast import Forecast
from engage_cli.core.images import ImageError, decode, read_bytes
from engage_cli.core.joint import chances_of_best, chances_to_beat, draw_together
from engage_cli.core.predictions import Predictions
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import Run, load_run, newest_run
from engage_cli.steps.ask import OpenRun
from engage_cli.steps.asked_posts import make_posts, reads_of
from engage_cli.steps.explain import Explanation, explain_post

MOST_COMPARED = 8  # variants whose pairs are told
SURE_ENOUGH = 2 / 3  # that the first beats the second: below it the two are too close to call
STDIN = "-"  # in the place of an image


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Variants of one post, the best first."""

    order: tuple[int, ...]  # places among the posts
    best: tuple[float, ...]  # how probable it is that each of them, in this order, is the best of all
    beats: np.ndarray  # (m, m) how probable it is that one of the first m beats another of them

    @property
    def is_close(self) -> bool:
        """Whether the first two are too close to call."""
        return bool(self.beats[0, 1] < SURE_ENOUGH)

    @property
    def verdict(self) -> str:
        chance = f"the first beats the second in {100 * self.beats[0, 1]:.0f} of 100 draws"
        return f"too close to call: {chance}" if self.is_close else f"{chance}, and is the best in {100 * self.best[0]:.0f}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run says about posts."""

    run: Run
    images: tuple[str, ...]
    titles: tuple[str, ...]
    forecast: Forecast
    ranking: Ranking | None = None  # of variants
    explanation: Explanation | None = None  # of one post, where that was asked for

    def to_json(self) -> dict[str, Any]:
        posts = [self.post_json(row) for row in range(len(self.titles))]
        if self.explanation is not None:
            posts[0]["explanation"] = self.explanation.to_json()
        found: dict[str, Any] = {
            "run": str(self.run.folder),
            "target": self.run.target.name,
            "unit": str(self.run.target.formula),
            "kind": self.run.kind,
            "posts": posts,
            "warnings": warnings_of(self.run),
        }
        if self.ranking is not None:
            found["ranking"] = [
                {"rank": rank, "post": place, "image": self.images[place], "title": self.titles[place], "p_best": chance}
                for rank, (place, chance) in enumerate(zip(self.ranking.order, self.ranking.best, strict=True), start=1)
            ]
            found["beats"] = self.ranking.beats.tolist()
            found["too_close_to_call"] = self.ranking.is_close
            found["verdict"] = self.ranking.verdict
        return found

    def post_json(self, row: int) -> dict[str, Any]:
        said = self.forecast
        return {
            "image": self.images[row],
            "title": self.titles[row],
            "value": None if said.value is None else float(said.value[row]),
            "count": None if said.count is None else float(said.count[row]),
            "percentile": float(said.percentile[row]),
            **{f"interval_{name}": [float(low[row]), float(high[row])] for name, (low, high) in said.intervals.items()},
            "class": CLASS_NAMES[int(said.classes[row])],
            "probabilities": {name: float(p) for name, p in zip(CLASS_NAMES, said.probabilities[row], strict=True)},
            "neighbour_distance": None if said.distance is None else float(said.distance[row]),
            "unlike_training_posts": [block for block, far in said.far_in.items() if far[row]],
            "leaky": self.run.leaky,
            "marks": list(self.run.marks),
        }


def predict(
    images: Sequence[Path],
    *,
    titles: Sequence[str] = ("",),
    tags: str = "",
    description: str = "",
    posted_at: str = "",
    columns: Mapping[str, str] | None = None,
    explain: bool = False,
    overlay: Path | None = None,
    stdin: bytes | None = None,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> Answer:
    """Predict every image with every title, from what is known before publication.

    `posted_at` is when it will be published, in UTC unless it says otherwise; `columns` are further columns that the run
    was given. The image "-" is in `stdin`. `overlay` is where the picture of `explain` is written.
    """
    reporter = reporter or SilentReporter()
    titles = list(titles) or [""]
    pairs = [(str(image), title) for image in images for title in titles]
    _check(pairs, explain=explain, overlay=overlay)
    files = {str(image): read_image(image, stdin) for image in images}
    opened = load_run(run) if run is not None else newest_run(runs_dir)
    if run is None:
        reporter.say(f"run: {opened.folder} (the newest finished one)")
    posts = make_posts(
        reads_of(opened),
        pairs,
        tags=tags,
        description=description,
        posted_at=posted_at,
        columns=columns or {},
        reporter=reporter,
    )
    asked = OpenRun(opened)
    asked.load(reporter)
    contents = [files[image] for image in posts["image"]]
    explanation = None
    if explain:
        explanation = explain_post(asked, posts, contents[0], overlay=overlay, reporter=reporter)
    return answer_of(asked, posts, contents, explanation=explanation)


def answer_of(
    asked: OpenRun, posts: pd.DataFrame, images: Sequence[bytes | None], *, explanation: Explanation | None = None
) -> Answer:
    """Answer for posts that are variants of each other, where there are several."""
    predictions = asked.predict(posts, images)
    return answer_from(asked, posts, predictions, asked.doubt.forecast(predictions), explanation=explanation)


def answer_from(
    asked: OpenRun,
    posts: pd.DataFrame,
    predictions: Predictions,
    forecast: Forecast,
    *,
    explanation: Explanation | None = None,
) -> Answer:
    """As `answer_of`, of posts that were predicted already."""
    return Answer(
        run=asked.run,
        images=tuple(posts["image"]),
        titles=tuple(posts["title"]),
        forecast=forecast,
        ranking=_rank(asked, predictions) if len(posts) > 1 else None,
        explanation=explanation,
    )


def _rank(asked: OpenRun, predictions: Predictions) -> Ranking:
    doubt = asked.doubt
    correlation = doubt.correlation.of_variants(doubt.points(predictions), len(predictions))
    draws = draw_together(doubt.calibration, predictions, correlation)
    best = chances_of_best(draws)
    order = np.argsort(-doubt.main(predictions), kind="stable")
    top = order[:MOST_COMPARED]
    return Ranking(order=tuple(order.tolist()), best=tuple(best[order].tolist()), beats=chances_to_beat(draws[:, top]))


def _check(pairs: Sequence[tuple[str, str]], *, explain: bool, overlay: Path | None) -> None:
    check_variants(pairs)
    if explain and len(pairs) > 1:
        raise WrongCallError(f"--explain is of one post, and these are {len(pairs)} variants; name one image and one title")
    if overlay is not None and not explain:
        raise WrongCallError("--overlay is the picture of --explain; give both")
    if overlay is not None and (overlay.suffix.lower() != ".png" or overlay.is_dir()):
        raise WrongCallError(f"--overlay {overlay}: name the .png that is to be written")
    if overlay is not None and overlay.is_file() and any(Path(i).is_file() and overlay.samefile(i) for i, _ in pairs):
        raise WrongCallError(f"--overlay {overlay} is the image itself, which would be gone; name another file")


def check_variants(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise WrongCallError for none, for too many, or for equal ones."""
    if not pairs:
        raise WrongCallError("no image is named")
    if len(pairs) > MOST_VARIANTS:
        raise WrongCallError(f"{len(pairs):,} variants: at most {MOST_VARIANTS} are ranked; give --table for many posts")
    if len(set(pairs)) < len(pairs):
        raise WrongCallError("an image or a title is given twice; give each once")


def read_image(image: Path, stdin: bytes | None = None) -> bytes:
    """Return an image file that can be shown; raise EngageError for any other. "-" is `stdin`, where that is given."""
    is_stdin = str(image) == STDIN and stdin is not None
    try:
        data = stdin if is_stdin else read_bytes(image)
        if not data:
            raise ImageError("empty")
        decode(data)
    except ImageError as problem:
        raise EngageError(
            f"{'the image on stdin' if is_stdin else image}: {problem}; give a JPEG, PNG, WebP or GIF"
        ) from None
    return data
