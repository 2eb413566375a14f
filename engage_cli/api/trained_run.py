"""A finished run in a notebook: DataFrames in, arrays and DataFrames out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from engage_cli.api._explained import table_of
from engage_cli.api._frames import WrittenPosts, check_frame, write_posts
from engage_cli.config.general import MOST_VARIANTS
from engage_cli.data.importers.table import read_table
from engage_cli.data.schema import OWN
from engage_cli.evaluation.evidence import warnings_of
from engage_cli.metrics.metrics import compute_metrics, true_of
from engage_cli.progress.reporters import Reporter, SilentReporter, make_reporter
from engage_cli.runs.run_folder import Run
from engage_cli.runs.run_folder import load_run as open_run_folder
from engage_cli.steps.predict import answer_of
from engage_cli.steps.predict.explain import explain_post
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.predict.table_posts import predict_rows, read_covers, read_posts
from engage_cli.steps.travel.hub import SCHEME, fetch_run

PathLike: TypeAlias = "str | os.PathLike[str]"
LEVELS = {0.8: "80", 0.95: "95"}
ROWS_AT_ONCE = 512


class TrainedRun:
    """A run that is open: encoders and models are loaded at the first question and stay.

    Every method takes posts as a DataFrame, a row a post, with the columns that the run was trained on: `title`, `tags`,
    `description`, `posted_at`, or by the names of the run's own table. `image_column` names the column of images, each a
    path, bytes or a PIL.Image ("image" where there is such a column); `images_dir` is the folder that paths are relative
    to. Counters in the DataFrame are read by `score` alone, and reach no model.

    Raises TypeError for what is not a DataFrame, ValueError for one without rows or with an image of another kind, and
    EngageError where no column can be recognised or the run's folder is damaged.
    """

    def __init__(self, run: Run, *, reporter: Reporter | None = None) -> None:
        self._run = run
        self._reporter = reporter or SilentReporter()

    @property
    def folder(self) -> Path:
        """The run's folder, which `engage predict --run` reads too."""
        return self._run.folder

    @property
    def target(self) -> str:
        """What is predicted: "views", "engagement", ..."""
        return self._run.target.name

    @property
    def unit(self) -> str:
        """The unit of predicted values, as "log1p(views)"."""
        return str(self._run.target.formula)

    @property
    def kind(self) -> str:
        """ "value", or "classes" for the five ordered classes."""
        return self._run.kind

    @property
    def warnings(self) -> list[str]:
        """Warnings for every answer of the run, in sentences; empty for a run that is shown to be good."""
        return [*self._run.marks, *warnings_of(self._run)]

    def __repr__(self) -> str:
        return f"TrainedRun('{self.folder}', target='{self.target}', kind='{self.kind}')"

    def forecast(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return every prediction for each of n posts: n rows, in their order and with their index.

        Columns: id, title, count and its bounds (where the target is the log of a count), is_guess (whether the post is
        unlike all training posts), value and interval_80_low ... interval_95_high in `unit`, percentile (0 to 100), class,
        p_very_low ... p_very_high, neighbour_distance, problem (what could not be used of its image). NaN is unknown.

        Example:
            load_run("runs/ensemble-views").forecast(posts)[["title", "count", "problem"]]
        """
        with self._asked(posts, image_column, images_dir) as (written, table):
            parts = [
                predict_rows(self._open, table.iloc[start : start + ROWS_AT_ONCE].reset_index(drop=True), written.images)
                for start in range(0, len(table), ROWS_AT_ONCE)
            ]
        return pd.concat(parts, ignore_index=True).set_axis(posts.index, axis=0)

    def predict(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> np.ndarray:
        """Return (n,) values in `unit`, or for a run of classes (n,) names from "Very Low" to "Very High".

        Example:
            np.expm1(load_run("runs/ensemble-views").predict(posts))  # views, where the unit is log1p(views)
        """
        said = self.forecast(posts, image_column=image_column, images_dir=images_dir)
        return said["value"].to_numpy(float) if self.kind == "value" else said["class"].to_numpy(str)

    def predict_interval(
        self,
        posts: pd.DataFrame,
        *,
        level: float = 0.8,
        image_column: str | None = None,
        images_dir: PathLike | None = None,
    ) -> np.ndarray:
        """Return (n, 2), low and high in `unit`: the interval that holds the outcome of `level` of such posts.

        `level` is 0.8 or 0.95. Raises ValueError for another one, for a run of classes, and where the run had too few
        held-out posts to support it.

        Example:
            low, high = load_run("runs/ensemble-views").predict_interval(posts, level=0.95).T
        """
        if level not in LEVELS:
            raise ValueError(f"level={level}: there are intervals of {' and '.join(map(str, LEVELS))}")
        if self.kind != "value":
            raise ValueError(f"{self.folder} predicts classes, which have no interval; call predict_proba")
        if not self._open.uncertainty.calibration.supports(level):
            raise ValueError(f"{self.folder} had too few held-out posts for an interval of {level}")
        said = self.forecast(posts, image_column=image_column, images_dir=images_dir)
        return said[[f"interval_{LEVELS[level]}_{end}" for end in ("low", "high")]].to_numpy(float)

    def predict_proba(
        self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> np.ndarray:
        """Return (n, 5) calibrated probabilities of the classes from "Very Low" to "Very High"; a row adds up to 1.

        A run of values has them too: they say in which fifth of the training posts the outcome will lie.

        Example:
            load_run("runs/classifier").predict_proba(posts)[:, -1]  # how probable "Very High" is
        """
        said = self.forecast(posts, image_column=image_column, images_dir=images_dir)
        return said[[name for name in said.columns if name.startswith("p_")]].to_numpy(float)

    def rank(
        self, variants: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return the rows of `variants`, the best first, with four more columns; the index tells which row each was.

        The columns: rank (1, 2, ...), p_best (the probability that this is the best of all; they add up to 1), value (in
        `unit`; NaN for a run of classes) and percentile (0 to 100). The order is that of the predictions, so p_best need
        not fall from row to row. Raises ValueError for more than 400 variants.

        Example:
            load_run("runs/ensemble-views").rank(pd.DataFrame({"title": ["A cat", "The best cat EVER"]}))
        """
        check_frame(variants)
        if len(variants) > MOST_VARIANTS:
            raise ValueError(f"{len(variants):,} variants: at most {MOST_VARIANTS} are ranked; `forecast` takes any number")
        with self._asked(variants, image_column, images_dir) as (written, table):
            answer = answer_of(self._open, table, [data for data, _ in read_covers(table, written.images)])
        order, best = ([0], [1.0]) if answer.ranking is None else (list(answer.ranking.order), list(answer.ranking.best))
        said = answer.forecast
        return variants.iloc[order].assign(
            rank=np.arange(1, len(order) + 1),
            p_best=best,
            value=np.nan if said.value is None else said.value[order],
            percentile=said.percentile[order],
        )

    def explain(
        self, post: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None
    ) -> pd.DataFrame:
        """Return what the prediction of one post (a DataFrame of one row) rests on: the model's view, not a cause.

        Columns: kind, name, change, earned, distance. `change` is how far the prediction falls without that part, in
        `unit`, of classes in points of the percentile. Kinds: "part" (image, title, tags, description), "word" (of the
        title), "region" (of the image, as "row 0, column 5" of 6 x 6), and "neighbour" (the nearest training posts, by
        title, with what they earned in the target's unit and how far they are). Raises ValueError for more than one row.

        Example:
            load_run("runs/ensemble-views").explain(posts.head(1)).query("kind == 'word'")
        """
        check_frame(post)
        if len(post) != 1:
            raise ValueError(f"explain takes one post, and these are {len(post):,}; give one row, as posts.head(1)")
        with self._asked(post, image_column, images_dir) as (written, table):
            ((image, _),) = read_covers(table, written.images)
            return table_of(explain_post(self._open, table, image, overlay=None, reporter=self._reporter))

    def score(self, posts: pd.DataFrame, *, image_column: str | None = None, images_dir: PathLike | None = None) -> float:
        """Return R² of values, or accuracy of classes, on the posts whose counters tell what they earned.

        Ask it of posts that the run was not trained on. Raises EngageError where no column is a counter, and ValueError for
        less than two posts whose outcome is known.

        Example:
            load_run("runs/ensemble-views").score(newer_posts)
        """
        with self._asked(posts, image_column, images_dir) as (written, _):
            mapping = {**self._columns(posts), **written.mapping}
            scores = self._run.target.score(read_table(written.table, mapping=mapping).posts)
        known = np.isfinite(scores)
        if known.sum() < 2:
            raise ValueError(f"{int(known.sum())} posts have the counters of '{self.target}'; score needs at least 2")
        true = true_of(self.kind, scores[known], self._run.target.classes(scores[known]))
        some = posts[known]
        if self.kind == "value":
            said = self.predict(some, image_column=image_column, images_dir=images_dir)
            return compute_metrics("value", true, said, ["r2"])["r2"]
        shares = self.predict_proba(some, image_column=image_column, images_dir=images_dir)
        return compute_metrics("classes", true, shares, ["accuracy"])["accuracy"]

    @cached_property
    def _open(self) -> InferenceSession:
        return InferenceSession(self._run, num_towers=None)

    def _columns(self, posts: pd.DataFrame) -> dict[str, str]:
        """Return the columns that the run's own table called something else: ours -> that name, where it is here too."""
        known = self._run.meta.data.table
        return {ours: one.name for ours, one in known.items() if not ours.startswith(OWN) and one.name in posts.columns}

    @contextmanager
    def _asked(
        self, posts: pd.DataFrame, image_column: str | None, images_dir: PathLike | None
    ) -> Iterator[tuple[WrittenPosts, pd.DataFrame]]:
        """Give the posts as files, as long as they are asked about, and as the run reads them."""
        with tempfile.TemporaryDirectory(prefix="engage-") as folder:
            written = write_posts(posts, Path(folder), image_column=image_column, images_dir=images_dir)
            table, _ = read_posts(written.table, written.images, written.mapping, self._run, self._reporter)
            yield written, table


def load_run(folder: PathLike, *, verbose: bool = False) -> TrainedRun:
    """Open a finished run folder, as `engage train` and the estimators write it, or a run of the hub: "hf://owner/name".

    When a run of the hub is fetched, stderr shows what it was trained on, and its marks. `verbose` shows there what
    is being done. Raises EngageError for a folder that is not a run, is unfinished, or whose files are not those that were
    written, and for a run of the hub that cannot be fetched.

    Example:
        load_run("runs/ensemble-views").predict(posts)
    """
    reporter = make_reporter() if verbose else SilentReporter()
    if str(folder).startswith(SCHEME):
        return TrainedRun(fetch_run(str(folder), reporter=make_reporter()), reporter=reporter)
    return TrainedRun(open_run_folder(Path(folder)), reporter=reporter)
