"""The planner replayed over real randomised tests of headlines: clicks lost while a test runs, and by what it then shows.

    ENGAGE_REAL_EXPERIMENTS=/path/to/experiments python benchmarks/planner.py

Five folds by whole stories: what is known of a test beforehand was learned from other stories. It is what a run of
`engage train-gp` says of its differences and how sure it is (the runs of benchmarks/experiments.py, which are trained where
they are not there: minutes each), or with --prior ridge, in a minute, TF-IDF + ridge, centred within tests and weighed by
exposure, its slope and its error learned on validation stories.

Then each test is run anew. Its true rates are drawn from what its real counts say of them: a normal posterior of log rates,
drawn together as far as chance alone explains them, so that no truth is as wide as the counts. Visitors come in batches,
and clicks are binomial. Four ways to show variants:

    equal      each variant equally often; the most clicked rate is shown in the end
    thompson   plain Thompson sampling, Beta(1, 1); the highest posterior mean is shown in the end
    spread     `engage test-plan` without predictions: it knows how far variants usually differ, and nothing of these
    planner    `engage test-plan` with what the run or the ridge says

Regret during: percent of the best variant's clicks that were lost up to there. Regret after: percent that the variant which
is then shown lacks. Intervals of 95 %: stories resampled whole.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from experiments import GAUSSIAN_PROCESS, _trained, make_task, prepare_headlines, train_process_on

from engage_cli.data.dataset import Dataset
from engage_cli.data.experiments import centred
from engage_cli.evaluation.baselines import Part, tfidf_ridge
from engage_cli.evaluation.experiments import Variants, find_variants
from engage_cli.models.predictor import load_predictor
from engage_cli.planning.allocation import share_after, share_by_plain_thompson
from engage_cli.planning.posterior import Rates, rates_from_differences, update
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.inputs.sources import source_of
from engage_cli.uncertainty.forecast import load_uncertainty

CHECKPOINTS = (500, 1000, 3000)  # impressions a variant
STEPS = (*[50] * 10, *[100] * 5, *[250] * 8)  # impressions a variant of each batch
NUM_FOLDS, NUM_RESAMPLES = 5, 2000
LEVEL_DEVIATION = 0.6  # of a test's mean log rate around that of all, which no prior knows
METHODS = ("equal", "thompson", "spread", "planner")
FIELDS = ("rows", "experiment", "story", "outcome", "exposure")  # of Variants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "engage-experiments")
    parser.add_argument("--prior", choices=("gp", "ridge"), default="gp")
    parser.add_argument("--tests", type=int, default=0, help="replay so many tests alone; 0 is all")
    parser.add_argument("--folds", type=int, default=NUM_FOLDS, help="replay the tests of so many folds alone")
    options = parser.parse_args()
    real = os.environ.get("ENGAGE_REAL_EXPERIMENTS")
    if not real:
        print("ENGAGE_REAL_EXPERIMENTS names no folder of experiments")
        return
    dataset, story = prepare_headlines(options.work, Path(real))
    parts, known = [], list[Rates]()
    for number in range(options.folds):
        variants, rates = (ask_run if options.prior == "gp" else ask_ridge)(dataset, story, number, options.work)
        parts.append(variants)
        known += rates
        print(f"fold {number}: {len(rates):,} tests", file=sys.stderr, flush=True)
    variants = join(parts)
    usual, level = usual_spread(variants), usual_level(variants)
    tests = tests_of(variants)
    spread = [nothing_but(np.zeros(len(places)), usual, level) for places in tests]
    print(f"{len(tests):,} tests, {len(variants):,} headlines; deviation of log rates within a test {np.sqrt(usual):.3f}")
    report(*replay(variants, known, spread, most=options.tests))


def ask_run(dataset: Dataset, story: np.ndarray, number: int, work: Path) -> tuple[Variants, list[Rates]]:
    """Return a fold's variants, and what a run of the other stories knows of each test."""
    task = make_task(dataset, story, number, work)
    run = load_run(_trained(task, GAUSSIAN_PROCESS, train_process_on))
    predictor, source, uncertainty = load_predictor(run), source_of(run, task.data, SilentReporter()), load_uncertainty(run)
    variants = with_stories(task.variants, story[task.asked])
    first, second = (variants.rows[side] for side in variants.pairs)
    true = uncertainty.true_differences(
        predictor, task.posts, source, predictor.predict(task.posts, source), (first, second)
    )
    assert true is not None
    assert true.variance is not None
    train = dataset.target("click_rate").mean
    found, start = [], 0
    for places in tests_of(variants):
        num = len(places)
        one, other = np.triu_indices(num, k=1)
        some = slice(start, start + len(one))
        start += len(one)
        variance, away = np.zeros((num, num)), np.zeros((num, num))
        variance[one, other] = variance[other, one] = true.variance[some]
        away[one, other], away[other, one] = true.mean[some], -true.mean[some]
        found.append(rates_from_differences(away.mean(axis=1), variance, level=train, level_deviation=LEVEL_DEVIATION))
    return variants, found


def ask_ridge(dataset: Dataset, story: np.ndarray, number: int, work: Path) -> tuple[Variants, list[Rates]]:
    """The same of a ridge, whose slope and error are learned on validation stories."""
    task = make_task(dataset, story, number, work)
    parts, learned = [], []
    for part in ("train", "validation"):
        posts = dataset.posts.iloc[np.flatnonzero((task.data.posts["split"] == part).to_numpy())]
        some = find_variants(posts)
        logs = np.log((some.outcome + 0.5) / (some.exposure + 1))
        truth = centred(logs, some.experiment, some.exposure)
        parts.append(Part(posts.iloc[some.rows], truth, None, some.exposure / some.exposure.mean()))
        learned.append(some)
    check, variants = learned[1], with_stories(task.variants, story[task.asked])
    both = pd.concat([parts[1].posts, task.posts.iloc[variants.rows]])
    said = tfidf_ridge(*parts, Part(both, np.zeros(0))).main
    first, second = check.pairs
    slope, error = believe(said[first] - said[second], check.difference, check.noise)
    level = usual_level(learned[0])
    predicted = slope * said[len(check) :]
    return variants, [nothing_but(predicted[places], error / 2, level) for places in tests_of(variants)]


def nothing_but(predicted: np.ndarray, own: float, level: float) -> Rates:
    """Rates of variants that differ from what is predicted by a variance of their own each."""
    variance = 2 * own * (1 - np.eye(len(predicted)))
    return rates_from_differences(predicted, variance, level=level, level_deviation=LEVEL_DEVIATION)


def tests_of(variants: Variants) -> list[np.ndarray]:
    """Return the places of each test's variants."""
    starts = np.flatnonzero(np.diff(variants.experiment, prepend=-1))
    return np.split(np.arange(len(variants)), starts[1:])


def with_stories(variants: Variants, story: np.ndarray) -> Variants:
    return Variants(**{**{name: getattr(variants, name) for name in FIELDS}, "story": story[variants.rows]})


def join(parts: Sequence[Variants]) -> Variants:
    """Put the folds' variants together; their rows are of their own fold's posts no more."""
    starts = np.cumsum([0, *(part.experiment.max() + 1 for part in parts)])
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("story", "outcome", "exposure")}
    experiment = np.concatenate([part.experiment + start for part, start in zip(parts, starts, strict=False)])
    return Variants(rows=np.arange(len(experiment)), experiment=experiment, **joined)


def usual_level(variants: Variants) -> float:
    logs = np.log((variants.outcome + 0.5) / (variants.exposure + 1))
    return float(np.average(logs, weights=variants.exposure))


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
    variants: Variants, informed: Sequence[Rates], spread: Sequence[Rates], *, most: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return regrets during and after, each (methods, checkpoints, tests), and (tests,) the stories."""
    all_tests = tests_of(variants)
    chosen = np.random.default_rng(1).permutation(len(all_tests))[: most or len(all_tests)]
    tests = [all_tests[one] for one in chosen]
    usual = usual_spread(variants)
    during, after = (np.zeros((len(METHODS), len(CHECKPOINTS), len(tests))) for _ in range(2))
    for number, places in enumerate(tests):
        truth = draw_truth(variants, places, usual, np.random.default_rng((2, number)))
        priors = {"spread": spread[chosen[number]], "planner": informed[chosen[number]]}
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


def report(during: np.ndarray, after: np.ndarray, story: np.ndarray) -> None:
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
