"""The steps in a notebook: posts are prepared, embedded, learned from, and runs are evaluated."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from engage_cli.api._frames import write_posts
from engage_cli.api.trained_run import PathLike, TrainedRun
from engage_cli.config.general import DEFAULT_TEXT, DEFAULT_VISION, EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import EnsembleConfig
from engage_cli.data.dataset import Dataset
from engage_cli.progress.reporters import Reporter, SilentReporter, make_reporter
from engage_cli.steps.embed import embed as embed_step
from engage_cli.steps.evaluate import evaluate as evaluate_step
from engage_cli.steps.prepare import prepare as prepare_step
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.train.pipeline import TRAINERS, train_ensemble

DATA, RUNS, POSTS = "data", "runs", "posts"  # folders in that of `prepare`


def prepare(
    posts: pd.DataFrame | PathLike,
    folder: PathLike,
    *,
    image_column: str | None = None,
    images_dir: PathLike | None = None,
    columns: Mapping[str, str] | None = None,
    keep: Sequence[str] = (),
    split: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    verbose: bool = False,
) -> Dataset:
    """Check posts, divide them into train, validation and test, and fit targets on the training posts.

    `posts` is a DataFrame, a row a post, or the path of a table or of a folder that `engage prepare` reads. `image_column`
    names the column of images: paths, bytes or PIL.Image. `images_dir` is the folder that paths are relative to. `columns`
    says which column is what where names do not tell, as {"title": "headline"}; `keep` names further columns that are known
    before publication. The dataset is written to folder/data, and images that are not files to folder/posts, where they
    have to stay. Posts without an image column are prepared without images.

    Raises ValueError for a DataFrame that holds no posts, and EngageError that says what is wrong in which row.

    Example:
        dataset = prepare(sample_posts(300), "work")
    """
    place, written_images = Path(folder), True
    mapping = dict(columns or {})
    if isinstance(posts, (str, os.PathLike)):
        if image_column is not None:
            mapping["image"] = image_column
        source = Source(path=Path(posts), images=None if images_dir is None else Path(images_dir))
    else:
        written = write_posts(posts, place / POSTS, image_column=image_column, images_dir=images_dir)
        mapping |= written.mapping if written.images is not None else {}
        written_images = written.images is not None
        source = Source(path=written.table, format="table", images=written.images)
    return prepare_step(
        PrepareConfig(split=split, seed=seed),
        folder=place / DATA,
        sources=[source],
        mapping=mapping,
        keep=keep,
        with_images=written_images,
        overwrite=overwrite,
        reporter=_reporter(verbose),
    ).dataset


def embed(
    dataset: Dataset, *, vision: str = DEFAULT_VISION, text: str = DEFAULT_TEXT, verbose: bool = False
) -> pd.DataFrame:
    """Turn images and texts of a dataset into vectors, once; training does it too where it was not done.

    `vision` and `text` are encoders: names of engage's table, ids of a model hub, or local folders. Returns a row for each
    of the two: side, encoder, folder, dim (the length of a vector), vectors, added, image_problems, seconds and more.
    Raises EngageError for an encoder that cannot be loaded.

    Example:
        embed(dataset, vision="dinov2-small", text="minilm")
    """
    done = embed_step(dataset, EncoderConfig(vision=vision, text=text), reporter=_reporter(verbose))
    return pd.DataFrame([{**dataclasses.asdict(one), "stages": dict(one.stages)} for one in done])


def train(
    dataset: Dataset,
    *,
    target: str = "views",
    kind: str = "value",
    members: str = "gp,catboost,neural",
    vision: str = DEFAULT_VISION,
    text: str = DEFAULT_TEXT,
    seed: int = 0,
    folder: PathLike | None = None,
    verbose: bool = False,
) -> TrainedRun:
    """Train models of one target and weigh them together, as `engage train` does.

    `kind` is "value" or "classes" (five ordered ones). `members` are names of models, separated by commas; one alone is
    trained by itself. The run is written to `folder`, or to a new one in `runs` beside the data. Raises EngageError for
    unknown names, and for posts that give no such target.

    Example:
        train(dataset, target="views", members="gp,catboost").predict(posts)
    """
    config = EnsembleConfig(target=target, kind=kind, members=members, vision=vision, text=text, seed=seed)
    train_them = TRAINERS.get(members.strip(), train_ensemble)
    run = None if folder is None else Path(folder)
    runs_dir, encoders, reporter = dataset.folder.parent / RUNS, EncoderConfig(vision=vision, text=text), _reporter(verbose)
    done = train_them(config, dataset=dataset, encoders=encoders, run=run, runs_dir=runs_dir, reporter=reporter)
    return TrainedRun(done.run, reporter=reporter)


def evaluate(
    runs: TrainedRun | PathLike | Sequence[TrainedRun | PathLike],
    dataset: Dataset,
    *,
    split: str = "test",
    resamples: int = 500,
    verbose: bool = False,
) -> pd.DataFrame:
    """Score runs, and the baselines of their targets, on held-out posts of the dataset that they were trained on.

    `split` is "test" or "validation"; `resamples` are the bootstrap's, 0 for no intervals. Returns a row for each figure of
    each run and baseline: name, is_baseline, target, kind, rows (posts), metric, value, and low and high of its interval of
    95 %. Raises EngageError for a run that was trained on other data.

    Example:
        evaluate(run, dataset).query("metric == 'r2'")
    """
    some = [runs] if isinstance(runs, (TrainedRun, str, os.PathLike)) else list(runs)
    if not some:
        raise ValueError("evaluate needs at least one run")
    folders = [one.folder if isinstance(one, TrainedRun) else Path(one) for one in some]
    found = evaluate_step(folders, dataset=dataset, split=split, num_resamples=resamples, reporter=_reporter(verbose))
    rows = [
        {
            "name": score.name,
            "is_baseline": is_baseline,
            "target": score.target,
            "kind": score.kind,
            "rows": score.rows,
            "metric": metric,
            **{name: figure[name] for name in ("value", "low", "high")},
        }
        for is_baseline, scores in ((False, found.runs), (True, found.baselines))
        for score in scores
        for metric, figure in score.metrics.items()
    ]
    return pd.DataFrame(rows)


def _reporter(verbose: bool) -> Reporter:
    return make_reporter() if verbose else SilentReporter()
