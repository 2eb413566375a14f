"""engage embed."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from engage_cli.commands.embed_output import show_embedding
from engage_cli.commands.next_step import after_embed
from engage_cli.commands.options import (
    DEFAULT_DATA,
    DataOpt,
    DtypeOpt,
    FramingOpt,
    JsonOpt,
    PoolOpt,
    TextOpt,
    TokensOpt,
    VisionOpt,
)
from engage_cli.commands.output import print_json
from engage_cli.core.config import EmbedConfig, EncoderConfig, help_of

_SPEED = "Speed and machines"


def embed(
    data: DataOpt = DEFAULT_DATA,
    vision: VisionOpt = EncoderConfig.vision,
    text: TextOpt = EncoderConfig.text,
    blocks: Annotated[
        str,
        typer.Option("--blocks", help="What is embedded: image, title, context (tags, description), text (all three)."),
    ] = "image,title,context,text",
    precision: Annotated[
        str, typer.Option("--precision", help=help_of(EncoderConfig, "precision"), rich_help_panel="Encoders")
    ] = EncoderConfig.precision,
    pool: PoolOpt = EncoderConfig.pool,
    framing: FramingOpt = EncoderConfig.framing,
    tokens: TokensOpt = EncoderConfig.tokens,
    dtype: DtypeOpt = EncoderConfig.dtype,
    batch_size: Annotated[
        str, typer.Option("--batch-size", help=help_of(EmbedConfig, "batch_size"), rich_help_panel=_SPEED)
    ] = EmbedConfig.batch_size,
    compile: Annotated[
        bool, typer.Option("--compile", help=help_of(EmbedConfig, "compile"), rich_help_panel=_SPEED)
    ] = EmbedConfig.compile,
    engine: Annotated[
        str, typer.Option("--engine", help=help_of(EmbedConfig, "engine"), rich_help_panel=_SPEED)
    ] = EmbedConfig.engine,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help=help_of(EmbedConfig, "workers"), rich_help_panel=_SPEED)
    ] = EmbedConfig.workers,
    json: JsonOpt = False,
) -> None:
    """Turn images and texts into vectors, once; killed at any moment, the same command goes on.

    engage embed --vision dinov2-small --text minilm

    engage embed --vision siglip --text ./my-checkpoint --tokens 16

    torchrun --nproc-per-node 4 -m engage_cli embed --vision siglip
    """
    from engage_cli.core.dataset import load_dataset
    from engage_cli.core.distributed import get_rank
    from engage_cli.core.posts import parse_blocks
    from engage_cli.core.progress import SilentReporter, make_reporter
    from engage_cli.steps.embed import embed as run_step

    asked = parse_blocks(blocks)
    config = EncoderConfig(
        vision=vision, text=text, precision=precision, pool=pool, framing=framing, tokens=tokens, dtype=dtype
    )
    how = EmbedConfig(batch_size=batch_size, compile=compile, engine=engine, workers=workers)
    is_first = get_rank() == 0
    reporter = make_reporter() if is_first else SilentReporter()
    dataset = load_dataset(data)
    summaries = run_step(dataset, config, blocks=asked, how=how, reporter=reporter)
    if not is_first:  # under torchrun one rank answers for all
        return
    if json:
        print_json({"stores": [{**dataclasses.asdict(s), "folder": str(s.folder)} for s in summaries]})
    else:
        show_embedding(summaries, after_embed(dataset, config, data))
