"""engage embed."""

from __future__ import annotations

import dataclasses

from engage_cli.cli.generate import generated
from engage_cli.cli.places import DataPlace, Output
from engage_cli.cli.render.embed import show_embedding
from engage_cli.cli.render.next_step import after_embed
from engage_cli.cli.render.output import print_json
from engage_cli.config.general import EmbedConfig, EncoderConfig
from engage_cli.config.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedded:
    blocks: str = setting(
        "image,title,context,text",
        "What is embedded: image, title, context (tags and description), text (all three), and by name cover_text, the "
        "lettering on the cover.",
    )
    covers: bool = setting(
        False,
        "Also read the lettering and the faces of covers, each once, for --features covers, train-gp --covers and "
        "--explain. It needs the extra covers.",
        flags=("--covers",),
    )


@generated()
def embed(at: DataPlace, encoders: EncoderConfig, what: Embedded, how: EmbedConfig, output: Output) -> None:
    """Turn images and texts into vectors, once. A killed call continues when you give the command again.

    engage embed --vision dinov2-small --text minilm

    engage embed --vision siglip --text ./my-checkpoint --tokens 16

    torchrun --nproc-per-node 4 -m engage_cli embed --vision siglip
    """
    from engage_cli.data.dataset import load_dataset
    from engage_cli.data.schema import parse_blocks
    from engage_cli.progress.reporters import SilentReporter, make_reporter
    from engage_cli.runtime.distributed import get_rank
    from engage_cli.steps.covers import read_covers
    from engage_cli.steps.embed import embed as run_step

    asked = parse_blocks(what.blocks)
    is_first = get_rank() == 0
    reporter = make_reporter() if is_first else SilentReporter()
    dataset = load_dataset(at.data)
    read = read_covers(dataset, reporter) if what.covers and is_first else None
    summaries = run_step(dataset, encoders, blocks=asked, how=how, reporter=reporter)
    if not is_first:  # under torchrun one rank answers for all
        return
    if output.json:
        print_json(
            {
                "stores": [{**dataclasses.asdict(s), "folder": str(s.folder)} for s in summaries],
                "covers": None if read is None else dataclasses.asdict(read),
            }
        )
    else:
        show_embedding(summaries, read, after_embed(dataset, encoders, at.data))
