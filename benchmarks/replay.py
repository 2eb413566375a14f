"""A record replayed by time: predictions of one month are logged, and their outcomes scored in the next.

    ENGAGE_REAL_POSTS=FOLDER python benchmarks/replay.py --work DIR

A run learns from the first half of the posts by date. From then on each month's posts are predicted, logged into a real
ledger, and scored by `engage score` when the month is over. With --factor 0.6, all posts published from the middle of these
months on get 0.6 times the views that they got. One record goes on with the run as it was; the other calls
`engage recalibrate` after each month, and predicts the next one with the new run. The last table recalibrates once, on the
first n outcomes after the shift, and asks how many of all later posts the intervals hold; its third column is of 200 draws
of n posts from all after the shift.

What is trained stands in --work, and a killed call goes on from there; ledgers and recalibrated runs are made anew.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.dataset_meta import MARKER as DATA_MARKER
from engage_cli.io.files import remove_tree
from engage_cli.ledger.keys import inputs_hash
from engage_cli.models.predictions import Predictions
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import MARKER, Run, load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.ledger.log import Asked, log_forecast
from engage_cli.steps.ledger.recalibrate import LEAST, recalibrate_run
from engage_cli.steps.ledger.score import score_ledger
from engage_cli.uncertainty.conformal import USUAL, Calibration, recalibrate
from engage_cli.uncertainty.forecast import load_uncertainty

REAL = "id=video_id,views=view_count,likes=like_count,comments=comment_count,dislikes=dislike_count,posted_at=published_at"
SIZES = (LEAST, 62, 100, 200, 400)
NUM_DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-replay")
    parser.add_argument("--trainer", default="train-catboost --as value", help="the command that trains, with its options")
    parser.add_argument("--factor", type=float, default=0.6)
    parser.add_argument("--last", type=int, default=200, help="outcomes that each recalibration is fitted on")
    asked = parser.parse_args()
    run, dataset = _trained(asked.work, asked.trainer)
    later = Later.of(run, dataset, asked.factor)
    print(f"{len(later.posts):,} posts from {later.months[0]} on; views x {asked.factor} from {later.shifted_from} on\n")
    columns = [
        _replay(run, later, asked.work / name, again=again, last=asked.last)
        for name, again in (("as it was", False), ("recalibrated", True))
    ]
    print("| month | posts | coverage, as it was | e-value | coverage, recalibrated | e-value |")
    print("| --- | --- | --- | --- | --- | --- |")
    for month in later.months:
        cells = [f"{100 * column.covered[month]:.0f} % | {column.e_values[month]:.3g}" for column in columns]
        print(f"| {month} | {(later.month == month).sum()} | {' | '.join(cells)} |")
    for title, some in (("all", later.months), ("from the shift on", later.months_of_shift)):
        shares = [column.over(later, some) for column in columns]
        rows = int(np.isin(later.month, some).sum())
        print(f"| {title} | {rows} | {100 * shares[0]:.1f} % |  | {100 * shares[1]:.1f} % |  |")
    _by_number(run, later, asked.work)


def _trained(work: Path, trainer: str) -> tuple[Run, Dataset]:
    data, run = work / "data", work / "run"
    source = Path(os.environ["ENGAGE_REAL_POSTS"])
    if not (data / DATA_MARKER).is_file():
        table = ["--table", source / "posts.csv", "--images-dir", source / "images", "--map", REAL]
        _engage("prepare", *table, "--split", "time", "--fractions", "40/10/50", "--data", data)
    if not (run / MARKER).is_file():
        _engage("embed", "--data", data)
        _engage(*trainer.split(), "--data", data, "--target", "views", "--run", run)
    return load_run(run), load_dataset(data)


def _engage(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "engage_cli", *map(str, arguments)], check=True)


@dataclass(frozen=True, kw_only=True)
class Later:
    """The posts after the training, with what the model says of them, and what they get."""

    posts: pd.DataFrame
    predictions: Predictions
    month: np.ndarray  # (n,) of publication, 2021-06
    views: np.ndarray  # (n,) with the shift in them
    earned: np.ndarray  # (n,) in the target's unit
    shifted_from: str  # the first month with the shift

    @classmethod
    def of(cls, run: Run, dataset: Dataset, factor: float) -> Later:
        places = dataset.rows("test", run.target)
        posts = dataset.posts.iloc[places]
        places = places[np.argsort(posts["posted_at"].to_numpy(), kind="stable")]
        posts = dataset.posts.iloc[places].reset_index(drop=True)
        predictions = load_predictor(run).predict(posts, source_of(run, dataset, SilentReporter()))
        month = posts["posted_at"].dt.strftime("%Y-%m").to_numpy()
        months = sorted(set(month))
        shifted_from = months[len(months) // 2]
        views = posts["views"].to_numpy(np.float64) * np.where(month >= shifted_from, factor, 1.0)
        return cls(
            posts=posts,
            predictions=predictions,
            month=month,
            views=np.round(views),
            earned=run.target.score(posts.assign(views=np.round(views))),
            shifted_from=shifted_from,
        )

    @property
    def months(self) -> list[str]:
        return sorted(set(self.month))

    @property
    def months_of_shift(self) -> list[str]:
        return [month for month in self.months if month >= self.shifted_from]

    def log(self, run: Run, ledger: Path, rows: np.ndarray) -> None:
        said = load_uncertainty(run).forecast(self.predictions.take(rows))
        posts = [
            Asked(post=post["id"], title=post["title"], image_hash="", inputs_hash=inputs_hash(post, ""))
            for post in self.posts.iloc[rows][["id", "title"]].to_dict("records")
        ]
        log_forecast(run, posts, said, ledger, time=f"{self.month[rows[0]]}-15T00:00:00+00:00")

    def score(self, ledger: Path, rows: np.ndarray) -> dict[str, float]:
        """Score what these posts got, by `engage score`; return the e-value of each run's folder."""
        table = ledger.parent / "outcomes.csv"
        pd.DataFrame({"id": self.posts["id"].iloc[rows], "views": self.views[rows].astype(int)}).to_csv(table, index=False)
        found = score_ledger(ledger, table)
        return {one.run: one.e_value for one in found.runs if one.e_value is not None}

    def covered(self, run: Run, rows: np.ndarray) -> float:
        low, high = load_uncertainty(run).forecast(self.predictions.take(rows)).intervals["80"]
        return float(np.mean((low <= self.earned[rows]) & (self.earned[rows] <= high)))


@dataclass(frozen=True, kw_only=True)
class Column:
    covered: dict[str, float]  # of each month's posts
    e_values: dict[str, float]  # of the run that predicted the month, after it

    def over(self, later: Later, months: list[str]) -> float:
        weights = [int((later.month == month).sum()) for month in months]
        return float(np.average([self.covered[month] for month in months], weights=weights))


def _replay(run: Run, later: Later, work: Path, *, again: bool, last: int) -> Column:
    remove_tree(work)
    work.mkdir(parents=True)
    ledger, covered, e_values, outcomes = work / "ledger.sqlite", {}, {}, 0
    for number, month in enumerate(later.months):
        rows = np.flatnonzero(later.month == month)
        later.log(run, ledger, rows)
        e_values[month] = later.score(ledger, rows)[str(run.folder)]
        covered[month] = later.covered(run, rows)
        outcomes += len(rows)
        if again and outcomes >= LEAST:
            run = recalibrate_run(run, ledger, work / f"run-{number}", last=last).run
    return Column(covered=covered, e_values=e_values)


def _by_number(run: Run, later: Later, work: Path) -> None:
    """Print how many of all later posts the intervals hold that were fitted on the first n outcomes after the shift."""
    shifted = np.flatnonzero(later.month >= later.shifted_from)
    before = later.covered(run, shifted)
    old, random = load_uncertainty(run).calibration, np.random.default_rng(0)
    print(f"\nafter the shift, as it was: {100 * before:.1f} % of {len(shifted):,} posts\n")
    print("| outcomes | coverage of all later posts | of draws, 10 to 90 % | width |")
    print("| --- | --- | --- | --- |")
    for size in SIZES:
        first = _once(run, later, work, shifted[:size], shifted[size:])
        found = [_drawn(old, later, random.permutation(shifted), size) for _ in range(NUM_DRAWS)]
        low, high = 100 * np.quantile(found, [0.1, 0.9])
        print(f"| {size} | {100 * first[0]:.1f} % | {low:.0f} to {high:.0f} % | {first[1] / old.width(USUAL):.2f} |")


def _drawn(old: Calibration, later: Later, rows: np.ndarray, size: int) -> float:
    """Return the coverage of the others after a recalibration on some of the posts, without a ledger between."""
    some, others = (later.predictions.take(part) for part in (rows[:size], rows[size:]))
    new = recalibrate(old, some.main, old.spread(some), later.earned[rows[:size]])
    low, high = new.interval(others, USUAL)
    return float(np.mean((low <= later.earned[rows[size:]]) & (later.earned[rows[size:]] <= high)))


def _once(run: Run, later: Later, work: Path, some: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    place = work / "once"
    remove_tree(place)
    place.mkdir()
    later.log(run, place / "ledger.sqlite", some)
    later.score(place / "ledger.sqlite", some)
    new = recalibrate_run(run, place / "ledger.sqlite", place / "run", last=len(some)).run
    found = later.covered(new, others), load_uncertainty(new).calibration.width(USUAL)
    shutil.rmtree(place)
    return found


if __name__ == "__main__":
    main()
