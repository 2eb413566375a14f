"""engage prepare."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import parse_pairs
from engage_cli.cli.places import DataPlace, Output
from engage_cli.cli.render.output import print_json
from engage_cli.cli.render.prepare import show_prepared, show_understood, tell_understood
from engage_cli.config.preparation import EXPERIMENTS, SOURCES, PrepareConfig
from engage_cli.config.settings import setting
from engage_cli.errors import WrongCallError

if TYPE_CHECKING:
    from engage_cli.steps.prepare.import_posts import Source

Folders = list[Path] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where posts come from."""

    sources: Folders = setting(
        None, "Folders or tables. Their format is recognised; --format overrides it.", argument="[SOURCE]..."
    )
    pixelrec_dir: Folders = setting(None, "A folder with PixelRec's item_info CSV and covers.", panel=SOURCES)
    microlens_dir: Folders = setting(None, "A folder with MicroLens' titles, likes and views, covers.", panel=SOURCES)
    smpd_dir: Folders = setting(None, "A folder with SMPD's row-aligned train files.", panel=SOURCES)
    table: Folders = setting(
        None, "Any .csv, .tsv, .json, .jsonl, .xlsx or .parquet of posts, .gz and .zst too.", panel=SOURCES
    )
    images_dir: Folders = setting(None, "Where a table's images are: a folder, a .tar.gz or a .zip.", panel=SOURCES)
    mapping: str = setting(
        "",
        "Column mapping, for example views=view_count,likes=likeCount.",
        flags=("--map",),
        panel=SOURCES,
        show_default=False,
    )
    experiment: str = setting(
        "",
        "A table's column that names the randomised experiment of each variant, for the target click_rate.",
        panel=EXPERIMENTS,
        show_default=False,
    )
    outcome: str = setting(
        "", "A table's column with the clicks (or other successes) of each variant.", panel=EXPERIMENTS, show_default=False
    )
    exposure: str = setting(
        "", "A table's column with the impressions of each variant.", panel=EXPERIMENTS, show_default=False
    )
    keep: str = setting(
        "",
        "Further columns to keep as features, known before publication, for example followers,kind:category.",
        panel=SOURCES,
        show_default=False,
    )
    format: str = setting(
        "auto",
        "Format of SOURCE.",
        table="engage_cli.data.importers:IMPORTERS",
        more_names=("auto",),
        panel=SOURCES,
    )
    images: bool = setting(True, "Use images, or only text.", flags=("--images/--no-images",))
    dry_run: bool = setting(
        False, "Show how the sources were understood, and write nothing.", flags=("--dry-run",), panel=SOURCES
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overwriting:
    overwrite: bool = setting(
        False, "Replace a finished data folder. Only files that prepare wrote are removed.", flags=("--overwrite",)
    )


@generated()
def prepare(given: SourceOptions, config: PrepareConfig, at: DataPlace, overwriting: Overwriting, output: Output) -> None:
    """Read posts, check them, split them, and fit the targets on the training rows.

    engage prepare --pixelrec-dir PixelRec

    engage prepare --table posts.csv --images-dir thumbnails --map views=plays

    engage prepare --table tests.csv --experiment test_id --outcome clicks --exposure impressions --no-images
    """
    from engage_cli.data.dataset_meta import to_json
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.prepare import prepare as run_step
    from engage_cli.steps.prepare.understand import understand

    config = dataclasses.replace(config, date_order=config.date_order.upper())
    placed = _give_images(_sources(given), given.images_dir or [])
    pairs = parse_pairs(filter(None, given.mapping.split(",")), "--map views=view_count,likes=likeCount")
    pairs |= _experiment_columns(given, pairs)
    kept = [name.strip() for name in given.keep.split(",") if name.strip()]
    reporter = make_reporter()
    if given.dry_run:
        understood = understand(config, sources=placed, mapping=pairs, keep=kept, reporter=reporter)
        if output.json:
            print_json({"sources": [one.to_json() for one in understood]})
        else:
            show_understood(understood)
        return
    prepared = run_step(
        config,
        folder=at.data,
        sources=placed,
        mapping=pairs,
        keep=kept,
        with_images=given.images,
        overwrite=overwriting.overwrite,
        show=(lambda found: tell_understood(found, reporter.say)) if sys.stderr.isatty() else None,
        reporter=reporter,
    )
    if output.json:
        print_json({"data": str(at.data), **to_json(prepared.dataset.meta)})
        return
    show_prepared(prepared, at.data)


def _experiment_columns(given: SourceOptions, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return what --experiment, --outcome and --exposure name, as --map would name it."""
    named = {"experiment": given.experiment, "outcome": given.outcome, "exposure": given.exposure}
    named = {ours: theirs for ours, theirs in named.items() if theirs}
    if twice := [ours for ours in named if ours in mapping]:
        raise WrongCallError(f"--{twice[0]} and --map {twice[0]}=...: give one of the two")
    return named


def _sources(given: SourceOptions) -> list[Source]:
    """Return the sources of all options, each with its format."""
    from engage_cli.steps.prepare.import_posts import Source

    named = {
        "pixelrec": given.pixelrec_dir, "microlens": given.microlens_dir, "smpd": given.smpd_dir, "table": given.table,
    }  # fmt: skip
    found = [Source(path=path, format=given.format) for path in given.sources or []]
    return found + [Source(path=path, format=name) for name, paths in named.items() for path in paths or []]


def _give_images(sources: list[Source], folders: list[Path]) -> list[Source]:
    """Give tables their images: one folder serves all, several go with the tables in their order.

    Where there is no table, the folders stand in for those of the other formats.
    """
    tables = [source for source in sources if source.format == "table" or source.path.is_file()] or sources
    if len(folders) not in (0, 1, len(tables)):
        raise WrongCallError(
            f"{len(folders)} --images-dir for {len(tables)} sources: give one for all, or one for each, in the same order"
        )
    each = dict(zip(map(id, tables), folders * len(tables) if len(folders) == 1 else folders, strict=False))
    return [dataclasses.replace(source, images=each.get(id(source))) for source in sources]
