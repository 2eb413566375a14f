"""Train a Gaussian process on words, embeddings, dates and authors."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import GaussianProcessConfig
from engage_cli.data.dataset import Dataset
from engage_cli.data.schema import side_of
from engage_cli.data.targets.target import Target
from engage_cli.embeddings.store import BlockSource
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.own_folders import is_plain_file
from engage_cli.metrics.metrics import r2
from engage_cli.models.gaussian_process.cover_inputs import CHOICES
from engage_cli.models.gaussian_process.decomposition import ScorePart, parts_of
from engage_cli.models.gaussian_process.inputs import BLOCKS, KernelInputsMaker, Takes
from engage_cli.models.gaussian_process.levels import NUM_STEPS as LEVEL_STEPS
from engage_cli.models.gaussian_process.measurement import Measurement
from engage_cli.models.gaussian_process.post_numbers import numbers_of
from engage_cli.models.gaussian_process.posterior import posterior_of
from engage_cli.models.gaussian_process.predictor import Cuts, FittedProcesses, has_process, left_out_r2_of, save_processes
from engage_cli.models.gaussian_process.process import (
    MOST_EXACT,
    NUM_STEPS,
    GaussianProcess,
    fit_by_landmarks,
    fit_process,
    landmarks_of,
    num_blocks,
    predict_sum,
)
from engage_cli.models.gaussian_process.unfinished import KeptInFolder, load_fitted, save_fitted
from engage_cli.models.gaussian_process.within_experiments import fit_within_experiments, landmark_rows
from engage_cli.models.trainer import WORK, Problem, Trainer, make_problem
from engage_cli.progress.reporters import Reporter, Stage
from engage_cli.runs.model_table import GAUSSIAN_PROCESS
from engage_cli.runs.records import RunMeta, RunMetrics
from engage_cli.runtime.devices import find_device
from engage_cli.steps.covers import WithCovers, stored_covers
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.train._run_inputs import data_of, encoders_of, parse_kind
from engage_cli.steps.train.training import train_run

COMMAND = "train-gp"
NOTE = "no validation post was used in training"


class ProcessTrainer(Trainer):
    """Fits one process of each part of the score. Each that is done lies in WORK."""

    def __init__(
        self,
        config: GaussianProcessConfig,
        encoders: EncoderConfig,
        dataset: Dataset,
        reporter: Reporter,
        *,
        problem: Problem | None = None,
        left: np.ndarray | None = None,
    ) -> None:
        """`left` (n,) is learned of the training posts of a `problem` of values, in place of their scores."""
        self.config, self.left = config, left
        self.problem = problem or make_problem(dataset, dataset.target(config.target), parse_kind(config.kind))
        if config.covers not in CHOICES:
            raise WrongCallError(f"unknown --covers '{config.covers}'; give one of: {', '.join(CHOICES)}")
        self.stored = stored_blocks(dataset, encoders, BLOCKS, reporter)
        self.source: BlockSource = self.stored
        if CHOICES[config.covers]:
            self.source = WithCovers(self.stored, stored_covers(dataset, reporter))
        self.refit = partial(ProcessTrainer, config, encoders)
        self.fitted: FittedProcesses | None = None  # None where a training that was killed later has saved them
        posts = self.problem.train.posts
        self.meta = RunMeta(
            command=COMMAND,
            model=GAUSSIAN_PROCESS,
            kind=self.problem.kind,
            config=dataclasses.asdict(config),
            data=data_of(dataset),
            encoders=encoders_of({side: store.encoder for side, store in self.stored.stores.items()}),
            blocks=BLOCKS,
            reads_covers=bool(CHOICES[config.covers]),
            reads_date=bool("posted_at" in posts and posts["posted_at"].notna().any()),
            reads_columns=tuple(numbers_of(posts)),
            marks=tuple(dataset.marks),
        )

    def fit(self, folder: Path, reporter: Reporter) -> None:
        if not has_process(folder):
            self.fitted = self.fit_processes(folder / WORK, reporter)

    def save(self, folder: Path) -> None:
        if self.fitted is not None:
            save_processes(folder, self.fitted)

    def report(self, folder: Path, reporter: Reporter) -> RunMetrics:
        return RunMetrics(note=NOTE, left_out_r2=left_out_r2_of(folder))

    def fit_processes(self, work: Path | None, reporter: Reporter) -> FittedProcesses:
        """Fit the processes, and find R² of training posts that were each left out, where that is known.

        Each that is done is kept in `work`, if there is one. Where posts are variants of experiments, values are learned
        from their differences, and from levels of experiments as far as these tell of them.
        """
        train, target, seed = self.problem.train, self.problem.target, self.config.seed
        posts, wanted, parts = train.posts, train.scores, parts_of(target, train.posts)
        if self.problem.kind == "classes":
            wanted = _normal_scores(train.scores)
            parts = [ScorePart(of=target.name, share=1.0, truth=wanted)]
        measured = None
        if self.problem.kind == "value" and train.known.any:
            measured = Measurement(groups=train.known.experiment, noise_variance=train.known.noise)
            parts = [ScorePart(of=target.name, share=1.0, truth=wanted)]
        if self.left is not None:
            wanted, measured = self.left, None
            parts = [ScorePart(of="how these posts differ", share=1.0, truth=wanted)]
        maker, fitted = KernelInputsMaker(CHOICES[self.config.covers]), list[tuple[str, float, GaussianProcess]]()
        left_out = np.zeros(len(wanted))
        places = [None if work is None else work / f"{number}.safetensors" for number in range(len(parts))]
        num_left = sum(place is None or not place.with_suffix(".json").is_file() for place in places)
        steps = num_left * (NUM_STEPS + 1 + (0 if measured is None else LEVEL_STEPS)) + num_blocks(len(posts)) + 1
        with reporter.stage("learning which posts are alike (Gaussian process)", steps) as stage:
            widths = {block: self.stored.stores[side_of(block)].encoder.widths for block in BLOCKS}
            maker.fit(posts, self.source, widths, truth=wanted)
            # What is compared again and again is kept; of more posts than that, only what is at work.
            views: Takes = (
                maker.transform(posts, self.source) if len(posts) <= MOST_EXACT else maker.later(posts, self.source)
            )
            if measured is None and len(posts) > MOST_EXACT:
                kept = None if work is None else KeptInFolder(work)
                truths, advance = [part.truth for part in parts], _telling(stage, " and ".join(part.of for part in parts))
                processes = fit_by_landmarks(views, truths, seed=seed, advance=advance, device=find_device(), kept=kept)
                fitted += [(part.of, part.share, process) for part, process in zip(parts, processes, strict=True)]
                left_out[:] = np.nan
            else:
                for part, place in zip(parts, places, strict=True):
                    process, said = _fit_once(place, part.truth, views, measured, seed, _telling(stage, part.of))
                    left_out += part.share * said
                    fitted.append((part.of, part.share, process))
            known = None if measured is None else measured.take(landmark_rows(measured, seed=seed))
            posterior = posterior_of(fitted[0][2], known, find_device())
            stage.advance(note="the uncertainty")
        is_known = bool(np.isfinite(left_out).all())
        cuts = None
        if self.problem.kind == "classes":
            shares = [(share, process) for _, share, process in fitted]
            said = left_out if is_known else predict_sum(shares, views, find_device())
            cuts = Cuts(edges=_edges(target), deviation=float((wanted - said).std()) or 1.0)
        return FittedProcesses(
            maker=maker,
            processes=fitted,
            cuts=cuts,
            left_out_r2=r2(wanted, left_out) if is_known else None,
            posterior=posterior,
        )


def _fit_once(
    place: Path | None,
    truth: np.ndarray,
    views: Takes,
    measured: Measurement | None,
    seed: int,
    advance: Callable[[str], None],
) -> tuple[GaussianProcess, np.ndarray]:
    """Fit, or take what a training that was killed later had fitted; a damaged file costs its process alone."""
    if place is not None and is_plain_file(place.with_suffix(".json")):
        rows = None if measured is None else landmark_rows(measured, seed=seed)
        landmarks = landmarks_of(views, seed=seed) if rows is None else views.take(rows)
        with contextlib.suppress(EngageError, ValueError):  # damaged: fitted below
            return load_fitted(place, landmarks, num=len(truth))
    if measured is None:
        process, left_out = fit_process(views, truth, seed=seed, advance=advance, device=find_device())
    else:
        process = fit_within_experiments(views, truth, measured=measured, seed=seed, advance=advance, device=find_device())
        left_out = np.full(len(truth), np.nan)
    if place is not None:
        save_fitted(place, process, left_out)
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


train_process = partial(train_run, ProcessTrainer)
