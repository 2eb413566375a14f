"""Scores as an evaluation makes them, of invented posts."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from engage_cli.evaluation.results import Evaluation, Score, Slice
from engage_cli.metrics.metrics import bootstrap_metrics
from engage_cli.metrics.paired_bootstrap import compare

RESAMPLES = 10


@functools.cache
def value_score(
    num: int = 600,
    *,
    name: str = "runs/regressor-views",
    skill: float = 0.5,
    seed: int = 1,
    slices: bool = True,
    intervals: bool = True,
    leaky: bool = False,
    resamples: int = RESAMPLES,
) -> Score:
    """`skill` is about the correlation with the truth, which depends on `num` alone."""
    true = 9 + 2 * np.random.default_rng(0).normal(size=num)
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=num)
    predicted = 9 + skill * (skill * (true - 9) + 2 * np.sqrt(1 - skill**2) * noise)
    half = {"80": 1.2816 * 2 * np.sqrt(1 - skill**2), "95": 1.96 * 2 * np.sqrt(1 - skill**2)}
    return Score(
        name=name,
        kind="value",
        target="views",
        unit="log1p(views)",
        metrics=bootstrap_metrics("value", true, predicted, num_resamples=resamples),
        places=np.arange(num),
        predicted=predicted,
        true=true,
        intervals={level: (predicted - width, predicted + width) for level, width in half.items()} if intervals else {},
        slices=slices_of("value", true, predicted) if slices else (),
        leaky=leaky,
    )


@functools.cache
def class_score(
    num: int = 600,
    *,
    name: str = "runs/classifier-engagement",
    skill: float = 1.0,
    seed: int = 1,
    slices: bool = True,
    leaky: bool = False,
    resamples: int = RESAMPLES,
) -> Score:
    true = np.random.default_rng(0).integers(0, 5, num)
    logits = np.random.default_rng(seed).normal(size=(num, 5))
    logits -= 0.25 * skill * (np.arange(5) - true[:, None]) ** 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Score(
        name=name,
        kind="classes",
        target="engagement",
        unit="(likes + 2·comments + 3·shares + 3·favorites) / max(views, 1)",
        metrics=bootstrap_metrics("classes", true, probabilities, num_resamples=resamples),
        places=np.arange(num),
        predicted=probabilities,
        true=true,
        slices=slices_of("classes", true, probabilities) if slices else (),
        leaky=leaky,
    )


def slices_of(kind: str, true: np.ndarray, predicted: np.ndarray) -> tuple[Slice, ...]:
    tags = ["Music", "Cooking and baking at home", "Кино", "音楽", "", "a_very_long_tag_" * 5, *"defghijklmnop"]
    months = [f"2024-{month:02}" for month in range(1, 7)]
    found = []
    for by, names in (("tag", tags), ("month", months)):
        of = np.random.default_rng(len(names)).choice(len(names), len(true), p=weights(len(names)))
        for place, name in enumerate(names):
            rows = of == place
            if rows.any():
                enough = rows.sum() >= 10
                metrics = bootstrap_metrics(kind, true[rows], predicted[rows], num_resamples=4) if enough else {}
                found.append(Slice(by=by, name=name, rows=int(rows.sum()), metrics=metrics))
    return tuple(found)


def weights(num: int) -> np.ndarray:
    falling = 1 / (1.0 + np.arange(num))
    return falling / falling.sum()


def baselines_of(score: Score) -> list[Score]:
    if score.kind == "value":
        weak = value_score(score.rows, name="tf-idf + ridge", skill=0.3, seed=9, slices=False, intervals=False)
        return [_constant(score), weak]
    weak = class_score(score.rows, name="tf-idf + logistic regression", skill=0.3, seed=9, slices=False)
    return [_constant(score), weak]


def evaluation_of(*runs: Score, marks: tuple[str, ...] = (), split: str = "test") -> Evaluation:
    baselines, comparisons = [], []
    for kind in dict.fromkeys(run.kind for run in runs):
        own = [run for run in runs if run.kind == kind]
        baselines += baselines_of(own[0])
        for run in own:
            both = ((run.name, run.predicted), (baselines[-1].name, baselines[-1].predicted))
            comparisons.append(compare(kind, run.true, *both, num_resamples=RESAMPLES))
        if len(own) > 1:
            both = ((own[0].name, own[0].predicted), (own[1].name, own[1].predicted))
            comparisons.append(compare(kind, own[0].true, *both, num_resamples=RESAMPLES))
    return Evaluation(split=split, runs=list(runs), baselines=baselines, comparisons=comparisons, marks=marks)


def posts_of(num: int = 600, **columns: Any) -> pd.DataFrame:
    """Posts whose views are the truth of `value_score`; every seventh has no image."""
    true = 9 + 2 * np.random.default_rng(0).normal(size=num)
    posts = pd.DataFrame(
        {
            "id": [f"p{n}" for n in range(num)],
            "title": [f"How I built number {n} of my machines in a single weekend" for n in range(num)],
            "tags": "machines, making",
            "image": [f"p{n}.jpg" for n in range(num)],
            "image_problem": ["no such file" if n % 7 == 3 else "" for n in range(num)],
            "views": np.expm1(true),
            "likes": np.arange(num) % 31 + 1.0,
        }
    )
    return posts.assign(**columns)


def read_image(row: int) -> bytes | None:
    if row % 7 == 3:
        return None
    out = io.BytesIO()
    Image.new("RGB", (64, 40), (row % 256, 90, 160)).save(out, "JPEG")
    return out.getvalue()


def _constant(score: Score) -> Score:
    predicted = np.full(score.rows, score.true.mean()) if score.kind == "value" else np.full((score.rows, 5), 0.2)
    return Score(
        name="constant",
        kind=score.kind,
        target=score.target,
        unit=score.unit,
        metrics=bootstrap_metrics(score.kind, score.true, predicted, num_resamples=RESAMPLES),
        places=score.places,
        predicted=predicted,
        true=score.true,
    )
