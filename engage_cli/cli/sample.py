"""engage sample."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.places import Output
from engage_cli.cli.render.next_step import next_step
from engage_cli.cli.render.output import print_json, print_line, print_table
from engage_cli.config.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    folder: Path = setting(..., "A new folder.", argument="DIR")
    rows: int = setting(2000, "Number of posts.", low=10)
    seed: int = setting(0, "The same seed writes the same bytes.", low=0)
    images: bool = setting(True, "Draw covers, or write only the table.", flags=("--images/--no-images",))
    planted: bool = setting(
        False,
        "Make one known word and one known region of the cover decide the counts, to test explanations.",
        flags=("--planted",),
    )
    experiments: bool = setting(
        False,
        "Write experiments instead of posts: variants with clicks and impressions, and a table of their true click rates.",
        flags=("--experiments",),
    )
    overwrite: bool = setting(False, "Replace an existing sample.", flags=("--overwrite",))


@generated()
def sample(options: SampleOptions, output: Output) -> None:
    """Write synthetic posts in PixelRec's format, to try everything without a data set.

    engage sample pixelrec --rows 500

    engage sample experiments --experiments --rows 800
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.sample import COVERS, EXPERIMENTS_TABLE, PLANTED, TRUTH, write_sample
    from engage_cli.synthetic.planting import WORD

    summary = write_sample(
        options.folder,
        rows=options.rows,
        seed=options.seed,
        with_images=options.images,
        planted=options.planted,
        experiments=options.experiments,
        overwrite=options.overwrite,
        reporter=make_reporter(),
    )
    if output.json:
        print_json({**dataclasses.asdict(summary), "folder": str(summary.folder)})
        return
    if options.experiments:
        drawn = [("covers", f"{summary.covers:,}")] if options.images else []
        lines = [("experiments", f"{summary.experiments:,}"), ("variants", f"{summary.rows:,}"), *drawn]
        print_table(f"Synthetic experiments in {options.folder}", ("", "number"), lines)
        print_line("They follow a made-up law: good for trying engage, not for learning about audiences.")
        print_line(f"{TRUTH} has the true click rate of each variant, which no command reads.")
        covers = ["--images-dir", str(options.folder / COVERS)] if options.images else ["--no-images"]
        print_line("\n" + next_step("prepare", "--table", str(options.folder / EXPERIMENTS_TABLE), *covers))
        return
    counts = {name: num for name, num in dataclasses.asdict(summary).items() if name != "folder"}
    shown = [
        (name.replace("_", " "), f"{num:,}")
        for name, num in counts.items()
        if name != "experiments" and (options.planted or "planted" not in name)
    ]
    print_table(f"Synthetic posts in {options.folder}", ("", "posts"), shown)
    print_line("They follow a made-up law: good for trying engage, not for learning about audiences.")
    if options.planted:
        print_line(f"{PLANTED} says which titles have the word {WORD}, and which covers a badge, and in which cell.")
    without = [] if options.images else ["--no-images"]
    print_line("\n" + next_step("prepare", "--pixelrec-dir", str(options.folder), *without))
