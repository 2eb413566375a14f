"""engage score, and the options of logging."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import parse_pairs
from engage_cli.cli.places import LedgerPlace, Output, RunsPlace
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.config.settings import setting
from engage_cli.errors import WrongCallError

if TYPE_CHECKING:
    from engage_cli.steps.ledger.score import LedgerScore


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    outcomes: Path = setting(
        ..., "Later counts: a table or folder of posts, as `engage prepare` reads it.", argument="OUTCOMES"
    )
    images_dir: Path | None = setting(
        None, "The folder of their images, which tell variants with the same title apart.", show_default=False
    )
    mapping: list[str] | None = setting(None, "Column mapping, for example views=view_count.", flags=("--map",))
    plot: Path | None = setting(None, "Also draw drift and coverage of each month to this PNG.", show_default=False)


@generated()
def score(options: ScoreOptions, place: RunsPlace, at: LedgerPlace, output: Output) -> None:
    """Compare logged predictions with the posts' later counts, and keep these outcomes in the ledger.

    engage score outcomes.csv --images-dir covers
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.ledger.score import score_ledger

    if options.plot is not None and options.plot.suffix.lower() != ".png":
        raise WrongCallError(f"--plot {options.plot}: name a .png file")
    pairs = [pair for text in options.mapping or [] for pair in text.split(",")]
    found = score_ledger(
        at.of(place.runs),
        options.outcomes,
        images=options.images_dir,
        mapping=parse_pairs(pairs, "--map views=view_count"),
        reporter=make_reporter(),
    )
    if options.plot is not None:
        from engage_cli.plots.drift import draw_drift

        draw_drift(options.plot, {Path(run.run).name: run.months for run in found.runs if run.months})
    if output.json:
        print_json(dataclasses.asdict(found))
    else:
        _show(found)


def _show(found: LedgerScore) -> None:
    print_line(f"{found.entries:,} logged predictions, {found.matched:,} with an outcome")
    if found.ambiguous:
        print_line(f"{found.ambiguous:,} outcomes fit several logged variants; give --images-dir, or log with --post-id")
    for run in found.runs:
        print_line(f"\n{run.run} (target {run.target}): {run.outcomes:,} outcomes")
        if run.needed:
            print_line(
                f"  {run.needed:,} more outcomes are needed to judge the intervals; the figures below are preliminary"
            )
        if run.coverage is not None:
            between = f"95 % interval {100 * (run.coverage_low or 0):.0f} to {100 * (run.coverage_high or 0):.0f} %"
            print_line(f"  80 % intervals contained {100 * run.coverage:.0f} % of the outcomes ({between})")
        if run.pairs_right is not None:
            print_line(f"  {100 * run.pairs_right:.0f} % of pairs are in the right order (by chance: 50 %)")
        if run.gain_over_usual is not None:
            gain = f"{100 * run.gain_over_usual:+.0f} % of the error of the author's median"
            print_line(f"  gain over my usual: {gain} ({run.usual_posts:,} posts)")
        if run.e_value is not None:
            print_line(f"  e-value {run.e_value:.3g} of all outcomes so far (20 or more: the intervals miss too often)")
        if run.train_again:
            command = f"engage recalibrate --run {shlex.quote(run.run)}"
            print_line(f"  fit the intervals again with `{command}`, and train again with the newer posts")
        for month in run.months:
            covered = "" if month.covered is None else f", {100 * month.covered:.0f} % within the interval"
            print_line(f"  {month.month}: {month.posts:,} posts, drift {month.drift:+.3f}{covered}")
        for age in run.ages if len(run.ages) > 1 else ():
            covered = "" if age.covered is None else f", {100 * age.covered:.0f} % within the interval"
            print_line(f"  counted at {age.age}: {age.posts:,} posts, drift {age.drift:+.3f}{covered}")
        if len(run.ages) > 1:
            print_line("  posts were counted at different ages: compare the lines above, or leave young posts out")
