"""The planner replayed over real randomised tests of headlines: clicks lost while a test runs, and by what it then shows.

    ENGAGE_REAL_EXPERIMENTS=/path/to/experiments python benchmarks/planner.py

Five folds by whole stories. A prior learns from the other folds how far differences of log rates are to be believed: here
TF-IDF + ridge, centred within tests and weighed by exposure, its slope and its error learned on validation stories. Then
each test is run anew: the true rates are drawn from what its real counts say of them (a normal posterior of log rates,
drawn together as far as chance alone explains them, so that no truth is as wide as the counts), visitors come in batches,
and clicks are binomial. Four ways to show variants:

    equal      each variant equally often; the most clicked rate is shown in the end
    thompson   plain Thompson sampling, Beta(1, 1); the highest posterior mean is shown in the end
    spread     `engage test-plan` without predictions: it knows how far variants usually differ, and nothing of these
    planner    `engage test-plan` with the prior's predictions

Regret during: percent of the best variant's clicks that were lost up to there. Regret after: percent that the variant which
is then shown lacks. Intervals of 95 %: stories resampled whole.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.dataset_meta import MARKER
from engage_cli.data.experiments import centred
from engage_cli.evaluation.baselines import Part, tfidf_ridge
from engage_cli.evaluation.experiments import Variants, find_variants
from engage_cli.planning.allocation import share_after, share_by_plain_thompson
from engage_cli.planning.posterior import Rates, rates_from_differences, update
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source

CHECKPOINTS = (500, 1000, 3000)  # impressions a variant
STEPS = (*[50] * 10, *[100] * 5, *[250] * 8)  # impressions a variant of each batch
NUM_FOLDS, NUM_RESAMPLES = 5, 2000
LEVEL_DEVIATION = 0.6  # of a test's mean log rate around that of all, which no prior knows
METHODS = ("equal", "thompson", "spread", "planner")


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is known of the variants of each test before anybody saw them."""

    predicted: np.ndarray  # (m,) log rates, centred within tests, as far as they are to be believed
    own: np.ndarray  # (m,) variance of what a variant differs by besides
    level: float

    def of(self, places: np.ndarray) -> Rates:
        variance = self.own[places][:, None] + self.own[places][None]
        np.fill_diagonal(variance, 0.0)
        return rates_from_differences(self.predicted[places], variance, level=self.level, level_deviation=LEVEL_DEVIATION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-planner")
    parser.add_argument("--tests", type=int, default=0, help="replay so many tests alone; 0 is all")
    options = parser.parse_args()
    real = os.environ.get("ENGAGE_REAL_EXPERIMENTS")
    if not real:
        print("ENGAGE_REAL_EXPERIMENTS names no folder of experiments")
        return
    dataset = prepare_headlines(options.work, Path(real))
    variants = find_variants(dataset.posts)
    informed = learn(dataset, variants)
    spread = Prior(
        predicted=np.zeros(len(variants)), own=np.full(len(variants), usual_spread(variants)), level=informed.level
    )
    print(
        f"{variants.experiment.max() + 1:,} tests, {len(variants):,} headlines; deviation of log rates within a test "
        f"{np.sqrt(usual_spread(variants)):.3f}, after the prior {np.sqrt(informed.own.mean()):.3f}"
    )
    report(variants, *replay(variants, informed, spread, most=options.tests))


def prepare_headlines(work: Path, real: Path) -> Dataset:
    """Prepare the headlines; packages that differ in the image alone are one, for the images are not there."""
    if not (work / "data" / MARKER).is_file():
        packages = pd.read_csv(real / "packages.csv", keep_default_na=False)
        table = packages.groupby(["test_id", "headline"], as_index=False, sort=False).agg(
            {"id": "first", "story": "first", "impressions": "sum", "clicks": "sum"}
        )
        work.mkdir(parents=True, exist_ok=True)
        table.to_csv(work / "headlines.csv", index=False)
        prepare(
            PrepareConfig(group="story"),
            folder=work / "data",
            sources=[Source(path=work / "headlines.csv")],
            with_images=False,
            overwrite=True,
        )
    return load_dataset(work / "data")


def learn(dataset: Dataset, variants: Variants) -> Prior:
    """Predict each test by a model of other stories, and learn on further ones how far that is to be believed."""
    posts = dataset.posts.iloc[variants.rows].reset_index(drop=True)
    logs = np.log((variants.outcome + 0.5) / (variants.exposure + 1))
    truth = centred(logs, variants.experiment, variants.exposure)
    dealt = np.random.default_rng(0).permutation(variants.story.max() + 1)[variants.story]
    fold, is_check = dealt % NUM_FOLDS, dealt // NUM_FOLDS % 8 == 0
    predicted, own = np.zeros(len(variants)), np.zeros(len(variants))
    first, second = variants.pairs
    for number in range(NUM_FOLDS):
        parts = [
            Part(posts.iloc[rows], truth[rows], None, variants.exposure[rows] / variants.exposure[rows].mean())
            for rows in (np.flatnonzero((fold != number) & ~is_check), np.flatnonzero((fold != number) & is_check))
        ]
        asked = (fold == number) | is_check
        said = np.zeros(len(variants))
        said[asked] = tfidf_ridge(*parts, Part(posts[asked], np.zeros(0))).main
        check = is_check[first] & (fold[first] != number)
        slope, error = believe((said[first] - said[second])[check], variants.difference[check], variants.noise[check])
        out = fold == number
        predicted[out], own[out] = slope * said[out], error / 2
        print(f"fold {number}: slope {slope:.2f}, deviation of a difference {np.sqrt(error):.3f}", file=sys.stderr)
    return Prior(predicted=predicted, own=own, level=float(np.average(logs, weights=variants.exposure)))


def believe(said: np.ndarray, seen: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Return the slope by which predicted differences are seen, and the variance that is neither predicted nor noise."""
    weight = 1 / (noise + 0.1)
    slope = max(0.0, float((weight * said * seen).sum() / max((weight * said**2).sum(), 1e-12)))
    return slope, max(1e-3, float(np.average((seen - slope * said) ** 2 - noise, weights=weight)))


def usual_spread(variants: Variants) -> float:
    """Return the variance of true log rates within a test: what the noise of the counts does not explain."""
    return max(1e-3, float(np.average(variants.difference**2 - variants.noise, weights=1 / (variants.noise + 0.1))) / 2)


def draw_truth(variants: Variants, places: np.ndarray, spread: float, generator: np.random.Generator) -> np.ndarray:
    """Draw rates from what a test's real counts say: log rates shrunk to their mean as far as noise explains them."""
    logs = np.log((variants.outcome[places] + 0.5) / (variants.exposure[places] + 1))
    noise = 1 / (variants.outcome[places] + 0.5) - 1 / (variants.exposure[places] + 1)
    centre = np.average(logs, weights=1 / (noise + spread))
    believed = spread / (spread + noise)
    drawn = centre + believed * (logs - centre) + np.sqrt(believed * noise) * generator.standard_normal(len(places))
    return np.minimum(np.exp(drawn), 0.5)


def replay(
    variants: Variants, informed: Prior, spread: Prior, *, most: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return regrets during and after, each (methods, checkpoints, tests), and (tests,) the stories."""
    starts = np.flatnonzero(np.diff(variants.experiment, prepend=-1))
    tests = np.split(np.arange(len(variants)), starts[1:])
    tests = [tests[one] for one in np.random.default_rng(1).permutation(len(tests))[: most or len(tests)]]
    usual = usual_spread(variants)
    during, after = (np.zeros((len(METHODS), len(CHECKPOINTS), len(tests))) for _ in range(2))
    for number, places in enumerate(tests):
        truth = draw_truth(variants, places, usual, np.random.default_rng((2, number)))
        priors = {"spread": spread.of(places), "planner": informed.of(places)}
        for method, name in enumerate(METHODS):
            generator = np.random.default_rng((3, number))
            lost, lacks = run_one(truth, priors.get(name), name, generator)
            during[method, :, number], after[method, :, number] = lost, lacks
        if number % 200 == 199:
            print(f"{number + 1:,} of {len(tests):,} tests", file=sys.stderr, flush=True)
    return during, after, np.array([variants.story[places[0]] for places in tests])


def run_one(
    truth: np.ndarray, prior: Rates | None, name: str, generator: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Run one test by one method; return both regrets, in percent, at each checkpoint."""
    num, best = len(truth), float(truth.max())
    clicks, shown = np.zeros(num), np.zeros(num)
    during, after, reached = [], [], 0
    share: dict[str, Callable[[int], np.ndarray]] = {
        "equal": lambda visitors: np.full(num, visitors // num),
        "thompson": lambda visitors: share_by_plain_thompson(clicks, shown, visitors, generator),
    }
    for step in STEPS:
        visitors = step * num
        dealt = share[name](visitors) if prior is None else share_after(prior, clicks, shown, visitors, generator)
        clicks, shown = clicks + generator.binomial(dealt, truth), shown + dealt
        reached += step
        if reached in CHECKPOINTS:
            if prior is not None:
                known = update(prior, clicks, shown)
                chosen = int((known.mean + np.diag(known.covariance) / 2).argmax())
            elif name == "thompson":
                chosen = int(((clicks + 1) / (shown + 2)).argmax())
            else:
                chosen = int((clicks / shown).argmax())
            during.append(100 * (1 - float(truth @ shown) / (best * float(shown.sum()))))
            after.append(100 * (1 - float(truth[chosen]) / best))
    return during, after


def report(variants: Variants, during: np.ndarray, after: np.ndarray, story: np.ndarray) -> None:
    codes = np.unique(story, return_inverse=True)[1]
    num = codes.max() + 1
    times = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), NUM_RESAMPLES)
    sizes = np.bincount(codes, minlength=num)

    def interval(values: np.ndarray) -> str:
        sums = np.bincount(codes, weights=values, minlength=num)
        low, high = np.percentile((times @ sums) / (times @ sizes), [2.5, 97.5])
        return f"{values.mean():6.2f} [{low:6.2f}, {high:6.2f}]"

    for title, regret in (("Regret during the test, %", during), ("Regret after it, %", after)):
        print(f"\n{title}, at impressions a variant")
        for place, checkpoint in enumerate(CHECKPOINTS):
            print(f"  {checkpoint:,}")
            for method, name in enumerate(METHODS):
                print(f"    {name:9s} {interval(regret[method, place])}")
            for other in range(len(METHODS) - 1):
                print(f"    planner less {METHODS[other]:9s} {interval(regret[-1, place] - regret[other, place])}")


if __name__ == "__main__":
    main()
