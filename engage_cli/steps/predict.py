"""One post, before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.core.config import CLASS_NAMES
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError
from engage_cli.core.features import LiveBlocks, side_of
from engage_cli.core.images import ImageError, decode, read_bytes
from engage_cli.core.posts import clean_text
from engage_cli.core.predictors import load_predictor
from engage_cli.core.progress import Reporter, SilentReporter
from engage_cli.core.runs import Run, load_run, newest_run
from engage_cli.steps.evaluate import blocks_of, encoder_config, must_be_same_encoder


@dataclass(frozen=True, kw_only=True)
class PostPrediction:
    """What a run says about one post."""

    run: Run
    image: str
    title: str
    value: float | None  # in the target's own unit
    count: float | None  # the value as a count, where the target is the log of one
    percentile: float  # among the posts that the target was fitted on
    class_name: str
    probabilities: dict[str, float] | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        post = {
            "image": self.image,
            "title": self.title,
            "value": self.value,
            "count": self.count,
            "percentile": self.percentile,
            "class": self.class_name,
            "probabilities": self.probabilities,
            "leaky": self.run.leaky,
        }
        return {"run": str(self.run.folder), "target": self.run.target.name, "kind": self.run.kind, "posts": [post]}


def predict(
    image: Path,
    *,
    title: str = "",
    tags: str = "",
    description: str = "",
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> PostPrediction:
    """Predict one post from what is known before publication."""
    reporter = reporter or SilentReporter()
    try:
        data = read_bytes(image)
        decode(data)
    except ImageError as problem:
        raise EngageError(f"{image}: {problem}; give a JPEG, PNG, WebP or GIF") from None
    opened = load_run(run) if run is not None else newest_run(runs_dir)
    if run is None:
        reporter.say(f"run: {opened.folder} (the newest finished one)")
    posts = pd.DataFrame(
        {"id": ["post"], "image": [str(image)], "title": [title], "tags": [tags], "description": [description]}
    )
    for column in ("title", "tags", "description"):
        posts[column] = clean_text(posts[column])
    if not posts["title"].iloc[0]:
        reporter.say("no --title: the model predicts from the image (and tags, description) alone")
    config = encoder_config(opened)
    names = {"vision": config.vision, "text": config.text}
    encoders = {}
    for side in dict.fromkeys(side_of(block) for block in blocks_of(opened)):
        encoders[side] = Encoder(side, names[side], precision=config.precision)
        must_be_same_encoder(opened, side, encoders[side].record)
    predictions = load_predictor(opened).predict(posts, LiveBlocks(encoders, [data]))
    target = opened.target
    note = "the target was fitted on all rows, test rows included" if target.fit_on == "all" else ""
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
            class_name=CLASS_NAMES[int(target.classes(value)[0])],
            probabilities=None,
            note=note,
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
        class_name=CLASS_NAMES[int(predictions.classes[0])],
        probabilities={name: float(share) for name, share in zip(CLASS_NAMES, shares, strict=True)},
        note=note,
    )
