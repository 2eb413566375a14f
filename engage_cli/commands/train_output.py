"""What the three trainers print."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    where = (
        f"epoch {shown['best_epoch']} of {shown['epochs']}" if "epochs" in shown else f"{shown['best_iteration']:,} trees"
    )
    rows = [(name, f"{value:.4f}") for name, value in shown["metrics"].items()]
    title = f"{run.folder}: {run.target.name}, {shown['rows']['validation']:,} validation posts, {where}"
    print_table(title, ("", run.kind), rows)
    print_line(f"{shown['note']}.")
    for warning in summary.warnings:
        print_line(f"warning: {warning}")
    print_line(f"\nNext: engage evaluate {run.folder}")
