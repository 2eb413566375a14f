"""Train a Gaussian process on words, embeddings, dates and authors."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import experiment_arrays
from engage_cli.data.schema import side_of
from engage_cli.data.targets.target import Target, require_variety
from engage_cli.embeddings.store import StoredBlocks
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.files import atomic_write, remove_tree
from engage_cli.metrics.metrics import compute_metrics, r2, true_of
from engage_cli.models.gaussian_process.decomposition import ScorePart, parts_of
from engage_cli.models.gaussian_process.inputs import BLOCKS, KernelInputsMaker, Takes
from engage_cli.models.gaussian_process.measurement import Measurement
from engage_cli.models.gaussian_process.posterior import posterior_of
from engage_cli.models.gaussian_process.predictor import (
    Cuts,
    has_process,
    left_out_r2_of,
    save_posterior,
    save_processes,
)
from engage_cli.models.gaussian_process.process import (
    MOST_EXACT,
    NUM_STEPS,
    GaussianProcess,
    ProcessState,
    fit_process,
    landmarks_of,
    predict_sum,
)
from engage_cli.models.gaussian_process.within_experiments import fit_within_experiments, landmark_rows
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import Reporter, SilentReporter, Stage
from engage_cli.runs.lifecycle import clear_stage, finish_run, open_run
from engage_cli.runs.model_table import GAUSSIAN_PROCESS
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runs.run_folder import Run
from engage_cli.runtime.devices import find_device
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._calibrate import calibrate
from engage_cli.steps.train._cross_fit import cross_fit, train_and_ask
from engage_cli.steps.train._run_inputs import data_of, encoders_of, kind_of
from engage_cli.steps.train.catboost import KINDS
from engage_cli.steps.train.neural import TrainSummary

COMMAND = "train-gp"
NOTE = "no validation post was used in training"
WORK = "work"  # processes that are fitted before all are; gone from a finished run


def train_process(
    config: GaussianProcessConfig,
    *,
    dataset: Dataset,
    encoders: EncoderConfig,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> TrainSummary:
    """Train to a finished run folder."""
    reporter = reporter or SilentReporter()
    if config.kind not in KINDS:
        raise WrongCallError(f"unknown --as '{config.kind}'; there are: {', '.join(KINDS)}")
    target = dataset.target(config.target)
    for mark in dataset.marks:
        reporter.say(mark)
    source = stored_blocks(dataset, encoders, BLOCKS, reporter)
    posts = dataset.posts.iloc[dataset.rows("train", target)]
    checks = dataset.posts.iloc[dataset.rows("validation", target)]
    scores = target.score(posts)
    require_variety(true_of(config.kind, scores, target.classes(scores)), config.kind, target.name)
    meta = RunMeta(
        command=COMMAND,
        model=GAUSSIAN_PROCESS,
        kind=kind_of(config.kind),
        config=dataclasses.asdict(config),
        data=data_of(dataset),
        encoders=encoders_of({side: store.encoder for side, store in source.stores.items()}),
        blocks=BLOCKS,
        reads_date=bool("posted_at" in posts and posts["posted_at"].notna().any()),
        marks=tuple(dataset.marks),
    )
    with open_run(run, runs_dir, meta=meta, target=target, say=reporter.say) as (folder, goes_on):
        if not goes_on:
            clear_stage(folder)
        reporter.say(f"{'going on with' if goes_on else 'training'} {folder}")
        started = time.monotonic()
        if not has_process(folder):
            _fit(config, folder, posts, scores, target, source, reporter)
        remove_tree(folder / WORK)
        trained = Run(folder, meta, target)
        held_out = cross_fit(
            partial(train_and_ask, partial(_train_again, config, encoders), dataset),
            kind=config.kind,
            dataset=dataset,
            target=target,
            folder=folder,
            reporter=reporter,
        )
        evidence = calibrate(trained, dataset, source_of(trained, dataset, reporter), reporter, held_out=held_out)
        wanted = target.score(checks)
        predicted = load_predictor(trained).predict(checks, source).main
        truth = true_of(config.kind, wanted, target.classes(wanted))
        finished = finish_run(
            folder,
            RunMetrics(
                note=NOTE,
                rows={"train": len(posts), "validation": len(checks)},
                metrics=compute_metrics(config.kind, truth, predicted),
                evidence=evidence,
                left_out_r2=left_out_r2_of(folder),
                seconds=round(time.monotonic() - started, 1),
                marks=tuple(dataset.marks),
            ),
        )
    return TrainSummary(run=finished, went_on=goes_on, warnings=tuple(dataset.marks))


def _train_again(config: GaussianProcessConfig, encoders: EncoderConfig, dataset: Dataset, run: Path) -> TrainSummary:
    return train_process(config, dataset=dataset, encoders=encoders, run=run)


def _fit(
    config: GaussianProcessConfig,
    folder: Path,
    posts: pd.DataFrame,
    scores: np.ndarray,
    target: Target,
    source: StoredBlocks,
    reporter: Reporter,
) -> None:
    """Fit and write the process, with R² of training posts that were each left out, where that is known.

    Where posts are variants of experiments, it learns from their differences alone.
    """
    measured = None
    if config.kind == "value" and (known := experiment_arrays(posts, target)).any:
        measured = Measurement(groups=known.experiment, noise_variance=known.noise)
        wanted, parts = scores, [ScorePart(of=target.name, share=1.0, truth=scores)]
    elif config.kind == "value":
        wanted, parts = scores, parts_of(target, posts)
    else:
        wanted = _normal_scores(scores)
        parts = [ScorePart(of=target.name, share=1.0, truth=wanted)]
    maker, fitted = KernelInputsMaker(), list[tuple[str, float, GaussianProcess]]()
    left_out = np.zeros(len(wanted))
    places = [folder / WORK / f"{number}.npz" for number in range(len(parts))]
    num_left = sum(not place.is_file() for place in places)
    with reporter.stage("learning which posts are alike", num_left * (NUM_STEPS + 1) + 1) as stage:
        widths = {block: source.stores[side_of(block)].encoder.tower.widths for block in BLOCKS}
        maker.fit(posts, source, widths)
        # What is compared again and again is kept; of more posts than that, only what is at work.
        views: Takes = maker.transform(posts, source) if len(posts) <= MOST_EXACT else maker.later(posts, source)
        for part, place in zip(parts, places, strict=True):
            process, said = _fit_once(place, part.truth, views, measured, config.seed, _telling(stage, part.of))
            left_out += part.share * said
            fitted.append((part.of, part.share, process))
        rows = np.arange(len(posts)) if measured is None else landmark_rows(measured, seed=config.seed)
        posterior = posterior_of(fitted[0][2], None if measured is None else measured.take(rows), find_device())
        stage.advance(note="what is left unknown")
    is_known = bool(np.isfinite(left_out).all())
    cuts = None
    if config.kind == "classes":
        said = (
            left_out if is_known else predict_sum([(share, process) for _, share, process in fitted], views, find_device())
        )
        cuts = Cuts(edges=_edges(target), deviation=float((wanted - said).std()) or 1.0)
    save_posterior(folder, posterior)
    save_processes(folder, maker, fitted, cuts, left_out_r2=r2(wanted, left_out) if is_known else None)


def _fit_once(
    place: Path,
    truth: np.ndarray,
    views: Takes,
    measured: Measurement | None,
    seed: int,
    advance: Callable[[str], None],
) -> tuple[GaussianProcess, np.ndarray]:
    """Fit, or take what a training that was killed later had fitted; a damaged file costs its process alone."""
    try:
        with np.load(place) as stored:
            rows = None if measured is None else landmark_rows(measured, seed=seed)
            landmarks = landmarks_of(views, seed=seed) if rows is None else views.take(rows)
            state = ProcessState.parse(json.loads(str(stored["state"])), where=str(place))
            return GaussianProcess.restore(state, landmarks, stored["coefficients"]), stored["left_out"]
    except (OSError, ValueError, LookupError, EOFError, BadZipFile, EngageError):
        pass  # absent or damaged: fitted below
    if measured is None:
        process, left_out = fit_process(views, truth, seed=seed, advance=advance, device=find_device())
    else:
        process = fit_within_experiments(views, truth, measured=measured, seed=seed, advance=advance, device=find_device())
        left_out = np.full(len(truth), np.nan)
    with atomic_write(place) as beside, beside.open("wb") as file:
        np.savez(
            file,
            state=json.dumps(dataclasses.asdict(process.state())),
            coefficients=process.coefficients,
            left_out=left_out,
        )
    return process, left_out


def _telling(stage: Stage, of: str) -> Callable[[str], None]:
    return lambda note: stage.advance(note=f"{of}: {note}")


def _normal_scores(scores: np.ndarray) -> np.ndarray:
    """(n,) where a normal distribution has each score's rank; equal scores stay equal."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return np.asarray(ndtri((rankdata(scores) - 0.5) / len(scores)))


def _edges(target: Target) -> tuple[float, ...]:
    """Where the training posts' classes end on that scale."""
    from scipy.special import ndtri

    reached = np.clip(np.cumsum(target.class_shares)[:-1], 1e-6, 1 - 1e-6)
    return tuple(float(edge) for edge in ndtri(reached))
