"""engage quickstart."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import parse_pairs
from engage_cli.cli.places import Output
from engage_cli.cli.render.next_step import predict_own
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.cli.serve import DEFAULT_PORT
from engage_cli.config.settings import setting

DEFAULT_FOLDER = Path("engage-quickstart")


@dataclass(frozen=True, kw_only=True)
class QuickstartOptions:
    source: Path = setting(..., "A table or folder of posts, as `engage prepare` reads it.", argument="SOURCE")
    images_dir: Path | None = setting(None, "Where the images of a table are: a folder, a .tar.gz or a .zip.")
    mapping: str = setting(
        "", "Column mapping, for example views=view_count,likes=likeCount.", flags=("--map",), show_default=False
    )
    target: str = setting(
        "auto",
        "What to predict; auto is views if the posts have them, else likes.",
        table="engage_cli.data.target_names:TARGETS",
        more_names=("auto",),
    )
    folder: Path = setting(DEFAULT_FOLDER, "Where the data and the run are written. The same command continues there.")
    serve: bool = setting(True, "Open the page when all is done, or end with the report.", flags=("--serve/--no-serve",))
    port: int = setting(DEFAULT_PORT, "The port of the page; 0 for any free one.", low=0, high=65535)


@generated()
def quickstart(options: QuickstartOptions, output: Output) -> None:
    """Go from your posts to a report and a page in one command: prepare, embed, train, evaluate, serve.

    engage quickstart posts.csv --images-dir images

    engage quickstart posts.csv --map views=plays --no-serve
    """
    from engage_cli.cli.render.evaluate import show_verdict
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.quickstart import command
    from engage_cli.steps.quickstart import quickstart as run_step

    def tell(words: str) -> None:
        print(f"\n$ {words}", file=sys.stderr, flush=True)

    reporter = make_reporter()
    started = run_step(
        options.source,
        folder=options.folder,
        images=options.images_dir,
        mapping=parse_pairs(filter(None, options.mapping.split(",")), "--map views=view_count,likes=likeCount"),
        target=options.target,
        tell=tell,
        reporter=reporter,
    )
    serve = command("serve", "--run", started.run.folder)
    if output.json:
        print_json({"data": str(started.dataset.folder), "run": str(started.run.folder), "report": str(started.report)})
        return
    show_verdict(started.evaluation)
    print_line(f"\nReport: {started.report}")
    print_line(predict_own(started.run.folder, has_covers=started.has_images))
    if not options.serve:
        print_line(f"Or open the page: {serve}")
        return
    tell(serve)
    _serve(started.run.folder, options)


def _serve(run: Path, options: QuickstartOptions) -> None:
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.serve.server import serve

    serve(
        run=run,
        runs_dir=run.parent,
        host="127.0.0.1",
        port=options.port,
        token="",
        reporter=make_reporter(),
        ready=lambda address: print(address, flush=True),
    )
