"""engage embed."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from engage_cli.commands.options import DEFAULT_DATA, DataOpt, JsonOpt, TextOpt, VisionOpt
from engage_cli.commands.output import print_json, print_line, print_table
from engage_cli.core.config import EncoderConfig, help_of


def embed(
    data: DataOpt = DEFAULT_DATA,
    vision: VisionOpt = EncoderConfig.vision,
    text: TextOpt = EncoderConfig.text,
    blocks: Annotated[
        str,
        typer.Option("--blocks", help="What is embedded: image, title, context (tags, description), text (all three)."),
    ] = "image,title,context,text",
    precision: Annotated[
        str, typer.Option("--precision", help=help_of(EncoderConfig, "precision"))
    ] = EncoderConfig.precision,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help=help_of(EncoderConfig, "batch_size"))
    ] = EncoderConfig.batch_size,
    json: JsonOpt = False,
) -> None:
    """Turn images and texts into vectors, once; killed at any moment, the same command goes on.

    engage embed --vision dinov2-small --text minilm

    engage embed --vision siglip --text ./my-checkpoint
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.posts import parse_blocks
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.embed import embed as run_step

    asked = parse_blocks(blocks)
    config = EncoderConfig(vision=vision, text=text, precision=precision, batch_size=batch_size)
    summaries = run_step(load_dataset(data), config, blocks=asked, reporter=make_reporter())
    if json:
        print_json({"stores": [{**dataclasses.asdict(s), "folder": str(s.folder)} for s in summaries]})
        return
    rows = [
        (f"{s.side}: {s.encoder}", s.precision, *(f"{n:,}" for n in (s.added, s.vectors, s.cut_texts, s.image_problems)))
        for s in summaries
    ]
    columns = ("", "precision", "new", "vectors", "texts cut", "no image")
    print_table("Features", columns, rows)
    for summary in summaries:
        print_line(f"{summary.side}: {summary.folder}")
        if summary.image_problems:
            print_line(f"posts without a usable image: {summary.folder / 'problems.csv'}")
    print_line("\nNext: engage train-regressor, engage train-classifier or engage train-catboost")
