"""Runs and baselines on the same rows of one split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from engage_cli.data.dataset import Dataset
from engage_cli.data.targets.target import Target
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.evaluation.baselines import BASELINES, MOST_LEARNED, NEED_VECTORS, Part, thinned
from engage_cli.evaluation.evidence import score_warnings, variant_warnings, warnings_of, warnings_of_few
from engage_cli.evaluation.experiments import PAIRS
from engage_cli.evaluation.results import Evaluation, Metrics, Score, Slice
from engage_cli.evaluation.slices import cut
from engage_cli.evaluation.uncertainty_metrics import interval_metrics, pair_metrics
from engage_cli.metrics.metrics import PRIMARY, bootstrap_metrics
from engage_cli.metrics.paired_bootstrap import LEAST_FOR_VERDICT, Comparison, compare
from engage_cli.models.predictor import load_predictor, members_of
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.runs.run_folder import FIRST, MARKER, Run, load_run
from engage_cli.steps.evaluate._cross_validated import score_in_turn, truth_of
from engage_cli.steps.evaluate._experiments import climb_ladder, score_experiments
from engage_cli.steps.inputs.contents import DatasetContents
from engage_cli.steps.inputs.sources import source_of
from engage_cli.uncertainty.forecast import load_uncertainty
from engage_cli.uncertainty.neighbours import unit

SPLITS = ("test", "validation")
NOTES = {
    "test": "",
    "validation": "training, ensemble weights and interval widths were tuned on these posts, which gives optimistic "
    "figures; the honest ones are those of the test split",
}
BY_PREDICTION = "prediction"  # always looked at: an interval that covers on the whole may fail at one end
SLICE_RESAMPLES = 200  # at most: a slice has few posts, and there are many slices
LEAST_SLICED = 10  # posts of a slice that are scored
OF_SLICES = {
    "value": ("r2", "spearman", "pairwise_accuracy", "mae"),
    "classes": ("kappa", "accuracy", "majority_lift", "ordinal_mae"),
}


def evaluate(
    folders: Sequence[Path],
    *,
    dataset: Dataset,
    split: str = "test",
    by: Sequence[str] = (),
    num_resamples: int = 500,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score one or more runs, and the baselines of each target and kind among them."""
    reporter = reporter or SilentReporter()
    if split not in SPLITS:
        raise WrongCallError(f"unknown split '{split}'; give one of: {', '.join(SPLITS)}")
    if not folders:
        raise WrongCallError("no run is named; name one to score")
    runs = open_runs(folders, dataset)
    tasks: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        tasks.setdefault((run.target.name, run.kind), []).append(run)
    for name in by:  # report a wrong one before the work begins
        posts = dataset.posts.iloc[dataset.rows(split, runs[0].target)]
        cut(name, posts, np.zeros(len(posts)))
    scores, baselines, ladder = list[Score](), list[Score](), list[Score]()
    with reporter.stage("evaluating", len(runs) + sum(len(BASELINES[kind]) for _, kind in tasks)) as stage:
        for run in runs:
            scores.append(_score_run(run, dataset, split, by, num_resamples, reporter))
            stage.advance(note=str(run.folder))
        for (_, kind), same in tasks.items():
            parts, places = _parts_of(same, kind, dataset, split, reporter)
            baselines += _score_baselines(same[0].target, kind, parts, places, num_resamples, stage.advance)
            ladder += climb_ladder(same[0].target, kind, parts, places, num_resamples)
    comparisons = _compare(scores, baselines, num_resamples) if num_resamples else []
    tested = zip(runs, scores, strict=True) if split == "test" else ()
    crossed = [score_in_turn(run, one, dataset, num_resamples) for run, one in tested]
    few = {one.name: one for one in crossed if one is not None}
    scores = [replace(one, warnings=warnings_of_few(one, few[one.name])) if one.name in few else one for one in scores]
    return Evaluation(
        split=split,
        runs=scores,
        baselines=baselines,
        ladder=ladder,
        cross_validated=list(few.values()),
        comparisons=comparisons,
        marks=dataset.marks,
        note="; ".join(filter(None, (NOTES[split], *_notes_on_baselines(tasks, dataset)))),
    )


def open_runs(folders: Sequence[Path], dataset: Dataset) -> list[Run]:
    """Open the runs; raise EngageError for one that was trained on other data."""
    runs = [load_run(folder) for folder in folders]
    for run in runs:
        if run.meta.data.fingerprint != dataset.fingerprint:
            raise EngageError(
                f"{run.folder} was trained on other data than {dataset.folder} holds, so the run may have "
                "been trained on these test posts; name its data folder with --data"
            )
    return runs


def finished_among(paths: Sequence[Path], reporter: Reporter) -> list[Path]:
    """Return the finished runs of several paths, as `runs/*` gives them, each once; say what is passed over.

    One path alone is returned as it is: whoever names it means it.
    """
    if len(paths) < 2:
        return list(paths)
    found = {path.resolve(): path for path in paths if (path / MARKER).is_file()}
    for path in paths:
        if not (path / MARKER).is_file():
            is_run = (path / FIRST).is_file()
            reporter.say(f"ignored: {path} ({'an unfinished run' if is_run else 'no run'})")
    if not found:
        raise EngageError(f"none of the {len(paths)} paths is a finished run; the first is {paths[0]}")
    return list(found.values())


def _score_run(run: Run, dataset: Dataset, split: str, by: Sequence[str], num_resamples: int, reporter: Reporter) -> Score:
    places = dataset.rows(split, run.target)
    posts, uncertainty = dataset.posts.iloc[places], load_uncertainty(run)
    predictor, source = load_predictor(run), source_of(run, dataset, reporter)
    predictions = predictor.predict(posts, source)
    said = uncertainty.forecast(predictions)
    is_test = split == "test"  # how sure a run may be was learned from validation posts: there it would be right by design
    intervals = said.intervals if is_test else {}
    true = truth_of(run.target, run.kind, dataset, places)
    predicted = said.value if said.value is not None else said.probabilities
    assert np.isfinite(predicted).all()
    if len(true) < LEAST_FOR_VERDICT:
        num_resamples = 0  # of so few posts a bootstrap tells nothing
    metrics = bootstrap_metrics(run.kind, true, predicted, num_resamples=num_resamples)
    primary = PRIMARY[run.kind]
    metrics |= interval_metrics(intervals, true, num_resamples=num_resamples)
    if is_test:
        metrics |= pair_metrics(uncertainty, predictions, true, num_resamples=min(num_resamples, SLICE_RESAMPLES))
    experiments = None
    if run.target.formula.per_exposure and said.value is not None:
        experiments, of_variants = score_experiments(
            posts,
            said.value,
            uncertainty if is_test else None,
            predictions,
            (predictor, source),
            num_resamples=num_resamples,
        )
        metrics |= of_variants
    unproven = score_warnings(primary, metrics[primary], len(true), split)
    if experiments is not None:  # such a run is asked which variant wins, not how well posts do
        unproven = variant_warnings(metrics[PAIRS], experiments.pairs, split)
    resamples = min(num_resamples, SLICE_RESAMPLES)
    slices = []
    for name in dict.fromkeys((*by, BY_PREDICTION)):
        ranked = said.value if said.value is not None else said.percentile
        for group, rows in cut(name, posts, ranked).items():
            found: Metrics = {}
            if len(rows) >= LEAST_SLICED:
                found = bootstrap_metrics(
                    run.kind, true[rows], predicted[rows], num_resamples=resamples, names=OF_SLICES[run.kind]
                )
                bounds = {share: (low[rows], high[rows]) for share, (low, high) in intervals.items()}
                found |= interval_metrics(bounds, true[rows], num_resamples=resamples)
            slices.append(Slice(by=name, name=group, rows=len(rows), metrics=found))
    return Score(
        name=str(run.folder),
        kind=run.kind,
        target=run.target.name,
        unit=str(run.target.formula),
        metrics=metrics,
        places=places,
        predicted=predicted,
        true=true,
        intervals=intervals,
        slices=tuple(slices),
        experiments=experiments,
        leaky=run.leaky,
        warnings=(*warnings_of(run), *unproven),
    )


def _notes_on_baselines(tasks: Mapping[tuple[str, str], Sequence[Run]], dataset: Dataset) -> list[str]:
    """Say where baselines learn from some of the training posts alone."""
    found = []
    for (name, kind), runs in tasks.items():
        num = len(dataset.rows("train", runs[0].target))
        if num > MOST_LEARNED[kind] and not runs[0].target.formula.per_exposure:
            found.append(f"the baselines of {name} learned from {MOST_LEARNED[kind]:,} of the {num:,} training posts")
    return found


def _parts_of(
    runs: Sequence[Run], kind: str, dataset: Dataset, split: str, reporter: Reporter
) -> tuple[tuple[Part, Part, Part], np.ndarray]:
    """Return what baselines are fitted on, stopped by and asked about, and which posts of the data are the last."""
    target = runs[0].target
    rows = {part: dataset.rows(part, target) for part in ("train", "validation", split)}
    if not target.formula.per_exposure:  # of experiments all variants are needed
        rows = {part: thinned(places, part, kind) if part != split else places for part, places in rows.items()}
    vectors = _vectors(runs, dataset, rows, reporter)
    if not vectors:
        reporter.say("no baselines on embeddings: no run here reads stored ones")
    parts = {
        part: Part(dataset.posts.iloc[places], truth_of(target, kind, dataset, places), vectors.get(part))
        for part, places in rows.items()
    }
    return (parts["train"], parts["validation"], parts[split]), rows[split]


def _score_baselines(
    target: Target,
    kind: str,
    parts: tuple[Part, Part, Part],
    places: np.ndarray,
    num_resamples: int,
    advance: Callable[..., None],
) -> list[Score]:
    """Fit every baseline on the training rows of the runs' target."""
    train, validation, asked = parts
    wanted = asked._replace(truth=np.zeros(0))  # no baseline sees what it is asked for
    found = []
    for name in BASELINES[kind]:
        if name not in NEED_VECTORS or asked.vectors is not None:
            predicted = BASELINES[kind].load(name)(train, validation, wanted).main
            assert np.isfinite(predicted).all()
            found.append(
                Score(
                    name=name,
                    kind=kind,
                    target=target.name,
                    unit=str(target.formula),
                    metrics=bootstrap_metrics(
                        kind,
                        asked.truth,
                        predicted,
                        num_resamples=num_resamples if len(places) >= LEAST_FOR_VERDICT else 0,
                    ),
                    places=places,
                    predicted=predicted,
                    true=asked.truth,
                )
            )
        advance(note=f"{name} ({target.name})")
    return found


def _vectors(
    runs: Sequence[Run], dataset: Dataset, rows: dict[str, np.ndarray], reporter: Reporter
) -> dict[str, np.ndarray]:
    """Return the stored embeddings of each part that the first run which reads any has; none where none does."""
    for member in (member for run in runs for member in members_of(run)):
        source = source_of(member, dataset, reporter)
        if isinstance(source, DatasetContents):  # it has trained its encoders: no store holds their vectors
            continue
        predictor = load_predictor(member)
        found = {part: predictor.vectors(dataset.posts.iloc[places], source) for part, places in rows.items()}
        usable = {
            part: np.concatenate([unit(block) for block in vectors.values()], axis=1)
            for part, vectors in found.items()
            if vectors is not None
        }
        if usable:
            return usable
    return {}


def _compare(runs: Sequence[Score], baselines: Sequence[Score], num_resamples: int) -> list[Comparison]:
    """Compare each run with the best baseline on these rows, and each two runs, of one target and kind."""
    found = []
    for target, kind in dict.fromkeys((run.target, run.kind) for run in runs):
        own, others = ([one for one in some if (one.target, one.kind) == (target, kind)] for some in (runs, baselines))
        best = max(others, key=lambda one: one.metrics[PRIMARY[kind]]["value"])
        pairs = [*((run, best) for run in own), *combinations(own, 2)]
        for first, second in pairs:
            if np.array_equal(first.true, second.true):  # a run may have fitted its target on other rows
                both = ((first.name, first.predicted), (second.name, second.predicted))
                found.append(compare(kind, first.true, *both, num_resamples=num_resamples))
    return found
