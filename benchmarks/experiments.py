"""Which variant wins: models that learn from real randomised tests of headlines, asked about stories they have not seen.

    ENGAGE_REAL_EXPERIMENTS=/path/to/experiments python benchmarks/experiments.py

Five folds by whole stories; tests that share a headline, an image or a lede are one story. Whatever a model chooses it
chooses within the training folds. Counts of packages that differ in the image alone are added up, for the images are not
there. Each model is fitted by the package's own code on all training posts; what is done stands in --work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import CatBoostConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.experiments import centred, experiment_arrays
from engage_cli.data.targets.target import Target
from engage_cli.data.within_experiments import within_truth
from engage_cli.embeddings.store import StoredBlocks
from engage_cli.evaluation.baselines import BASELINES, Part
from engage_cli.evaluation.experiments import Variants, find_variants, score_variants
from engage_cli.evaluation.results import Metrics
from engage_cli.features.selection import parse_features
from engage_cli.models.boosting.fit import boost, predict_table
from engage_cli.models.gaussian_process.inputs import BLOCKS, KernelInputsMaker
from engage_cli.models.gaussian_process.measurement import Measurement
from engage_cli.models.gaussian_process.posterior import posterior_of
from engage_cli.models.gaussian_process.process import fit_process
from engage_cli.models.gaussian_process.within_experiments import fit_within_experiments, landmark_rows
from engage_cli.models.predictions import Differences
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.train._catboost_inputs import make_inputs
from engage_cli.uncertainty.difference_error import DifferenceError, chances_to_win, fit_to_experiments

NUM_FOLDS, NUM_RESAMPLES = 5, 1_000
ENCODERS = EncoderConfig(vision="dinov2-small", text="minilm")
INNER = 8  # one of so many parts of the training stories chooses what a model chooses
ENSEMBLE = "Gaussian process and CatBoost"


class World(NamedTuple):
    """All posts, prepared and embedded, and what is true of them."""

    dataset: Dataset
    target: Target
    source: StoredBlocks
    widths: dict[str, Sequence[int]]
    story: np.ndarray  # (n,) int64
    fold: np.ndarray  # (n,) 0 to NUM_FOLDS - 1

    @property
    def posts(self) -> pd.DataFrame:
        return self.dataset.posts

    def measured(self, rows: np.ndarray) -> Measurement:
        known = experiment_arrays(self.posts.iloc[rows], self.target)
        return Measurement(groups=known.experiment, noise_variance=known.noise)


class Said(NamedTuple):
    """Of the posts of a fold: values, and of its pairs the variance of differences, where the model has one."""

    value: np.ndarray
    variance: np.ndarray | None = None


Model = Callable[[World, np.ndarray, np.ndarray, Variants], Said]  # training rows, rows asked about and their variants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-experiments")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--folds", type=int, default=NUM_FOLDS, help="how many of the five folds are asked about")
    asked = parser.parse_args()
    world = make_world(asked.work, Path(os.environ["ENGAGE_REAL_EXPERIMENTS"]))
    names = asked.models.split(",")
    found: dict[str, list[Said]] = {name: [] for name in names}
    parts = []
    for fold in range(asked.folds):
        train, rows = (np.flatnonzero((world.fold == fold) == is_asked) for is_asked in (False, True))
        variants = find_variants(world.posts.iloc[rows].reset_index(drop=True))
        parts.append((rows, variants))
        for name in names:
            started = time.monotonic()
            path = asked.work / f"{name.replace(' ', '-')}-{fold}.npz"
            found[name].append(_once(path, lambda name=name, t=train, r=rows, v=variants: MODELS[name](world, t, r, v)))
            print(f"fold {fold}: {name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    show(world, parts, found)


def make_world(work: Path, real: Path) -> World:
    """Prepare all headlines with the counts of their packages added up, and embed them."""
    packages = pd.read_csv(real / "packages.csv", dtype=str, keep_default_na=False)
    counts = packages.assign(impressions=packages["impressions"].astype(int), clicks=packages["clicks"].astype(int))
    rows = counts.groupby(["test_id", "headline"], sort=False).agg(
        id=("id", "first"), impressions=("impressions", "sum"), clicks=("clicks", "sum"), story=("story", "first")
    )
    table = rows.reset_index()
    table = table[table.groupby("test_id")["headline"].transform("size") > 1]
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data"
    if not (data / "dataset.json").is_file():
        table.drop(columns="story").to_csv(work / "headlines.csv", index=False)
        call = ["prepare", "--table", work / "headlines.csv", "--no-images", "--no-dedupe", "--data", data, "--overwrite"]
        subprocess.run([sys.executable, "-m", "engage_cli", *map(str, call)], check=True, stdout=subprocess.DEVNULL)
    dataset = load_dataset(data)
    target = dataset.target("click_rate")
    source = stored_blocks(dataset, ENCODERS, BLOCKS)
    of_id = dict(zip(table["id"], table["story"], strict=True))
    story = pd.factorize(dataset.posts["id"].map(of_id), sort=True)[0]
    fold = (np.random.default_rng(0).permutation(story.max() + 1) % NUM_FOLDS)[story]
    widths = {"text": source.stores["text"].encoder.tower.widths, "image": source.stores["vision"].encoder.tower.widths}
    return World(dataset, target, source, widths, np.asarray(story), fold)


def _once(path: Path, make: Callable[[], Said]) -> Said:
    if path.is_file():
        with np.load(path) as stored:
            return Said(stored["value"], stored["variance"] if "variance" in stored else None)
    said = make()
    np.savez(path, **{name: array for name, array in said._asdict().items() if array is not None})
    return said


def gaussian_process(world: World, train: np.ndarray, rows: np.ndarray, variants: Variants) -> Said:
    """As `engage train-gp` on the target click_rate."""
    maker, inputs, asked = _kernel_inputs(world, train, rows)
    measured = world.measured(train)
    process = fit_within_experiments(inputs, world.target.score(world.posts.iloc[train]), measured=measured)
    posterior = posterior_of(process, measured.take(landmark_rows(measured)))
    first, second = (variants.rows[side] for side in variants.pairs)
    variance = posterior.variance_of_differences(process, asked, first, second)
    return Said(process.predict(asked), variance + 2 * process.kernel_params.noise * process.std**2)


def centred_gaussian_process(world: World, train: np.ndarray, rows: np.ndarray, variants: Variants) -> Said:
    """What was there before: an ordinary process on truths centred by hand, without exposure."""
    _, inputs, asked = _kernel_inputs(world, train, rows)
    known = experiment_arrays(world.posts.iloc[train], world.target)
    scores = world.target.score(world.posts.iloc[train])
    return Said(fit_process(inputs, centred(scores, known.experiment))[0].predict(asked))


def _kernel_inputs(world: World, train: np.ndarray, rows: np.ndarray):  # type: ignore[no-untyped-def]
    maker = KernelInputsMaker().fit(world.posts.iloc[train], world.source, world.widths)
    return maker, *(maker.transform(world.posts.iloc[some], world.source) for some in (train, rows))


def catboost(world: World, train: np.ndarray, rows: np.ndarray, variants: Variants) -> Said:
    """As `engage train-catboost --as value`: one part in eight of the training stories stops it."""
    config = CatBoostConfig(target="click_rate", kind="value")
    fitted, stopping = _inner(world, train)
    choice = parse_features(config.features, world.posts.columns, {})
    inputs = make_inputs(config, choice, _Parts(world.dataset, fitted, stopping, rows), ENCODERS, world.target, SilentReporter())
    table = inputs.new_table()
    of_parts = {name: np.searchsorted(inputs.numbers, some) for name, some in (("fitted", fitted), ("stopping", stopping))}
    learned = inputs.fit_rows(table, of_parts["fitted"], world.target, "value")
    checks = inputs.rows(table, of_parts["stopping"], world.target, "value")
    with tempfile.TemporaryDirectory() as folder, SilentReporter().stage("", 1) as stage:
        model = boost(config, learned, checks, table.categorical, work=Path(folder) / "work", stage=stage)
    value = predict_table(model, table.transform(inputs.given.take(np.searchsorted(inputs.numbers, rows))), "value").value
    assert value is not None
    return Said(value)
