"""What the neural trainers do alike, and what all three print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engage_cli.commands.next_step import next_step
from engage_cli.commands.output import print_json, print_line, print_table
from engage_cli.core.config import EncoderConfig, TrainConfig
from engage_cli.core.distributed import get_rank

if TYPE_CHECKING:
    from engage_cli.core.run_records import FoldFigure, Kind
    from engage_cli.steps.train_neural import TrainSummary


class Encoding(NamedTuple):
    """How encoders give their vectors, as far as it is an option of its own."""

    pool: str
    framing: str
    tokens: int
    precision: str
    dtype: str


def run_training(
    kind: Kind,
    command: str,
    given: Mapping[str, Any],
    *,
    data: Path,
    encoding: Encoding,
    run: Path | None,
    runs: Path,
    json: bool,
) -> None:
    """Train as the options say, and show it; `given` holds, by name, what is given of TrainConfig, and the recipe."""
    import torch

    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.progress import make_reporter
    from engage_cli.core.recipes import resolve
    from engage_cli.steps.train_seeds import train_seeds

    names = [field.name for field in fields(TrainConfig) if field.name in given]
    resolved = resolve(kind, given["recipe"], {name: given[name] for name in names}, has_gpu=torch.cuda.is_available())
    encoders = EncoderConfig(
        vision=resolved.config.vision,
        text=resolved.config.text,
        precision=encoding.precision,
        pool=encoding.pool,
        framing=encoding.framing,
        tokens=encoding.tokens,
        dtype=encoding.dtype,
    )
    summary = train_seeds(
        resolved,
        kind=kind,
        command=command,
        dataset=load_dataset(data),
        encoders=encoders,
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    if get_rank() == 0:
        show_training(summary, data=data, runs=runs, json=json)


def show_training(summary: TrainSummary, *, data: Path, runs: Path, json: bool) -> None:
    """Print a finished run's validation scores and the next command."""
    run = summary.run
    shown = run.done
    if json:
        figures = {name: value for name, value in asdict(shown).items() if name != "files"}
        print_json({"run": str(run.folder), "kind": run.kind, "target": run.target.name, **figures})
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
    title = f"{run.folder}{leaky}: {run.target.name}, {shown.rows['validation']:,} validation posts{where}"
    print_table(title, columns, rows)
    if shown.why:
        _show_why(shown.why, leaky)
    if shown.weights:
        print_line("weights: " + ", ".join(f"{name} {weight:.2f}" for name, weight in shown.weights.items()))
    print_line(f"{shown.note}.")
    if folds:
        print_line(f"{folds.number} folds, {folds.rows:,} posts (mean ± standard deviation): {folds.note}.")
    for warning in summary.warnings:
        print_line(f"warning: {warning}")
    print_line("\n" + next_step("evaluate", run.folder, data=data, runs=runs))


def _show_why(why: Mapping[str, Any], leaky: str) -> None:
    rows = [
        [share["name"], f"{share['loss_change']:+.4f}", f"{share['mean_abs_shap']:.3f}"]
        for share in why["groups"]
        if share["mean_abs_shap"] > 0
    ]
    title = f"What its{leaky} predictions rest on: the model's view, not a cause ({why['rows']:,} validation posts)"
    print_table(title, ("", f"{why['loss']} without it", "mean contribution"), rows)


def _spread(metric: FoldFigure) -> str:
    return f"{metric.mean:.4f} ± {metric.std:.4f}"
