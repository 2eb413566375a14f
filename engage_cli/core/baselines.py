"""Baselines that every run is shown beside, fitted on the same training rows.

A baseline is one function and one line. What a baseline chooses (the ridge's strength) it chooses on validation rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from engage_cli.core.config import CLASS_NAMES
from engage_cli.core.leakage import known_before
from engage_cli.core.metrics import PRIMARY, compute_metrics
from engage_cli.core.posts import texts_of
from engage_cli.core.predictions import Predictions
from engage_cli.core.registry import Registry

BASELINES = {
    "value": Registry(
        "baseline",
        {
            "constant": "engage_cli.core.baselines:constant_value",
            "tf-idf + ridge": "engage_cli.core.baselines:tfidf_ridge",
        },
    ),
    "classes": Registry(
        "baseline",
        {
            "constant": "engage_cli.core.baselines:constant_classes",
            "tf-idf + logistic regression": "engage_cli.core.baselines:tfidf_logistic",
        },
    ),
}
RIDGE_ALPHAS = (0.3, 1.0, 3.0, 10.0, 30.0)
LOGISTIC_CS = (0.1, 1.0, 10.0)

Part = tuple[pd.DataFrame, np.ndarray]  # posts, and their true scores or classes
Baseline = Callable[[Part, Part, pd.DataFrame], Predictions]  # train, validation, the posts to predict


def constant_value(train: Part, validation: Part, posts: pd.DataFrame) -> Predictions:
    """The training mean."""
    return Predictions(value=np.full(len(posts), train[1].mean()))


def constant_classes(train: Part, validation: Part, posts: pd.DataFrame) -> Predictions:
    """The training shares of the classes, so the most frequent one is always named."""
    shares = np.bincount(train[1], minlength=len(CLASS_NAMES)) / len(train[1])
    return Predictions(probabilities=np.tile(shares, (len(posts), 1)))


def tfidf_ridge(train: Part, validation: Part, posts: pd.DataFrame) -> Predictions:
    """Ridge on TF-IDF of title, tags and description (words 1-2, characters 2-4)."""
    from sklearn.linear_model import Ridge

    vectorize, fitted = _tfidf(train[0])
    checks = vectorize(validation[0])
    models = [Ridge(alpha=alpha).fit(fitted, train[1]) for alpha in RIDGE_ALPHAS]
    scores = [compute_metrics("value", validation[1], model.predict(checks))[PRIMARY["value"]] for model in models]
    return Predictions(value=models[int(np.argmax(scores))].predict(vectorize(posts)))


def tfidf_logistic(train: Part, validation: Part, posts: pd.DataFrame) -> Predictions:
    """Multinomial logistic regression on the same TF-IDF."""
    from sklearn.linear_model import LogisticRegression

    vectorize, fitted = _tfidf(train[0])

    def probabilities(model: LogisticRegression, features: object) -> np.ndarray:
        full = np.zeros((features.shape[0], len(CLASS_NAMES)))  # type: ignore[attr-defined]
        full[:, model.classes_] = model.predict_proba(features)
        return full

    if len(np.unique(train[1])) < 2:
        return constant_classes(train, validation, posts)
    models = [LogisticRegression(C=c, max_iter=300).fit(fitted, train[1]) for c in LOGISTIC_CS]
    checks = vectorize(validation[0])
    scores = [compute_metrics("classes", validation[1], probabilities(m, checks))[PRIMARY["classes"]] for m in models]
    return Predictions(probabilities=probabilities(models[int(np.argmax(scores))], vectorize(posts)))


def _tfidf(posts: pd.DataFrame) -> tuple[Callable[[pd.DataFrame], object], object]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2 if len(posts) > 100 else 1),
    )

    def texts(some: pd.DataFrame) -> list[str]:
        # A vocabulary needs one word: a post without text says so with one.
        return [text or "<nothing>" for text in texts_of(known_before(some), "text")]

    fitted = union.fit_transform(texts(posts)).tocsr()
    return (lambda some: union.transform(texts(some)).tocsr()), fitted
