"""engage predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engage_cli.cli.options import DEFAULT_RUNS, JsonOpt, RunsOpt, parse_pairs
from engage_cli.cli.render.output import print_json
from engage_cli.errors import WrongCallError

MANY, WHY = "Many posts", "Why"


def predict(
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[IMAGE]...",
            help="Covers: JPEG, PNG, WebP or GIF; - reads one from stdin. None, with --title, of a run without covers.",
            show_default=False,
        ),
    ] = None,
    title: Annotated[
        list[str] | None, typer.Option("--title", help="The title; several to compare them, each with each image.")
    ] = None,
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
    run: Annotated[Path | None, typer.Option("--run", help="The run to ask. Without: the newest finished one.")] = None,
    runs: RunsOpt = DEFAULT_RUNS,
    json: JsonOpt = False,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="Print the JSON schema of what --json prints, and do nothing else.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Also say what the prediction of one post rests on.", rich_help_panel=WHY),
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay", help="Of --explain: write the cover with what carries it as this PNG.", rich_help_panel=WHY
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", help="Predict every row of a .csv, .tsv, .jsonl or .parquet.", rich_help_panel=MANY),
    ] = None,
    images_dir: Annotated[
        Path | None, typer.Option("--images-dir", help="Of --table: where its images lie.", rich_help_panel=MANY)
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help="Of --table: its columns, as in title=headline,image=file.", rich_help_panel=MANY),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Of --table: the .csv, .xlsx, .parquet or .jsonl that is written.", rich_help_panel=MANY
        ),
    ] = None,
    serve_stdin: Annotated[
        bool,
        typer.Option(
            "--serve-stdin", help="Stay loaded: answer one JSON line for each JSON line on stdin.", rich_help_panel=MANY
        ),
    ] = False,
) -> None:
    """Say how much engagement a post will get, before it is published.

    engage predict cover.jpg --title "I built a house in a day" --tags DIY

    engage predict a.jpg b.jpg --title "I built a house" --title "A house in a day"

    engage predict cover.jpg --title "I built a house in a day" --explain --overlay why.png

    engage predict --table posts.csv --images-dir covers --out predictions.csv
    """
    if json_schema:
        from importlib.resources import files

        print(files("engage_cli").joinpath("schemas/predict.json").read_text(encoding="utf-8"), end="")
        return
    one = {
        "--title": title, "--tags": tags, "--description": description, "--posted-at": posted_at, "--with": columns,
        "--explain": explain, "--overlay": overlay, "an image": images,
    }  # fmt: skip
    many = {"--images-dir": images_dir, "--map": mapping, "--out": out}
    if table is not None and serve_stdin:
        raise WrongCallError("--table and --serve-stdin are two ways to give posts; give one")
    for way, is_given, others in (
        ("--table", table is not None, one),
        ("--serve-stdin", serve_stdin, {**one, **many}),
        ("images", table is None and not serve_stdin, many),
    ):
        if is_given and (wrong := [name for name, value in others.items() if value]):
            raise WrongCallError(
                f"{wrong[0]} goes with --table" if way == "images" else f"{way} and {wrong[0]} do not go together"
            )
    if table is not None:
        _predict_table(table, images_dir, mapping or [], out, run, runs, json=json)
    elif serve_stdin:
        _serve_stdin(run, runs)
    else:
        _predict(images or [], title or [], tags, description, posted_at, columns or [], explain, overlay, run, runs, json)


def _predict(
    images: list[Path],
    titles: list[str],
    tags: str,
    description: str,
    posted_at: str,
    columns: list[str],
    explain: bool,
    overlay: Path | None,
    run: Path | None,
    runs: Path,
    json: bool,
) -> None:
    import sys

    if not images and not any(titles):
        raise WrongCallError("name an image, several, or - for one on stdin; or give --table, for many posts")
    from engage_cli.cli.render.predict import show_answer
    from engage_cli.images.decode import MOST_BYTES
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict import STDIN
    from engage_cli.steps.predict import predict as run_step

    answer = run_step(
        images,
        titles=titles,
        tags=tags,
        description=description,
        posted_at=posted_at,
        columns=parse_pairs(columns, "--with duration=30"),
        explain=explain,
        overlay=overlay,
        stdin=sys.stdin.buffer.read(MOST_BYTES + 1) if STDIN in map(str, images) else None,
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    if json:
        print_json(answer.to_json())
    else:
        show_answer(answer)


def _predict_table(
    table: Path, images_dir: Path | None, mapping: list[str], out: Path | None, run: Path | None, runs: Path, *, json: bool
) -> None:
    import dataclasses

    from engage_cli.cli.render.predict import show_table
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict.table import predict_table

    if out is None:
        raise WrongCallError("--table needs --out, the .csv, .xlsx, .parquet or .jsonl that is written")
    pairs = [pair for text in mapping for pair in text.split(",")]
    summary = predict_table(
        table,
        out=out,
        images_dir=images_dir,
        mapping=parse_pairs(pairs, "--map title=headline,image=file"),
        run=run,
        runs_dir=runs,
        reporter=make_reporter(),
    )
    if json:
        print_json(dataclasses.asdict(summary))
    else:
        show_table(summary)


def _serve_stdin(run: Path | None, runs: Path) -> None:
    import sys

    from engage_cli.cli.render.output import print_json_line
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict.lines import answer_lines, read_lines

    for answer in answer_lines(read_lines(sys.stdin.buffer), run=run, runs_dir=runs, reporter=make_reporter()):
        print_json_line(answer)
