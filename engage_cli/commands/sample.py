"""engage sample."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from engage_cli.commands.next_step import next_step
from engage_cli.commands.options import JsonOpt
from engage_cli.commands.output import print_json, print_line, print_table


def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    rows: Annotated[int, typer.Option("--rows", min=10, help="Number of posts.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed writes the same bytes.")] = 0,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Draw covers, or write the table alone.")] = True,
    planted: Annotated[
        bool,
        typer.Option("--planted", help="Let a known word and a known place of the cover decide, to test explanations."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a sample that lies there.")] = False,
    json: JsonOpt = False,
) -> None:
    """Write synthetic posts in PixelRec's format, to try everything without a data set.

    engage sample pixelrec --rows 500
    """
    from engage_cli.core.planting import WORD
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.sample import PLANTED, write_sample

    summary = write_sample(
        folder,
        rows=rows,
        seed=seed,
        with_images=images,
        planted=planted,
        overwrite=overwrite,
        reporter=make_reporter(),
    )
    if json:
        print_json({**dataclasses.asdict(summary), "folder": str(summary.folder)})
        return
    counts = {name: num for name, num in dataclasses.asdict(summary).items() if name != "folder"}
    shown = [(name.replace("_", " "), f"{num:,}") for name, num in counts.items() if planted or "planted" not in name]
    print_table(f"Synthetic posts in {folder}", ("", "posts"), shown)
    print_line("They follow a made-up law: good for trying engage, not for learning about audiences.")
    if planted:
        print_line(f"{PLANTED} says which titles have the word {WORD}, and which covers a badge, and in which cell.")
    print_line("\n" + next_step("prepare", "--pixelrec-dir", str(folder), *([] if images else ["--no-images"])))
