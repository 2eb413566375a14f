"""What `engage evaluate` says to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.render.output import print_line, print_table
from engage_cli.config.general import LEAKY

if TYPE_CHECKING:
    from engage_cli.evaluation.results import Evaluation, Score

# How a metric is called where a column is narrow.
HEADERS = {
    "pairwise_accuracy": "pairs",
    "precision_at_10pct": "top 10 %",
    "majority_lift": "lift",
    "macro_f1": "macro f1",
    "ordinal_mae": "class mae",
}
# What fits 80 columns, the primary metric first; --json has every one.
SHOWN = {
    "value": ("r2", "spearman", "pairwise_accuracy", "precision_at_10pct", "mae"),
    "classes": ("kappa", "accuracy", "majority_lift", "macro_f1", "ordinal_mae", "ece"),
}
RECALL = "recall_"
NEEDED = 3  # columns that are shown however narrow the terminal: the name, the primary metric, its interval
BY_PREDICTION = "prediction"
EXPERIMENT_COLUMNS = (
    ("variant_pairs", 2),
    ("variant_pairs_significant", 2),
    ("variant_ece", 3),
    ("variant_gain", 1),
    ("variant_gain_share", 0),
)
INTERVALS_SHOWN = ("variant_pairs_significant", "variant_gain")


def show_evaluation(evaluation: Evaluation, written: Sequence[Path], next_command: str, *, with_intervals: bool) -> None:
    evaluation, has_mae = _with_short_names(evaluation), False
    for target, kind in dict.fromkeys((score.target, score.kind) for score in evaluation.runs):
        scores = [s for s in (*evaluation.baselines, *evaluation.runs) if (s.target, s.kind) == (target, kind)]
        metrics = list(SHOWN[kind])
        title = f"{target} as {kind}: {scores[0].rows:,} {evaluation.split} posts"
        columns = ["", *(HEADERS.get(name, name) for name in metrics)]
        if with_intervals:
            columns.insert(2, "95 %")
        shown = print_table(title, columns, [_row(score, metrics, with_intervals) for score in scores], needed=NEEDED)
        has_mae = has_mae or ("mae" in shown and any(map(_is_factor, scores)))
        recalls = [name for name in scores[0].metrics if name.startswith(RECALL)]
        if recalls:
            columns = ["", *(name.removeprefix(RECALL).replace("_", " ") for name in recalls)]
            print_table("Recall of each class", columns, [_row(score, recalls, False) for score in scores])
        rungs = [one for one in evaluation.ladder if (one.target, one.kind) == (target, kind)]
        _show_experiments([*rungs, *(run for run in scores if run.experiments)], with_intervals=with_intervals)
        _show_uncertainty([score for score in scores if "pair_ece" in score.metrics])
        _show_slices([score for score in scores if score.slices], metrics[:3])
    leaky = {score.name for score in evaluation.runs if score.leaky}
    for comparison in evaluation.comparisons:
        names = {name: name + (" LEAKY" if name in leaky else "") for name in (comparison.first, comparison.second)}
        verdict = comparison.verdict.replace(comparison.second, names[comparison.second])
        nothing = "not meaningful: " if leaky & set(names) else ""
        print_line(f"{names[comparison.first]}: {nothing}{verdict}")
    if evaluation.comparisons:
        print_line("")
    for score in evaluation.cross_validated:
        _show_cross_validated(score, with_intervals=with_intervals)
    for score in evaluation.runs:
        _show_warnings(score)
    _show_study(evaluation)
    if evaluation.note:
        print_line(f"{evaluation.note[:1].upper()}{evaluation.note[1:]}.")
    for mark in evaluation.marks:
        print_line(f"mark: {mark}")
    for score in evaluation.runs:
        if score.leaky:
            print_line(f"{score.name}: {LEAKY}")
    if with_intervals:
        some = "" if all(is_told(score) for score in evaluation.runs) else " (–: too few posts for one)"
        print_line(
            "95 %: 95 of 100 random draws of these posts, with repeats (a bootstrap), give a first figure in this range"
            f"{some}."
        )
        if evaluation.comparisons:
            print_line("Differences: both are scored on the same draws (a paired bootstrap).")
    if has_mae:
        print_line(
            "mae: how far the true value is from the predicted one on average; ×2.7 is 2.7 times as much or as little."
        )
    print_line("--json has every figure and interval.")
    print_line("Baselines were fitted on the same training posts.")
    if written:
        print_line(f"Report: {written[0]}" + (f"; model cards: {', '.join(map(str, written[1:]))}" if written[1:] else ""))
    print_line(f"\n{next_command}")


def show_verdict(evaluation: Evaluation) -> None:
    """In two or three lines, for who does not read tables: how well runs of values order posts, and what that rests on."""
    for score in _with_short_names(evaluation).runs:
        r2, pairs = (score.metrics[name]["value"] for name in ("r2", "pairwise_accuracy"))
        print_line(
            f"\n{score.name}: {100 * pairs:.0f} of 100 pairs of {evaluation.split} posts are in the right order "
            f"(by chance: 50); R² {r2:.2f}, on {score.rows:,} posts."
        )
        _show_warnings(score)


def _show_warnings(score: Score) -> None:
    for warning in score.warnings:
        print_line(f"warning: {score.name}: {warning}")


def is_told(score: Score) -> bool:
    """Whether its first metric has an interval."""
    first = score.metrics[SHOWN[score.kind][0]]
    return first["low"] < first["high"]


def _show_cross_validated(score: Score, *, with_intervals: bool) -> None:
    """What all posts show together, where those of the test are too few."""
    told = []
    for name in SHOWN[score.kind][:2]:
        found = score.metrics[name]
        bounds = f" (95 %: {found['low']:.2f} to {found['high']:.2f})" if with_intervals else ""
        told.append(f"{HEADERS.get(name, name)} {found['value']:.3f}{bounds}")
    print_line(
        f"{score.name}, cross-validated: {', '.join(told)}, on {score.rows:,} posts that were each predicted by "
        "models trained without it\n"
    )


def _show_experiments(scores: Sequence[Score], *, with_intervals: bool) -> None:
    """How well each tells which variant of one post wins, beside baselines that learned differences too."""
    if not scores or scores[0].experiments is None:
        return
    about = scores[0].experiments
    bounds = ["95 %"] if with_intervals else []
    columns = ["", "pairs", "differ", *bounds, "error", "gain %", *bounds, "of best %"]
    rows = []
    for score in scores:
        cells = [_title(score)]
        for name, digits in EXPERIMENT_COLUMNS:
            found = score.metrics.get(name)
            cells.append("–" if found is None else f"{found['value']:.{digits}f}")
            if with_intervals and name in INTERVALS_SHOWN:
                is_told = found is not None and found["low"] < found["high"]
                cells.append(f"{found['low']:.{digits}f} to {found['high']:.{digits}f}" if found and is_told else "–")
        rows.append(cells)
    counts = f"{about.pairs:,} pairs of {about.experiments:,} experiments, {about.significant:,} clearly differ"
    title = f"Which variant wins: {counts}"
    print_table(title, columns, rows, needed=3)
    print_line(
        "pairs, differ: share in the right order, of all pairs and of clearly different ones; error: how far a chance "
        "is from how often it comes true; gain: more clicks for the variant predicted best than for a random one; the best "
        f"counts gain {about.best_gain:.1f} %. 95 %: {about.stories:,} stories, resampled whole.\n"
    )


def _show_uncertainty(scores: Sequence[Score]) -> None:
    """How sure the runs are, and whether they may be: coverage overall and in the worst fifth of the predictions."""
    if not scores:
        return
    from engage_cli.metrics.descriptions import write_factor

    rows = []
    for score in scores:
        cells = [_title(score)]
        for share in ("80", "95"):
            if f"coverage_{share}" not in score.metrics:
                continue
            fifths = [
                one.metrics[f"coverage_{share}"]["value"] for one in score.slices if one.by == BY_PREDICTION and one.metrics
            ]
            range_of = f" ({100 * min(fifths):.0f}–{100 * max(fifths):.0f})" if fifths else ""
            cells.append(f"{100 * score.metrics[f'coverage_{share}']['value']:.1f}{range_of}")
            width = score.metrics[f"width_{share}"]["value"]
            cells.append(write_factor(width, f"width_{share}", score.unit) or f"{width:.3g}")
        cells.append(f"{score.metrics['pair_ece']['value']:.3f}")
        rows.append(cells)
    is_value = "coverage_80" in scores[0].metrics
    shares = [share for share in ("80", "95") if f"coverage_{share}" in scores[0].metrics]
    is_factor = bool(write_factor(1.0, "width_80", scores[0].unit))
    reach = "reaches" if is_factor else "width"
    columns = ["", *(name for share in shares for name in (f"in {share} %", reach)), "pair error"]
    title = (
        "How sure it is: truths inside the intervals, of 100 (by fifth of the prediction)" if is_value else "How sure it is"
    )
    print_table(title, columns, rows, needed=2)
    if is_value and is_factor:
        print_line(
            "reaches: from the predicted count divided by this number to the count times it, on average. "
            "--json has the width as a logarithm.\n"
        )


def _show_slices(scores: Sequence[Score], metrics: Sequence[str]) -> None:
    """Of one run three metrics by group; of several the first metric of each."""
    first = scores[0]
    has_coverage = "coverage_80" in first.metrics
    for by in dict.fromkeys(one.by for one in first.slices if one.by != BY_PREDICTION):
        rows = []
        for number, one in enumerate(first.slices):
            if one.by != by:
                continue
            same = [score.slices[number].metrics for score in scores]
            cells = [one.name, f"{one.rows:,}"]
            if len(scores) > 1:
                cells += [f"{found[metrics[0]]['value']:.3f}" if found else "–" for found in same]
            else:
                cells += [f"{one.metrics[name]['value']:.3f}" if one.metrics else "–" for name in metrics]
                cells += (
                    [f"{100 * one.metrics['coverage_80']['value']:.0f}" if one.metrics else "–"] if has_coverage else []
                )
            rows.append(cells)
        if len(scores) > 1:
            title, columns = f"{metrics[0]} by {by}", [by, "posts", *(_title(score) for score in scores)]
        else:
            title, names = f"{_title(first)} by {by}", [HEADERS.get(name, name) for name in metrics]
            columns = [by, "posts", *names, *(["in 80 %"] if has_coverage else [])]
        print_table(title, columns, rows, needed=3)


def _show_study(evaluation: Evaluation) -> None:
    """The study's figures, beside those of runs that predict what it did."""
    from engage_cli.evaluation.published import NOT_COMPARABLE, STUDY_MODELS, set_beside

    same = [
        run
        for run in evaluation.runs
        if any((run.target, run.kind) == (model.target, model.kind) for model in STUDY_MODELS)
    ]
    if not same:
        return
    beside = set_beside(evaluation)
    for run in same:
        rows = [
            [
                one.model.replace(" classifier", "") + (" LEAKY" if one.is_leaky else ""),
                one.published_on.partition(";")[0].partition(",")[0].replace("5-fold cross-validation", "5 folds"),
                one.metric,
                one.published,
                f"{one.ours:.4f}",
            ]
            for one in beside
            if one.run == run.name
        ]
        columns = ["", "on", "metric", "published", "ours"]
        print_table(f"The study's models beside {_title(run)} ({evaluation.split} posts)", columns, rows, needed=5)
    print_line(NOT_COMPARABLE + "\n")


def _is_factor(score: Score) -> bool:
    """Whether its errors are shown as factors of a count."""
    from engage_cli.metrics.descriptions import write_factor

    return bool(write_factor(1.0, "mae", score.unit))


def _row(score: Score, metrics: list[str], with_intervals: bool) -> list[str]:
    from engage_cli.metrics.descriptions import write_factor

    cells = [_title(score)]
    for name in metrics:
        value = score.metrics[name]["value"]
        cells.append(write_factor(value, name, score.unit) or f"{value:.3f}")
    if with_intervals:
        first = score.metrics[metrics[0]]
        cells.insert(2, f"{first['low']:.2f} to {first['high']:.2f}" if is_told(score) else "–")
    return cells


def _title(score: Score) -> str:
    return score.name + (" LEAKY" if score.leaky else "")


def _with_short_names(evaluation: Evaluation) -> Evaluation:
    """Call each run by its last folder: a path of several does not fit a column."""
    from engage_cli.runs.names import tail_names

    short = tail_names([run.name for run in evaluation.runs])

    def rename(scores: Sequence[Score]) -> list[Score]:
        return [replace(one, name=short.get(one.name, one.name)) for one in scores]

    return replace(
        evaluation,
        runs=rename(evaluation.runs),
        cross_validated=rename(evaluation.cross_validated),
        comparisons=[
            replace(one, first=short.get(one.first, one.first), second=short.get(one.second, one.second))
            for one in evaluation.comparisons
        ],
    )
