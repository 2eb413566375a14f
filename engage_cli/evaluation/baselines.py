"""Baselines that every run is shown beside, fitted on the same training rows.

A baseline is one function and one line. What a baseline chooses (the ridge's strength) it chooses on validation rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES
from engage_cli.data.leakage import known_before
from engage_cli.data.schema import texts_of
from engage_cli.features.groups.tfidf import WORD
from engage_cli.metrics.metrics import METRICS, PRIMARY
from engage_cli.models.predictions import Predictions
from engage_cli.registry import Registry
from engage_cli.uncertainty.neighbours import nearest_places

BASELINES = {
    "value": Registry(
        "baseline",
        {
            "constant": "engage_cli.evaluation.baselines:constant_value",
            "text length": "engage_cli.evaluation.baselines:length_value",
            "tf-idf + ridge": "engage_cli.evaluation.baselines:tfidf_ridge",
            "nearest neighbours": "engage_cli.evaluation.baselines:neighbours_value",
            "embeddings + ridge": "engage_cli.evaluation.baselines:embeddings_ridge",
        },
    ),
    "classes": Registry(
        "baseline",
        {
            "constant": "engage_cli.evaluation.baselines:constant_classes",
            "text length": "engage_cli.evaluation.baselines:length_classes",
            "tf-idf + logistic regression": "engage_cli.evaluation.baselines:tfidf_logistic",
            "nearest neighbours": "engage_cli.evaluation.baselines:neighbours_classes",
            "embeddings + logistic regression": "engage_cli.evaluation.baselines:embeddings_logistic",
        },
    ),
}
NEED_VECTORS = (
    "nearest neighbours",
    "embeddings + ridge",
    "embeddings + logistic regression",
)
RIDGE_ALPHAS = (0.3, 1.0, 3.0, 10.0, 30.0)
WIDE_ALPHAS = (10.0, 100.0, 1000.0, 10_000.0)  # of standardised embeddings
LOGISTIC_CS = (0.1, 1.0, 10.0)
NARROW_CS = (1e-4, 1e-3, 1e-2)
NEIGHBOURS = (5, 15, 50, 150)
# Posts that baselines learn from, at most: a linear model of so many hardly changes with more, and `evaluate` is to take
# minutes. Logistic regression takes the longest.
MOST_LEARNED = {"value": 50_000, "classes": 20_000}
MOST_CHECKED = 10_000  # posts by which they choose
MOST_EXACT = 20_000  # posts that scikit-learn searches; of more, blocks in single precision are four times as fast


class Part(NamedTuple):
    """Posts, what is true of them (nothing is, of those to be predicted), and their embeddings where there are any."""

    posts: pd.DataFrame
    truth: np.ndarray
    vectors: np.ndarray | None = None  # (n, V) float32
    weights: np.ndarray | None = None  # (n,) what each counts in a ridge; None is all alike


Baseline = Callable[[Part, Part, Part], Predictions]  # train, validation, the posts to predict


def constant_value(train: Part, validation: Part, posts: Part) -> Predictions:
    """The training mean."""
    return Predictions(value=np.full(len(posts.posts), train.truth.mean()))


def constant_classes(train: Part, validation: Part, posts: Part) -> Predictions:
    """The training shares of the classes, so the most frequent one is always named."""
    return Predictions(probabilities=np.tile(_shares(train), (len(posts.posts), 1)))


def length_value(train: Part, validation: Part, posts: Part) -> Predictions:
    """Ridge on the numbers of characters and words of the texts."""
    return _best_ridge(train, validation, [_lengths(part.posts) for part in (train, validation, posts)], WIDE_ALPHAS)


def length_classes(train: Part, validation: Part, posts: Part) -> Predictions:
    """Multinomial logistic regression on the same."""
    return _best_logistic(train, validation, [_lengths(part.posts) for part in (train, validation, posts)], LOGISTIC_CS)


def tfidf_ridge(train: Part, validation: Part, posts: Part) -> Predictions:
    """Ridge on TF-IDF of title, tags and description (words 1-2, characters 2-4)."""
    return _best_ridge(train, validation, _tfidf([part.posts for part in (train, validation, posts)]), RIDGE_ALPHAS)


def tfidf_logistic(train: Part, validation: Part, posts: Part) -> Predictions:
    """Multinomial logistic regression on the same TF-IDF."""
    return _best_logistic(train, validation, _tfidf([part.posts for part in (train, validation, posts)]), LOGISTIC_CS)


def embeddings_ridge(train: Part, validation: Part, posts: Part) -> Predictions:
    """Ridge on the standardised embeddings."""
    return _best_ridge(train, validation, _standardised(train, validation, posts), WIDE_ALPHAS)


def embeddings_logistic(train: Part, validation: Part, posts: Part) -> Predictions:
    """Multinomial logistic regression on the standardised embeddings."""
    return _best_logistic(train, validation, _standardised(train, validation, posts), NARROW_CS)


def neighbours_value(train: Part, validation: Part, posts: Part) -> Predictions:
    """The mean of the nearest training posts by their embeddings."""
    means = _of_neighbours(train, validation, posts, "value", train.truth[:, None].astype(np.float64))
    return Predictions(value=means[:, 0])


def neighbours_classes(train: Part, validation: Part, posts: Part) -> Predictions:
    """The classes' shares among the nearest training posts by their embeddings."""
    shares = _of_neighbours(train, validation, posts, "classes", np.eye(len(CLASS_NAMES))[train.truth])
    return Predictions(probabilities=shares)


def _best_ridge(train: Part, validation: Part, features: Sequence[Any], alphas: Sequence[float]) -> Predictions:
    """Predict by the ridge whose strength serves the validation posts best; `features` are of the three parts."""
    from sklearn.linear_model import Ridge

    fitted, checks, wanted = features
    models = [Ridge(alpha=alpha).fit(fitted, train.truth, sample_weight=train.weights) for alpha in alphas]
    return Predictions(value=_best(models, "value", validation, lambda model: model.predict(checks)).predict(wanted))


def _best_logistic(train: Part, validation: Part, features: Sequence[Any], strengths: Sequence[float]) -> Predictions:
    from sklearn.linear_model import LogisticRegression

    fitted, checks, wanted = features

    def probabilities(model: LogisticRegression, features: Any) -> np.ndarray:
        full = np.zeros((features.shape[0], len(CLASS_NAMES)))
        full[:, model.classes_] = model.predict_proba(features)
        return full

    if len(np.unique(train.truth)) < 2:
        return Predictions(probabilities=np.tile(_shares(train), (wanted.shape[0], 1)))
    models = [LogisticRegression(C=c, max_iter=1000).fit(fitted, train.truth) for c in strengths]
    best = _best(models, "classes", validation, lambda model: probabilities(model, checks))
    return Predictions(probabilities=probabilities(best, wanted))


def thinned(places: np.ndarray, part: str, kind: str) -> np.ndarray:
    """Return the places of the training or validation posts that baselines learn from: all, or as many evenly spread."""
    most = MOST_LEARNED[kind] if part == "train" else MOST_CHECKED
    return places if len(places) <= most else places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _best(models: Sequence[Any], kind: str, validation: Part, predict: Callable[[Any], np.ndarray]) -> Any:
    metric = METRICS[kind].load(PRIMARY[kind])
    return max(models, key=lambda model: metric(validation.truth, predict(model)))


def _of_neighbours(train: Part, validation: Part, posts: Part, kind: str, outcomes: np.ndarray) -> np.ndarray:
    """(n, ...) mean outcomes of the k nearest training posts; k is what serves the validation posts best."""
    from sklearn.neighbors import NearestNeighbors

    assert train.vectors is not None
    assert validation.vectors is not None
    assert posts.vectors is not None
    known = train.vectors
    sizes = [k for k in NEIGHBOURS if k <= len(known)] or [len(known)]
    if len(known) > MOST_EXACT:
        search = partial(nearest_places, known, num=sizes[-1])
    else:
        fitted = NearestNeighbors(n_neighbors=sizes[-1], algorithm="brute").fit(known)
        search = partial(fitted.kneighbors, return_distance=False)
    near = {name: search(vectors) for name, vectors in (("check", validation.vectors), ("want", posts.vectors))}

    def means(places: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(outcomes[places[:, :k]].mean(axis=1))

    metric = METRICS[kind].load(PRIMARY[kind])
    of_kind = (lambda found: found[:, 0]) if kind == "value" else (lambda found: found)
    best = max(sizes, key=lambda k: metric(validation.truth, of_kind(means(near["check"], k))))
    return means(near["want"], best)


def _shares(train: Part) -> np.ndarray:
    return np.bincount(train.truth, minlength=len(CLASS_NAMES)) / len(train.truth)


def _lengths(posts: pd.DataFrame) -> np.ndarray:
    """(n, 4): log1p of characters and words of the title, and of all texts."""
    some = known_before(posts)
    texts = [texts_of(some, block) for block in ("title", "text")]
    counts = [[(len(text), len(text.split())) for text in block] for block in texts]
    return np.log1p(np.concatenate([np.asarray(block, np.float64).reshape(-1, 2) for block in counts], axis=1))


def _standardised(train: Part, validation: Part, posts: Part) -> list[np.ndarray]:
    """The vectors, by the means and deviations of the training posts."""
    assert train.vectors is not None
    mean, deviation = train.vectors.mean(axis=0), train.vectors.std(axis=0)
    parts = (part.vectors for part in (train, validation, posts))
    return [(part - mean) / np.maximum(deviation, 1e-6) for part in parts if part is not None]


def _tfidf(parts: Sequence[pd.DataFrame]) -> list[Any]:
    """The TF-IDF of each part, by the words of the first."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2 if len(parts[0]) > 100 else 1),
    )
    # A vocabulary needs one word: a post without any, of marks alone too, says so with one.
    texts = [
        [text if re.search(r"\w", text) else f"{text} <nothing>" for text in texts_of(known_before(part), "text")]
        for part in parts
    ]
    return [union.fit_transform(texts[0]).tocsr(), *(union.transform(some).tocsr() for some in texts[1:])]
