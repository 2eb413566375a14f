"""Which variant wins: models that learn from real randomised tests of headlines, asked about stories they have not seen.

    ENGAGE_REAL_EXPERIMENTS=/path/to/experiments python benchmarks/experiments.py

Five folds by whole stories; tests that share a headline, an image or a lede are one story. Whatever a model chooses it
chooses within the training folds, one in ten of whose stories are its validation posts. Counts of packages that differ in
the image alone are added up, for the images are not there, and a test is dated by the Monday of its week. Models are
trained by the package's own commands, on the target click_rate; what is done stands in --work, so that a killed call goes
on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import CatBoostConfig, GaussianProcessConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.experiments import centred, experiment_arrays
from engage_cli.evaluation.baselines import BASELINES, Part
from engage_cli.evaluation.experiments import NAMES, Variants, find_variants, score_variants
from engage_cli.models.gaussian_process.inputs import BLOCKS, KernelInputsMaker
from engage_cli.models.gaussian_process.process import fit_process
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, load_run
from engage_cli.steps.embed import stored_blocks
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.train._cross_fit import Fold
from engage_cli.steps.train.catboost import train_catboost
from engage_cli.steps.train.ensemble import combine
from engage_cli.steps.train.gaussian_process import train_process
from engage_cli.uncertainty.difference_error import chances_to_win
from engage_cli.uncertainty.forecast import load_uncertainty

TARGET = "click_rate"
NUM_FOLDS, NUM_RESAMPLES = 5, 1_000
CHECKED = 10  # one of so many training stories is a validation post
ENCODERS = EncoderConfig(vision="dinov2-small", text="minilm")
GAUSSIAN_PROCESS, CATBOOST, ENSEMBLE = "engage train-gp", "engage train-catboost", "both weighed together"


@dataclass(frozen=True, kw_only=True)
class Said:
    """Of the posts of a fold: values (n,), and P(the counts show that the first wins) of its pairs, where that is known."""

    value: np.ndarray
    chances: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """A fold of the data: "train" and "validation" posts of some stories, and the variants of the others."""

    data: Fold
    asked: np.ndarray  # rows of the posts
    variants: Variants  # among these
    work: Path

    @property
    def posts(self) -> pd.DataFrame:
        return self.data.posts.iloc[self.asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-experiments")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--folds", type=int, default=NUM_FOLDS, help="how many of the five folds are asked about")
    asked = parser.parse_args()
    dataset, story = prepare_headlines(asked.work, Path(os.environ["ENGAGE_REAL_EXPERIMENTS"]))
    tasks = [make_task(dataset, story, number, asked.work) for number in range(asked.folds)]
    for name in asked.models.split(","):
        found, seconds = [], 0.0
        for number, task in enumerate(tasks):
            started = time.monotonic()
            found.append(_once(asked.work / f"{name.replace(' ', '-')}-{number}.npz", partial(MODELS[name], task)))
            seconds += time.monotonic() - started
            print(f"fold {number}: {name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        print(row_of(name, tasks, story, found), flush=True)


def prepare_headlines(work: Path, real: Path) -> tuple[Dataset, np.ndarray]:
    """Prepare and embed all headlines; return also (n,) the story of each, -1 where no test of it has two headlines.

    Of those nothing is asked, and they are always among what is learned from.
    """
    packages = pd.read_csv(real / "packages.csv", dtype=str, keep_default_na=False)
    packages = packages.astype({"impressions": int, "clicks": int})
    table = packages.groupby(["test_id", "headline"], sort=False, as_index=False).agg(
        id=("id", "first"),
        impressions=("impressions", "sum"),
        clicks=("clicks", "sum"),
        story=("story", "first"),
        test_week=("test_week", "first"),
    )
    table["posted_at"] = pd.to_datetime(table["test_week"] + "1", format="%Y%W%w").dt.strftime("%Y-%m-%d")
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data"
    if not (data / "dataset.json").is_file():
        table.drop(columns=["story", "test_week"]).to_csv(work / "headlines.csv", index=False)
        call = ["prepare", "--table", work / "headlines.csv", "--no-images", "--no-dedupe", "--data", data, "--overwrite"]
        subprocess.run([sys.executable, "-m", "engage_cli", *map(str, call)], check=True, stdout=subprocess.DEVNULL)
    dataset = load_dataset(data)
    stored_blocks(dataset, ENCODERS, BLOCKS)
    of_id = dict(zip(table["id"], table["story"], strict=True))
    story = dataset.posts["id"].map(of_id)
    is_asked = story.isin(story[_is_compared(dataset.posts)])
    return dataset, np.asarray(pd.factorize(story.where(is_asked), sort=True)[0])


def _is_compared(posts: pd.DataFrame) -> np.ndarray:
    """(n,) bool: headlines of tests that have another one."""
    return (posts.groupby("experiment")["id"].transform("size") > 1).to_numpy()


def make_task(dataset: Dataset, story: np.ndarray, number: int, work: Path) -> Task:
    dealt = np.random.default_rng(0).permutation(story.max() + 1)
    fold, is_check = np.where(story < 0, -1, (dealt % NUM_FOLDS)[story]), (dealt // NUM_FOLDS % CHECKED == 0)[story]
    is_check &= story >= 0
    parts = np.where(fold == number, "", np.where(is_check, "validation", "train")).astype(object)
    asked = np.flatnonzero(fold == number)
    return Task(
        data=Fold(dataset.folder, dataset.meta, source=dataset, parts=parts),
        asked=asked,
        variants=find_variants(dataset.posts.iloc[asked]),
        work=work / f"fold-{number}",
    )


def _once(path: Path, make: Callable[[], Said]) -> Said:
    if path.is_file():
        with np.load(path) as stored:
            return Said(value=stored["value"], chances=stored.get("chances"))
    said = make()
    np.savez(path, **{name: array for name, array in vars(said).items() if array is not None})
    return said


def longer(task: Task) -> Said:
    return Said(value=task.posts["title"].str.len().to_numpy(np.float64))


def baseline(name: str, task: Task) -> Said:
    """A row of `engage evaluate`, fitted on differences within tests."""
    parts = []
    for part in ("train", "validation"):
        posts = task.data.posts.iloc[task.data.rows(part, task.data.target(TARGET))]
        posts = posts[_is_compared(posts)]
        truth = centred(
            task.data.target(TARGET).score(posts), experiment_arrays(posts, task.data.target(TARGET)).experiment
        )
        parts.append(Part(posts, truth, _text_vectors(task, posts)))
    asked = Part(task.posts, np.zeros(len(task.asked)), _text_vectors(task, task.posts))
    return Said(value=BASELINES["value"].load(name)(*parts, asked).main)


def _text_vectors(task: Task, posts: pd.DataFrame) -> np.ndarray:
    return np.asarray(stored_blocks(task.data, ENCODERS, BLOCKS).blocks(posts, ["text"])["text"].pooled, np.float32)


def centred_process(task: Task) -> Said:
    """An ordinary process of truths that are centred within their tests, by which learning from experiments is judged."""
    target, source = task.data.target(TARGET), stored_blocks(task.data, ENCODERS, BLOCKS)
    posts = task.data.posts.iloc[
        np.sort(np.concatenate([task.data.rows(part, target) for part in ("train", "validation")]))
    ]
    posts = posts[_is_compared(posts)]
    widths = {
        "text": source.stores["text"].encoder.tower.widths,
        "image": source.stores["vision"].encoder.tower.widths,
    }
    maker = KernelInputsMaker().fit(posts, source, widths)
    truth = centred(target.score(posts), experiment_arrays(posts, target).experiment)
    process, _ = fit_process(maker.transform(posts, source), truth)
    return Said(value=process.predict(maker.transform(task.posts, source)))


def train_process_on(task: Task, folder: Path) -> None:
    train_process(GaussianProcessConfig(target=TARGET, kind="value"), dataset=task.data, encoders=ENCODERS, run=folder)


def train_catboost_on(task: Task, folder: Path) -> None:
    train_catboost(CatBoostConfig(target=TARGET, kind="value"), dataset=task.data, encoders=ENCODERS, run=folder)


def combine_both(task: Task, folder: Path) -> None:
    members = [
        _trained(task, name, train) for name, train in ((GAUSSIAN_PROCESS, train_process_on), (CATBOOST, train_catboost_on))
    ]
    combine(members, dataset=task.data, run=folder)


def _trained(task: Task, name: str, train: Callable[[Task, Path], None]) -> Path:
    folder = task.work / name.replace(" ", "-")
    if not (folder / MARKER).is_file():
        train(task, folder)
    return folder


def a_run(name: str, train: Callable[[Task, Path], None], task: Task) -> Said:
    """What a run of the package says, and how sure it is of each pair."""
    run = load_run(_trained(task, name, train))
    predictor, source = load_predictor(run), source_of(run, task.data, SilentReporter())
    predictions = predictor.predict(task.posts, source)
    first, second = (task.variants.rows[side] for side in task.variants.pairs)
    uncertainty = load_uncertainty(run)
    true = uncertainty.true_differences(predictor, task.posts, source, predictions, (first, second))
    assert predictions.value is not None
    assert true is not None
    print(f"  {name}: {uncertainty.differences}", file=sys.stderr)
    return Said(value=predictions.value, chances=chances_to_win(true, task.variants.noise))


MODELS: dict[str, Callable[[Task], Said]] = {
    "the longer title": longer,
    **{
        f"{name}, centred": partial(baseline, name)
        for name in ("tf-idf + ridge", "nearest neighbours", "embeddings + ridge")
    },
    "Gaussian process, centred by hand": centred_process,
    GAUSSIAN_PROCESS: partial(a_run, GAUSSIAN_PROCESS, train_process_on),
    CATBOOST: partial(a_run, CATBOOST, train_catboost_on),
    ENSEMBLE: partial(a_run, ENSEMBLE, combine_both),
}


def row_of(name: str, tasks: Sequence[Task], story: np.ndarray, found: Sequence[Said]) -> str:
    """A line of the table, all folds together; intervals by resampling whole stories."""
    starts = np.cumsum([0, *(task.variants.experiment.max() + 1 for task in tasks)])
    rows = np.cumsum([0, *(len(task.variants) for task in tasks)])
    joined = Variants(
        rows=np.arange(rows[-1]),
        experiment=np.concatenate([task.variants.experiment + start for task, start in zip(tasks, starts, strict=False)]),
        story=np.unique(np.concatenate([story[task.asked[task.variants.rows]] for task in tasks]), return_inverse=True)[1],
        outcome=np.concatenate([task.variants.outcome for task in tasks]),
        exposure=np.concatenate([task.variants.exposure for task in tasks]),
    )
    value = np.concatenate([said.value[task.variants.rows] for task, said in zip(tasks, found, strict=True)])
    chances = [said.chances for said in found if said.chances is not None]
    score, metrics = score_variants(
        joined, value, np.concatenate(chances) if chances else None, num_resamples=NUM_RESAMPLES
    )
    cells = [
        f"{metrics[key]['value']:.3f} [{metrics[key]['low']:.3f}, {metrics[key]['high']:.3f}]" if key in metrics else ""
        for key in NAMES
    ]
    return f"| {name} | {' | '.join(cells)} | {score.pairs:,} pairs, {score.significant:,} significant |"


if __name__ == "__main__":
    main()
