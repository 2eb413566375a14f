"""One post, before it is published."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.cells import clean_text, parse_scores
from engage_cli.core.config import CLASS_NAMES
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError, WrongCallError
from engage_cli.core.features import LiveBlocks
from engage_cli.core.history import add_time
from engage_cli.core.images import ImageError, decode, read_bytes
from engage_cli.core.posts import OWN, side_of
from engage_cli.core.predictions import Predictions
from engage_cli.core.predictors import CATBOOST, TUNED, extra_columns, load_predictor
from engage_cli.core.predictors.catboost import CatBoostPredictor, Reasons
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import Run, load_run, newest_run
from engage_cli.core.table_parts.columns import NUMBER, Time
from engage_cli.steps.embed import make_encoder
from engage_cli.steps.evaluate import blocks_of, encoder_config, must_be_same_encoder
from engage_cli.steps.post_contents import GivenContents
from engage_cli.steps.table_source import LiveTable

INTERVALS = (0.8, 0.95)
NOT_A_CAUSE = "the model's view, not a cause"


@dataclass(frozen=True, kw_only=True)
class PostPrediction:
    """What a run says about one post."""

    run: Run
    image: str
    title: str
    value: float | None  # in the target's own unit
    count: float | None  # the value as a count, where the target is the log of one
    percentile: float  # among the posts that the target was fitted on
    intervals: dict[str, tuple[float, float]]  # "80" and "95" percent, as a quantile run itself gives them: not calibrated
    class_name: str
    probabilities: dict[str, float] | None
    reasons: Reasons | None = None  # what the prediction rests on, where that was asked for

    def to_json(self) -> dict[str, Any]:
        post: dict[str, Any] = {
            "image": self.image,
            "title": self.title,
            "value": self.value,
            "count": self.count,
            "percentile": self.percentile,
            **{f"interval_{share}": list(bounds) for share, bounds in self.intervals.items()},
            "class": self.class_name,
            "probabilities": self.probabilities,
            "leaky": self.run.leaky,
            "marks": list(self.run.marks),
        }
        if self.reasons is not None:
            post["explanation"] = {"note": NOT_A_CAUSE, **dataclasses.asdict(self.reasons)}
        return {"run": str(self.run.folder), "target": self.run.target.name, "kind": self.run.kind, "posts": [post]}


def predict(
    image: Path,
    *,
    title: str = "",
    tags: str = "",
    description: str = "",
    posted_at: str = "",
    columns: Mapping[str, str] | None = None,
    explain: bool = False,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> PostPrediction:
    """Predict one post from what is known before publication.

    `posted_at` is when it will be published, in UTC unless it says otherwise; `columns` are further columns that the run
    was given.
    """
    reporter = reporter or SilentReporter()
    try:
        data = read_bytes(image)
        decode(data)
    except ImageError as problem:
        raise EngageError(f"{image}: {problem}; give a JPEG, PNG, WebP or GIF") from None
    opened = load_run(run) if run is not None else newest_run(runs_dir)
    if run is None:
        reporter.say(f"run: {opened.folder} (the newest finished one)")
    if explain and opened.meta["model"] != CATBOOST:
        raise WrongCallError(f"--explain: {opened.folder} is no run of train-catboost, and only those give reasons")
    title, tags, description = map(_as_unicode, (title, tags, description))
    posts = pd.DataFrame(
        {"id": ["post"], "image": [str(image)], "title": [title], "tags": [tags], "description": [description]}
    )
    for column in ("title", "tags", "description"):
        posts[column] = clean_text(posts[column])
    if posted_at:
        posts = add_time(posts.assign(posted_at=_parse_moment(posted_at)), has_hours=":" in posted_at)
    posts = _add_columns(posts, opened, columns or {}, reporter)
    if not posts["title"].iloc[0]:
        reporter.say("no --title: the model predicts from the image (and tags, description) alone")
    config = encoder_config(opened)
    encoders = {}
    for side in dict.fromkeys(side_of(block) for block in blocks_of(opened)):
        encoders[side] = make_encoder(side, config)
        must_be_same_encoder(opened, side, encoders[side].record)
    predictions, reasons = _ask(opened, posts, data, encoders, explain=explain)
    target = opened.target
    if predictions.value is not None:
        value = predictions.value[:1]
        counts = target.counts(value)
        return PostPrediction(
            run=opened,
            image=str(image),
            title=title,
            value=float(value[0]),
            count=None if counts is None else max(0.0, float(counts[0])),
            percentile=float(target.percentile(value)[0]),
            intervals=_intervals(predictions),
            class_name=CLASS_NAMES[int(target.classes(value)[0])],
            probabilities=None,
            reasons=reasons,
        )
    assert predictions.probabilities is not None
    shares = predictions.probabilities[0]
    # A class stands for the middle of its stretch of the training posts.
    middles = np.cumsum(target.class_shares) - np.asarray(target.class_shares) / 2
    return PostPrediction(
        run=opened,
        image=str(image),
        title=title,
        value=None,
        count=None,
        percentile=float(100 * (shares * middles).sum()),
        intervals={},
        class_name=CLASS_NAMES[int(predictions.classes[0])],
        probabilities={name: float(share) for name, share in zip(CLASS_NAMES, shares, strict=True)},
        reasons=reasons,
    )


def _ask(
    run: Run, posts: pd.DataFrame, data: bytes, encoders: dict[str, Encoder], *, explain: bool
) -> tuple[Predictions, Reasons | None]:
    predictor = load_predictor(run)
    if isinstance(predictor, CatBoostPredictor):
        table = LiveTable(encoders, [data])
        return predictor.predict(posts, table), predictor.explain(posts, table)[0] if explain else None
    is_tuned = run.meta["model"] == TUNED
    return predictor.predict(posts, GivenContents([data]) if is_tuned else LiveBlocks(encoders, [data])), None


def _intervals(predictions: Predictions) -> dict[str, tuple[float, float]]:
    found = {f"{share:.0%}"[:-1]: predictions.interval(share) for share in INTERVALS}
    return {name: (float(bounds[0][0]), float(bounds[1][0])) for name, bounds in found.items() if bounds is not None}


def _as_unicode(text: str) -> str:
    """What the shell handed over in another encoding than UTF-8 comes as lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def _parse_moment(text: str) -> pd.Timestamp:
    moment = pd.to_datetime(text, errors="coerce", utc=True)
    if pd.isna(moment):
        raise WrongCallError(f"--posted-at '{text}' is no date; write it as 2026-11-24 or 2026-11-24T18:30")
    return moment


def _add_columns(posts: pd.DataFrame, run: Run, values: Mapping[str, str], reporter: Reporter) -> pd.DataFrame:
    """Add the further columns that the run was trained on; say which ones are not given."""
    wanted = {name.removeprefix(OWN): (name, kind) for name, kind in extra_columns(run).items()}
    for name, value in ((name, _as_unicode(value)) for name, value in values.items()):
        if name not in wanted:
            there = ", ".join(wanted) or "none"
            raise WrongCallError(f"--with {name}: {run.folder} was trained without it; it was given: {there}")
        column, kind = wanted[name]
        if kind == NUMBER:
            number, unusable = parse_scores(pd.Series([value]))
            if unusable[0]:
                raise WrongCallError(f"--with {name}={value}: '{value}' is no number")
            posts[column] = number
        else:
            posts[column] = clean_text(pd.Series([value])).to_numpy()
    missing = [name for name, (column, _) in wanted.items() if column not in posts]
    if times := [name for name in missing if name in Time.names]:
        reporter.say(f"without {', '.join(times)}: give --posted-at, the run was trained on it")
    if missing := [name for name in missing if name not in times]:
        reporter.say(f"without {', '.join(missing)}: give it as in --with {missing[0]}=..., the run was trained on it")
    return posts
