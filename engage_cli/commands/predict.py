"""engage predict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engage_cli.commands.options import DEFAULT_RUNS, JsonOpt, RunsOpt, parse_pairs
from engage_cli.commands.output import print_json, print_line

if TYPE_CHECKING:
    from engage_cli.core.predictors.catboost import Reasons
    from engage_cli.steps.predict import PostPrediction

# Of an explanation.
SMALLEST_SHOWN = 0.0005  # contributions of groups; smaller ones would show as 0.000
MOST_FEATURES, LONGEST_NAME, BAR = 8, 44, 10


def predict(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The cover: JPEG, PNG, WebP or GIF.", show_default=False)],
    title: Annotated[str, typer.Option("--title", help="The title.")] = "",
    tags: Annotated[str, typer.Option("--tags", help="Tags or category, as the training posts write them.")] = "",
    description: Annotated[str, typer.Option("--description", help="The description.")] = "",
    posted_at: Annotated[
        str,
        typer.Option("--posted-at", help="When it will be published, as 2026-11-24T18:30 (UTC)."),
    ] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME=VALUE", help="A further column that the run was trained on; give it several times."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also say what the prediction rests on (runs of train-catboost).")
    ] = False,
    run: Annotated[Path | None, typer.Option("--run", help="The run to ask. Without: the newest finished one.")] = None,
    runs: RunsOpt = DEFAULT_RUNS,
    json: JsonOpt = False,
) -> None:
    """Say how much engagement a post will get, before it is published.

    engage predict cover.jpg --title "I built a house in a day" --tags DIY
    """
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.predict import predict as run_step

    answer = run_step(
        image,
        title=title,
        tags=tags,
        description=description,
        posted_at=posted_at,
        columns=parse_pairs(columns or [], "--with duration=30"),
        explain=explain,
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    if json:
        print_json(answer.to_json())
        return
    _show(answer)


def _show(answer: PostPrediction) -> None:
    target = answer.run.target
    print_line(f"{answer.image}  “{answer.title}”" if answer.title else answer.image)
    if answer.count is not None:
        print_line(f"  {target.name}: about {_rounded(answer.count)}  ({target.formula} = {answer.value:.2f})")
    elif answer.value is not None:
        print_line(f"  {target.name}: {answer.value:.4g}  ({target.formula})")
    for percent, (low, high) in answer.intervals.items():
        words = f"{low:.4g} to {high:.4g}"
        if answer.count is not None:
            words = f"{_rounded(max(0.0, math.expm1(low)))} to {_rounded(max(0.0, math.expm1(high)))}"
        print_line(f"  {percent} % of such posts, by the model's own account (not calibrated): {words}")
    print_line(f"  level: {answer.class_name}")
    if answer.probabilities is not None:
        for name, share in answer.probabilities.items():
            print_line(f"    {name:<10}{share:>6.1%}  {'█' * round(30 * share)}")
    print_line(
        f"  percentile: {answer.percentile:.0f} of 100 among the {target.num_rows:,} posts it learned the scale from"
    )
    for mark in answer.run.marks:
        print_line(f"  mark: {mark}")
    if answer.reasons is not None:
        _show_reasons(answer.reasons)


def _show_reasons(reasons: Reasons) -> None:
    """Show each group's and the first features' contributions as bars to both sides of the mean prediction."""
    from engage_cli.steps.predict import NOT_A_CAUSE

    print_line(f"\n  Why ({NOT_A_CAUSE}), from a mean of {reasons.start:.3f}, in {reasons.unit}:")
    groups = [(name, value, "") for name, value in reasons.groups.items() if abs(value) >= SMALLEST_SHOWN]
    features = [(name.replace("_", " "), value, reasons.values[name]) for name, value in reasons.features.items() if value][
        :MOST_FEATURES
    ]
    rows = [*groups, *features]
    width = min(LONGEST_NAME, max((len(name) for name, *_ in rows), default=0))
    largest = max((abs(value) for _, value, _ in rows), default=1.0)
    for title, some in (("groups", groups), ("single features", features)):
        print_line(f"  {title}")
        for name, value, post in some:
            bar = round(BAR * abs(value) / largest)
            left, right = ("█" * bar, "") if value < 0 else ("", "█" * bar)
            shown = name if len(name) <= width else f"{name[: width - 1]}…"
            print_line(f"    {shown:<{width}}{value:>+8.3f}  {left:>{BAR}}│{right:<{BAR}}  {post}".rstrip())


def _rounded(count: float) -> str:
    """Two significant digits: more would sound surer than any model is."""
    return f"{float(f'{count:.2g}'):,.0f}"
