"""Estimators in scikit-learn's manner: made with settings, fitted on a DataFrame of posts, asked about others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from engage_cli.api.pipeline import evaluate, prepare, train
from engage_cli.api.trained_run import PathLike, TrainedRun
from engage_cli.config.general import CLASS_NAMES, DEFAULT_TEXT, DEFAULT_VISION

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Self = TypeVar("Self", bound="_EngagementEstimator")


class _Images(TypedDict):
    image_column: str | None
    images_dir: PathLike | None


class _EngagementEstimator(BaseEstimator):
    """What both estimators do; they differ in `_kind`."""

    _kind = ""

    def __init__(
        self,
        target: str = "views",
        members: str = "gp,catboost,neural",
        vision: str = DEFAULT_VISION,
        text: str = DEFAULT_TEXT,
        split: str = "auto",
        seed: int = 0,
        folder: PathLike | None = None,
        verbose: bool = False,
    ) -> None:
        self.target = target
        self.members = members
        self.vision = vision
        self.text = text
        self.split = split
        self.seed = seed
        self.folder = folder
        self.verbose = verbose

    def fit(
        self: Self,
        posts: pd.DataFrame,
        *,
        image_column: str | None = None,
        images_dir: PathLike | None = None,
        columns: dict[str, str] | None = None,
        keep: Sequence[str] = (),
    ) -> Self:
        """Learn from published posts (n rows, with their counters); return the estimator itself.

        `image_column` names the column of images: paths, bytes or PIL.Image; `images_dir` is the folder that paths are
        relative to. `columns` says which column is what where names do not tell, as {"title": "headline"}; `keep` names
        further columns that are known before publication. A tenth of the posts is held out to test on and a tenth to
        learn from it how sure a prediction may be; `dataset_` tells which.

        Raises ValueError for a DataFrame that holds no posts, and EngageError that says what is wrong in which row.

        Example:
            EngagementRegressor(target="views").fit(posts, image_column="cover", images_dir="covers")
        """
        temporary = tempfile.TemporaryDirectory(prefix="engage-") if self.folder is None else None
        place = Path(temporary.name if temporary is not None else os.fspath(self.folder or ""))
        dataset = prepare(
            posts,
            place,
            image_column=image_column,
            images_dir=images_dir,
            columns=columns,
            keep=keep,
            split=self.split,
            seed=self.seed,
            overwrite=True,
            verbose=self.verbose,
        )
        run = train(
            dataset,
            target=self.target,
            kind=self._kind,
            members=self.members,
            vision=self.vision,
            text=self.text,
            seed=self.seed,
            verbose=self.verbose,
        )
        self._temporary = temporary  # lives as long as the estimator; that of an earlier fit goes
        self._image_column, self._images_dir = image_column, images_dir
        self.dataset_, self.run_ = dataset, run
        return self

    def predict(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> np.ndarray:
        """Return (n,) predictions of posts before they are published; counters among the columns are not read.

        A regressor gives values in `run_.unit`, as log1p(views); a classifier names from "Very Low" to "Very High". Images
        are looked for where `fit` found them, unless others are named. Raises NotFittedError (a ValueError) before `fit`.

        Example:
            model.predict(posts.head())
        """
        return self._fitted.predict(posts, **self._images(posts, image_column, images_dir))

    def predict_proba(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> np.ndarray:
        """Return (n, 5) probabilities of the classes from "Very Low" to "Very High"; see TrainedRun.predict_proba.

        Example:
            model.predict_proba(posts.head())[:, -1]
        """
        return self._fitted.predict_proba(posts, **self._images(posts, image_column, images_dir))

    def forecast(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return every prediction for each of n posts, n rows; see TrainedRun.forecast for the columns.

        Example:
            model.forecast(posts.head())[["count", "percentile"]]
        """
        return self._fitted.forecast(posts, **self._images(posts, image_column, images_dir))

    def rank(
        self, variants: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return variants of one post, the best first, with rank, p_best, value and percentile; see TrainedRun.rank.

        Example:
            model.rank(pd.DataFrame({"title": ["A cat", "The best cat EVER"], "image": ["a.jpg", "a.jpg"]}))
        """
        return self._fitted.rank(variants, **self._images(variants, image_column, images_dir))

    def explain(
        self, post: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return what the prediction of one post (one row) rests on; see TrainedRun.explain for the columns.

        Example:
            model.explain(posts.head(1))
        """
        return self._fitted.explain(post, **self._images(post, image_column, images_dir))

    def score(self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None) -> float:
        """Return R² of a regressor or accuracy of a classifier on posts whose counters tell what they earned.

        Of posts that it was fitted on the figure is too good; `evaluate` takes the posts that were held out.

        Example:
            model.score(newer_posts)
        """
        return self._fitted.score(posts, **self._images(posts, image_column, images_dir))

    def evaluate(self, *, resamples: int = 500) -> pd.DataFrame:
        """Return the figures of the posts that `fit` held out, beside baselines; see engage_cli.evaluate.

        Example:
            model.evaluate().query("metric == 'r2'")
        """
        return evaluate(self._fitted, self.dataset_, resamples=resamples, verbose=self.verbose)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")

    @property
    def _fitted(self) -> TrainedRun:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit(posts) first")
        return self.run_

    def _images(self, posts: pd.DataFrame, image_column: str | None, images_dir: PathLike | None) -> _Images:
        """Return where images are: as said, or where `fit` found them."""
        known = self._image_column if self._image_column in getattr(posts, "columns", ()) else None
        return {
            "image_column": image_column or known,
            "images_dir": images_dir if images_dir is not None else self._images_dir,
        }


class EngagementRegressor(_EngagementEstimator):
    """Predicts a target's value of posts before they are published, with intervals that hold what they promise.

    Parameters:
        target: what is predicted: "views" (the default), "popularity", "engagement", "composite", "rate", ...
        members: the models that are weighed together, of gp, catboost and neural, separated by commas.
        vision, text: the encoders: names of engage's table, ids of a model hub, or local folders.
        split: how posts are divided to learn and to test; "auto" takes time where posts have dates.
        seed: of the split and of every model.
        folder: where data and runs are written and stay; None is a temporary folder that lives as long as the estimator.
        verbose: tell on stderr what is being done.

    After `fit`, `run_` is the TrainedRun and `dataset_` the prepared posts. Unknown names raise EngageError in `fit`.

    Example:
        model = EngagementRegressor(target="views").fit(posts, image_column="image")
        low, high = model.predict_interval(posts.head(), level=0.8).T
    """

    _kind = "value"

    def predict_interval(
        self,
        posts: pd.DataFrame,
        *,
        level: float = 0.8,
        image_column: str | None = None,
        images_dir: PathLike | None = None,
    ) -> np.ndarray:
        """Return (n, 2), low and high in `run_.unit`: the interval that holds the outcome of `level` of such posts.

        Raises ValueError for a `level` other than 0.8 and 0.95, and where too few posts were held out to support it.

        Example:
            model.predict_interval(posts.head(), level=0.95)
        """
        return self._fitted.predict_interval(posts, level=level, **self._images(posts, image_column, images_dir))


class EngagementClassifier(_EngagementEstimator):
    """Predicts which fifth of all posts a post will be in, from "Very Low" to "Very High", before it is published.

    The parameters are those of EngagementRegressor. After `fit`, `classes_` are the five names in the order of
    `predict_proba`, `run_` is the TrainedRun and `dataset_` the prepared posts. Unknown names raise EngageError in `fit`.

    Example:
        model = EngagementClassifier(target="engagement").fit(posts, image_column="image")
        model.predict(posts.head())
    """

    _kind = "classes"

    @property
    def classes_(self) -> np.ndarray:
        """(5,) the names of the classes, the lowest first."""
        import numpy as np

        return np.array(CLASS_NAMES)
