"""engage predict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import details_of, parse_pairs
from engage_cli.cli.places import FinishedRun, LedgerPlace, Output
from engage_cli.cli.render.output import print_json
from engage_cli.config.details import DetailOptions
from engage_cli.config.general import EngineConfig
from engage_cli.config.settings import setting
from engage_cli.errors import WrongCallError

MANY, WHY = "Many posts", "Why"


@dataclass(frozen=True, kw_only=True)
class PostOptions(DetailOptions):
    """One post, or the variants of one."""

    images: list[Path] | None = setting(
        None,
        "Cover images (JPEG, PNG, WebP or GIF); - reads one from stdin. Give only --title if the run was trained without "
        "covers.",
        argument="[IMAGE]...",
    )
    explain: bool = setting(
        False, "Also explain what the prediction is based on (one post only).", flags=("--explain",), panel=WHY
    )
    overlay: Path | None = setting(
        None,
        "With --explain: draw the important regions on the cover, and write it to this PNG.",
        panel=WHY,
        show_default=False,
    )

    @property
    def given(self) -> dict[str, object]:
        return {**super().given, "--explain": self.explain, "--overlay": self.overlay, "an image": self.images}


@dataclass(frozen=True, kw_only=True)
class ManyOptions:
    """Many posts: a table, or lines on stdin."""

    table: Path | None = setting(
        None,
        "Predict every row of a .csv, .tsv, .jsonl or .parquet. Of the options of a post, --after works with it.",
        panel=MANY,
        show_default=False,
    )
    images_dir: Path | None = setting(None, "With --table: the folder of its images.", panel=MANY, show_default=False)
    mapping: list[str] | None = setting(
        None, "With --table: column mapping, for example title=headline,image=file.", flags=("--map",), panel=MANY
    )
    out: Path | None = setting(
        None, "With --table: the .csv, .xlsx, .parquet or .jsonl file to write.", panel=MANY, show_default=False
    )
    serve_stdin: bool = setting(
        False,
        "Keep the model loaded and answer each JSON line on stdin with one JSON line.",
        flags=("--serve-stdin",),
        panel=MANY,
    )

    @property
    def of_table(self) -> dict[str, object]:
        return {"--images-dir": self.images_dir, "--map": self.mapping, "--out": self.out}


@dataclass(frozen=True, kw_only=True)
class LogOptions(LedgerPlace):
    log: bool = setting(False, "Also log the prediction, for `engage score` to compare with the outcome.", flags=("--log",))
    post_id: str = setting("", "With --log: the id that the post will have in later counts.", show_default=False)


@dataclass(frozen=True, kw_only=True)
class SchemaOption:
    json_schema: bool = setting(False, "Print the JSON schema of the --json output and exit.", flags=("--json-schema",))


@generated()
def predict(
    post: PostOptions,
    place: FinishedRun,
    output: Output,
    schema: SchemaOption,
    many: ManyOptions,
    logging: LogOptions,
    how: EngineConfig,
) -> None:
    """Predict how much engagement a post will get, before it is published.

    engage predict cover.jpg --title "I built a house in a day" --tags DIY

    engage predict a.jpg b.jpg --title "I built a house" --title "A house in a day"

    engage predict cover.jpg --title "I built a house in a day" --explain --overlay why.png

    engage predict --table posts.csv --images-dir covers --out predictions.csv

    engage predict --table posts.csv --images-dir covers --out predictions.csv --engine ray --workers 4
    """
    if schema.json_schema:
        from importlib.resources import files

        print(files("engage_cli").joinpath("schemas/predict.json").read_text(encoding="utf-8"), end="")
        return
    _check_ways(post, many)
    if logging.log and (many.table is not None or many.serve_stdin):
        raise WrongCallError("--log goes with images or titles; --table and --serve-stdin are not logged")
    if logging.post_id and not logging.log:
        raise WrongCallError("--post-id needs --log; give both")
    if many.table is None and how != EngineConfig():
        raise WrongCallError("--engine and --workers go with --table, whose parts workers predict")
    if many.table is not None:
        _predict_table(many.table, many, place, how, after=post.after, json=output.json)
    elif many.serve_stdin:
        _serve_stdin(place)
    else:
        _predict(post, place, logging, json=output.json)


def _check_ways(post: PostOptions, many: ManyOptions) -> None:
    """Raise WrongCallError for options of two ways to give posts."""
    if many.table is not None and many.serve_stdin:
        raise WrongCallError("--table and --serve-stdin exclude each other; give one")
    for way, is_given, others in (
        ("--table", many.table is not None, {name: value for name, value in post.given.items() if name != "--after"}),
        ("--serve-stdin", many.serve_stdin, {**post.given, **many.of_table}),
        ("images", many.table is None and not many.serve_stdin, many.of_table),
    ):
        if is_given and (wrong := [name for name, value in others.items() if value]):
            raise WrongCallError(
                f"{wrong[0]} goes with --table" if way == "images" else f"{way} and {wrong[0]} do not go together"
            )


def _predict(post: PostOptions, place: FinishedRun, logging: LogOptions, *, json: bool) -> None:
    import sys

    images, titles = post.images or [], post.title or []
    if not images and not any(titles):
        raise WrongCallError("name an image or several, - to read one from stdin, or --table for many posts")
    from engage_cli.cli.render.predict import show_answer
    from engage_cli.images.decode import MOST_BYTES
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict import predict as run_step
    from engage_cli.steps.predict.image_file import STDIN

    answer = run_step(
        images,
        titles=titles,
        details=details_of(post),
        explain=post.explain,
        overlay=post.overlay,
        stdin=sys.stdin.buffer.read(MOST_BYTES + 1) if STDIN in map(str, images) else None,
        run=place.run,
        runs_dir=place.runs,
        reporter=make_reporter(),
    )
    if logging.log:
        from engage_cli.steps.ledger.log import log_answer

        ledger = logging.of(place.runs)
        added = log_answer(answer, ledger, post=logging.post_id)
        print(f"{added} new in {ledger}", file=sys.stderr)
    if json:
        print_json(answer.to_json())
    else:
        show_answer(answer)


def _predict_table(
    table: Path, many: ManyOptions, place: FinishedRun, how: EngineConfig, *, after: str, json: bool
) -> None:
    import dataclasses

    from engage_cli.cli.render.predict import show_table
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict.table import predict_table

    if many.out is None:
        raise WrongCallError("--table needs --out, the .csv, .xlsx, .parquet or .jsonl file to write")
    pairs = [pair for text in many.mapping or [] for pair in text.split(",")]
    summary = predict_table(
        table,
        out=many.out,
        images_dir=many.images_dir,
        mapping=parse_pairs(pairs, "--map title=headline,image=file"),
        after=after,
        how=how,
        run=place.run,
        runs_dir=place.runs,
        reporter=make_reporter(),
    )
    if json:
        print_json(dataclasses.asdict(summary))
    else:
        show_table(summary)


def _serve_stdin(place: FinishedRun) -> None:
    import sys

    from engage_cli.cli.render.output import print_json_line
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.predict.lines import answer_lines, read_lines

    lines = read_lines(sys.stdin.buffer)
    for answer in answer_lines(lines, run=place.run, runs_dir=place.runs, reporter=make_reporter()):
        print_json_line(answer)
