"""engage prepare."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engage_cli.cli.options import DEFAULT_DATA, DataOpt, JsonOpt, parse_pairs
from engage_cli.cli.render.output import print_json
from engage_cli.cli.render.prepare import show_prepared, show_understood, tell_understood
from engage_cli.config.general import PrepareConfig
from engage_cli.config.settings import help_of
from engage_cli.data.importers import IMPORTERS
from engage_cli.data.split_names import SPLITS
from engage_cli.errors import WrongCallError

if TYPE_CHECKING:
    from engage_cli.steps.prepare.import_posts import Source

_SOURCE, _SPLIT = "Sources (one or several)", "Split and targets"
Folders = list[Path] | None


def prepare(
    sources: Annotated[
        Folders,
        typer.Argument(metavar="[SOURCE]...", readable=False, help="Folders or tables; --format says how they are read."),
    ] = None,
    pixelrec_dir: Annotated[
        Folders,
        typer.Option(
            "--pixelrec-dir",
            readable=False,
            help="A folder with PixelRec's item_info CSV and covers.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    microlens_dir: Annotated[
        Folders,
        typer.Option(
            "--microlens-dir",
            readable=False,
            help="A folder with MicroLens' titles, likes and views, covers.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    smpd_dir: Annotated[
        Folders,
        typer.Option(
            "--smpd-dir", readable=False, help="A folder with SMPD's row-aligned train files.", rich_help_panel=_SOURCE
        ),
    ] = None,
    table: Annotated[
        Folders,
        typer.Option(
            "--table",
            readable=False,
            help="Any .csv, .tsv, .json, .jsonl, .xlsx or .parquet of posts, .gz and .zst too.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    images_dir: Annotated[
        Folders,
        typer.Option(
            "--images-dir",
            readable=False,
            help="Where a table's images lie: a folder, a .tar.gz or a .zip.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    mapping: Annotated[
        str,
        typer.Option(
            "--map", help="Columns that names do not give away: views=view_count,likes=likeCount.", rich_help_panel=_SOURCE
        ),
    ] = "",
    keep: Annotated[
        str,
        typer.Option(
            "--keep",
            help="Further columns of a table, known before publication (followers,kind:category), for --features.",
            rich_help_panel=_SOURCE,
        ),
    ] = "",
    format: Annotated[
        str,
        typer.Option("--format", help=f"Format of SOURCE: auto, {', '.join(IMPORTERS)}.", rich_help_panel=_SOURCE),
    ] = "auto",
    images: Annotated[bool, typer.Option("--images/--no-images", help="Look for images; without them: text alone.")] = True,
    verify_images: Annotated[
        bool, typer.Option("--verify-images", help=help_of(PrepareConfig, "verify_images"))
    ] = PrepareConfig.verify_images,
    data: DataOpt = DEFAULT_DATA,
    split: Annotated[
        str,
        typer.Option(
            "--split",
            help=f"{help_of(PrepareConfig, 'split')} One of: auto, {', '.join(SPLITS)}.",
            rich_help_panel=_SPLIT,
        ),
    ] = PrepareConfig.split,
    split_from: Annotated[
        str, typer.Option("--split-from", help=help_of(PrepareConfig, "split_from"), rich_help_panel=_SPLIT)
    ] = PrepareConfig.split_from,
    duplicates: Annotated[
        str, typer.Option("--duplicates", help=help_of(PrepareConfig, "duplicates"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.duplicates,
    fetch_images: Annotated[
        bool, typer.Option("--fetch-images", help=help_of(PrepareConfig, "fetch_images"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.fetch_images,
    private_addresses: Annotated[
        bool, typer.Option("--private-addresses", help=help_of(PrepareConfig, "private_addresses"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.private_addresses,
    date_order: Annotated[
        str, typer.Option("--date-order", help=help_of(PrepareConfig, "date_order"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.date_order,
    decimal: Annotated[
        str, typer.Option("--decimal", help=help_of(PrepareConfig, "decimal"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.decimal,
    encoding: Annotated[
        str, typer.Option("--encoding", help=help_of(PrepareConfig, "encoding"), rich_help_panel=_SOURCE)
    ] = PrepareConfig.encoding,
    dedupe: Annotated[
        bool, typer.Option("--dedupe/--no-dedupe", help=help_of(PrepareConfig, "dedupe"), rich_help_panel=_SPLIT)
    ] = PrepareConfig.dedupe,
    fractions: Annotated[
        str, typer.Option("--fractions", help=help_of(PrepareConfig, "fractions"), rich_help_panel=_SPLIT)
    ] = PrepareConfig.fractions,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help=help_of(PrepareConfig, "seed"), rich_help_panel=_SPLIT)
    ] = PrepareConfig.seed,
    fit_target_on: Annotated[
        str, typer.Option("--fit-target-on", help=help_of(PrepareConfig, "fit_target_on"), rich_help_panel=_SPLIT)
    ] = PrepareConfig.fit_target_on,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace a finished data folder: what prepare wrote there, and no other file."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show what is understood of the sources, and write nothing.", rich_help_panel=_SOURCE
        ),
    ] = False,
    json: JsonOpt = False,
) -> None:
    """Read posts, check them, split them, and fit the targets on the training rows.

    engage prepare --pixelrec-dir PixelRec

    engage prepare --table posts.csv --images-dir thumbnails --map views=plays
    """
    from engage_cli.data.dataset_meta import to_json
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.prepare import prepare as run_step
    from engage_cli.steps.prepare.import_posts import Source
    from engage_cli.steps.prepare.understand import understand

    if format != "auto":
        IMPORTERS.check(format)
    named = {"pixelrec": pixelrec_dir, "microlens": microlens_dir, "smpd": smpd_dir, "table": table}
    all_sources = [Source(path=path, format=format) for path in sources or []]
    all_sources += [Source(path=path, format=name) for name, paths in named.items() for path in paths or []]
    config = PrepareConfig(
        split=split,
        fractions=fractions,
        seed=seed,
        split_from=split_from,
        dedupe=dedupe,
        verify_images=verify_images,
        fit_target_on=fit_target_on,
        duplicates=duplicates,
        fetch_images=fetch_images,
        private_addresses=private_addresses,
        date_order=date_order.upper(),
        decimal=decimal,
        encoding=encoding,
    )
    placed = _give_images(all_sources, images_dir or [])
    pairs = parse_pairs(filter(None, mapping.split(",")), "--map views=view_count,likes=likeCount")
    kept = [name.strip() for name in keep.split(",") if name.strip()]
    reporter = make_reporter()
    if dry_run:
        understood = understand(config, sources=placed, mapping=pairs, keep=kept, reporter=reporter)
        if json:
            print_json({"sources": [one.to_json() for one in understood]})
        else:
            show_understood(understood)
        return
    prepared = run_step(
        config,
        folder=data,
        sources=placed,
        mapping=pairs,
        keep=kept,
        with_images=images,
        overwrite=overwrite,
        show=(lambda found: tell_understood(found, reporter.say)) if sys.stderr.isatty() else None,
        reporter=reporter,
    )
    if json:
        print_json({"data": str(data), **to_json(prepared.dataset.meta)})
        return
    show_prepared(prepared, data)


def _give_images(sources: list[Source], folders: list[Path]) -> list[Source]:
    """Give tables their images: one folder serves all, several go with the tables in their order.

    Where there is no table, the folders stand in for those of the other formats.
    """
    tables = [source for source in sources if source.format == "table" or source.path.is_file()] or sources
    if len(folders) not in (0, 1, len(tables)):
        raise WrongCallError(
            f"{len(folders)} --images-dir for {len(tables)} sources: give one for all, or one for each in their order"
        )
    each = dict(zip(map(id, tables), folders * len(tables) if len(folders) == 1 else folders, strict=False))
    return [dataclasses.replace(source, images=each.get(id(source))) for source in sources]
