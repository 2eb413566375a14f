"""engage prepare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engage_cli.commands.options import DEFAULT_DATA, SPLIT_NAMES, DataOpt, JsonOpt
from engage_cli.commands.output import print_json, print_line, print_table
from engage_cli.core.config import CLASS_NAMES, PrepareConfig, help_of
from engage_cli.core.errors import WrongCallError

if TYPE_CHECKING:
    from engage_cli.core.dataset import Dataset

_SOURCE = "Source (one)"


def prepare(
    pixelrec_dir: Annotated[
        Path | None,
        typer.Option("--pixelrec-dir", help="A folder with PixelRec's item_info CSV and covers.", rich_help_panel=_SOURCE),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", help="Any .csv, .tsv, .jsonl or .parquet of posts.", rich_help_panel=_SOURCE),
    ] = None,
    images_dir: Annotated[
        Path | None, typer.Option("--images-dir", help="Where the table's images lie.", rich_help_panel=_SOURCE)
    ] = None,
    mapping: Annotated[
        str,
        typer.Option(
            "--map",
            help="Columns that names do not give away: views=view_count,likes=likeCount.",
            rich_help_panel=_SOURCE,
        ),
    ] = "",
    images: Annotated[bool, typer.Option("--images/--no-images", help="Look for images; without them: text alone.")] = True,
    data: DataOpt = DEFAULT_DATA,
    split: Annotated[
        str, typer.Option("--split", help=f"{help_of(PrepareConfig, 'split')} One of: auto, {', '.join(SPLIT_NAMES)}.")
    ] = PrepareConfig.split,
    fractions: Annotated[
        str, typer.Option("--fractions", help=help_of(PrepareConfig, "fractions"))
    ] = PrepareConfig.fractions,
    seed: Annotated[int, typer.Option("--seed", min=0, help=help_of(PrepareConfig, "seed"))] = PrepareConfig.seed,
    fit_target_on: Annotated[
        str, typer.Option("--fit-target-on", help=help_of(PrepareConfig, "fit_target_on"))
    ] = PrepareConfig.fit_target_on,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished data folder.")] = False,
    json: JsonOpt = False,
) -> None:
    """Read posts, check them, split them, and fit the targets on the training rows.

    engage prepare --pixelrec-dir PixelRec

    engage prepare --table posts.csv --images-dir thumbnails --map views=plays
    """
    from engage_cli.core.progress import make_reporter
    from engage_cli.steps.prepare import prepare as run_step

    dataset = run_step(
        PrepareConfig(split=split, fractions=fractions, seed=seed, fit_target_on=fit_target_on),
        folder=data,
        pixelrec_dir=pixelrec_dir,
        table=table,
        images_dir=images_dir,
        mapping=_parse_mapping(mapping),
        with_images=images,
        overwrite=overwrite,
        reporter=make_reporter(),
    )
    if json:
        print_json({"data": str(data), **dataset.meta})
        return
    _show(dataset)
    option = "" if data == DEFAULT_DATA else f" --data {data}"
    print_line(f"\nNext: engage embed{option}")


def _parse_mapping(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    for ours, sign, theirs in pairs:
        if not (ours.strip() and sign and theirs.strip()):
            raise WrongCallError(f"--map {text}: write OURS=THEIRS, separated by commas, as in views=view_count")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def _show(dataset: Dataset) -> None:
    meta = dataset.meta
    rows, split = meta["rows"], meta["split"]
    posts = [("read", f"{rows['read']:,}")]
    posts += [(f"left out: {reason}", f"{num:,}") for reason, num in rows["left_out"].items()]
    posts += [("kept", f"{rows['kept']:,}")]
    posts += [(f"without {column}", f"{num:,}") for column, num in meta["missing"].items() if num]
    posts += [(f"image: {reason}", f"{num:,}") for reason, num in meta["image_problems"].items()]
    print_table(f"Posts of {meta['source']}", ("", "posts"), posts)
    print_line("columns: " + ", ".join(f"{ours} ← {theirs}" for ours, theirs in meta["columns"].items()))
    parts = [(part, f"{num:,}") for part, num in split["rows"].items()]
    if split["unused"]:
        parts.append(("unused (later copies, no date)", f"{split['unused']:,}"))
    print_table(f"Split: {split['method']}", ("", "posts"), parts)
    if split["groups_of_duplicates"]:
        print_line(
            f"{split['rows_in_groups']:,} posts share an image or a title with another "
            f"({split['groups_of_duplicates']:,} groups); no group stands in two parts"
        )
    shares = [
        (name, *(f"{share:.1%}" for share in target["class_shares"]), f"{target['num_rows']:,}")
        for name, target in meta["targets"].items()
    ]
    print_table("Targets and the shares of their classes", ("", *CLASS_NAMES, "fitted on"), shares)
    for name, target in meta["targets"].items():
        print_line(f"{name} = {target['formula_text']}")
    for name, reason in meta["targets_unavailable"].items():
        print_line(f"no target {name}: {reason}")
    for warning in meta["warnings"]:
        print_line(f"warning: {warning}")
