"""What a finished training prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.render.next_step import next_step
from engage_cli.cli.render.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from engage_cli.runs.records import FoldFigure, Why
    from engage_cli.steps.train.training import TrainSummary


def show_training(summary: TrainSummary, *, data: Path, runs: Path, json: bool) -> None:
    """Print a finished run's validation scores and the next command."""
    from engage_cli.evaluation.evidence import warnings_of

    run = summary.run
    shown = run.done
    warnings = [*summary.warnings, *warnings_of(run)]
    if json:
        figures = {name: value for name, value in asdict(shown).items() if name != "files"}
        about = {"run": str(run.folder), "kind": run.kind, "target": run.target.name}
        print_json({**about, **figures, "warnings": warnings})
        return
    if shown.epochs is not None:
        where = f", epoch {shown.best_epoch} of {shown.epochs}"
    else:
        where = f", {shown.best_iteration:,} trees" if shown.best_iteration is not None else ""
    folds = shown.folds
    members = shown.members or {}
    columns = ["", run.kind, *([f"{folds.number} folds"] if folds else []), *members]
    rows = [
        [
            name,
            f"{value:.4f}",
            *([_spread(folds.metrics[name])] if folds else []),
            *(f"{scores[name]:.4f}" for scores in members.values()),
        ]
        for name, value in shown.metrics.items()
    ]
    leaky = " LEAKY" if run.leaky else ""
    rows_of = shown.rows
    crossed = rows_of.get("held_out", rows_of["validation"])
    posts = f"{crossed:,} {'validation' if crossed == rows_of['validation'] else 'held-out'} posts"
    title = f"{run.folder}{leaky}: {run.target.name}, {posts}{where}"
    print_table(title, columns, rows)
    if shown.why:
        _show_why(shown.why, leaky)
    if shown.weights:
        print_line("weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in shown.weights.items()))
    print_line(f"{shown.note}.")
    if folds:
        print_line(f"{folds.number} folds, {folds.rows:,} posts (mean ± standard deviation): {folds.note}.")
    for warning in warnings:
        print_line(f"warning: {warning}")
    print_line("\n" + next_step("evaluate", run.folder, data=data, runs=runs))


def _show_why(why: Why, leaky: str) -> None:
    rows = [
        [share.name, f"{share.loss_change:+.4f}", f"{share.mean_abs_shap:.3f}"]
        for share in why.groups
        if share.mean_abs_shap > 0
    ]
    title = f"What its{leaky} predictions are based on: the model's view, not a cause ({why.rows:,} validation posts)"
    print_table(title, ("", f"{why.loss} without it", "mean contribution"), rows)


def _spread(metric: FoldFigure) -> str:
    return f"{metric.mean:.4f} ± {metric.std:.4f}"
