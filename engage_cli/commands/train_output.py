"""What a finished training prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engage_cli.commands.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from engage_cli.steps.train_neural import TrainSummary


def show_training(summary: TrainSummary, *, json: bool) -> None:
    """Print a finished run's validation scores and the next command."""
    run = summary.run
    if json:
        print_json({"run": str(run.folder), "kind": run.kind, "target": run.target.name, **run.metrics})
        return
    shown = run.metrics
    if "epochs" in shown:
        where = f", epoch {shown['best_epoch']} of {shown['epochs']}"
    else:
        where = f", {shown['best_iteration']:,} trees" if "best_iteration" in shown else ""
    folds = shown.get("folds")
    members = shown.get("members", {})
    columns = ["", run.kind, *([f"{folds['number']} folds"] if folds else []), *members]
    rows = [
        [
            name,
            f"{value:.4f}",
            *([_spread(folds["metrics"][name])] if folds else []),
            *(f"{scores[name]:.4f}" for scores in members.values()),
        ]
        for name, value in shown["metrics"].items()
    ]
    leaky = " LEAKY" if run.leaky else ""
    title = f"{run.folder}{leaky}: {run.target.name}, {shown['rows']['validation']:,} validation posts{where}"
    print_table(title, columns, rows)
    if why := shown.get("why"):
        _show_why(why, leaky)
    if members:
        print_line("weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in shown["weights"].items()))
    print_line(f"{shown['note']}.")
    if folds:
        print_line(f"{folds['number']} folds, {folds['rows']:,} posts (mean ± standard deviation): {folds['note']}.")
    for warning in summary.warnings:
        print_line(f"warning: {warning}")
    print_line(f"\nNext: engage evaluate {run.folder}")


def _show_why(why: Mapping[str, Any], leaky: str) -> None:
    rows = [
        [share["name"], f"{share['loss_change']:+.4f}", f"{share['mean_abs_shap']:.3f}"]
        for share in why["groups"]
        if share["mean_abs_shap"] > 0
    ]
    title = f"What its{leaky} predictions rest on: the model's view, not a cause ({why['rows']:,} validation posts)"
    print_table(title, ("", f"{why['loss']} without it", "mean contribution"), rows)


def _spread(metric: Mapping[str, Any]) -> str:
    return f"{metric['mean']:.4f} ± {metric['std']:.4f}"
