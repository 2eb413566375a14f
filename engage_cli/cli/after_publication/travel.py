"""engage export and engage import."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.places import Output, RunsPlace
from engage_cli.cli.render.output import print_json, print_line
from engage_cli.config.settings import setting


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    run: Path = setting(..., "The finished run.", argument="RUN")
    out: Path = setting(Path("run.engage"), "The archive to write.")
    with_posts: bool = setting(
        False,
        "Also pack ids, titles and image names of the training posts, so that --explain can show similar posts.",
        flags=("--with-posts",),
    )


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    archive: Path = setting(..., "An archive that `engage export` wrote.", argument="ARCHIVE")
    run: Path | None = setting(
        None, "The new run folder. Default: one under --runs, named like the archive.", show_default=False
    )


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    run: Path = setting(..., "The finished run.", argument="RUN")
    repo: str = setting(
        ..., "The repository on the hub, owner/name; engage creates it if it does not exist.", argument="REPO"
    )
    public: bool = setting(False, "Make a new repository public; otherwise it is private.", flags=("--public",))
    with_posts: bool = setting(
        False,
        "Also upload ids, titles and image names of the training posts, so that --explain can show similar posts.",
        flags=("--with-posts",),
    )


@generated()
def export_run(options: ExportOptions, output: Output) -> None:
    """Pack a finished run into one archive for a colleague, without paths and without posts.

    engage export runs/ensemble-views-1 --out run.engage
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.travel.export import export_run as run_step

    run = run_step(options.run, options.out, with_posts=options.with_posts, reporter=make_reporter())
    size = options.out.stat().st_size
    if output.json:
        print_json({"run": str(run.folder), "out": str(options.out), "bytes": size, "with_posts": options.with_posts})
    else:
        print_line(f"{options.out}: {size:,} bytes")
        print_line(f"Next, on the other machine: engage import {shlex.quote(options.out.name)}")


@generated()
def import_run(options: ImportOptions, place: RunsPlace, output: Output) -> None:
    """Unpack an archive of a run into a new folder, verify every file, and show what the run was trained on.

    engage import run.engage --run runs/colleague
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.runs.travel_format import describe_run
    from engage_cli.steps.travel.import_run import import_run as run_step

    folder = options.run if options.run is not None else place.runs / options.archive.stem
    run = run_step(options.archive, folder, reporter=make_reporter())
    if output.json:
        print_json({"run": str(run.folder), "about": describe_run(run), "marks": list(run.marks)})
    else:
        for line in (f"{run.folder}", *describe_run(run)):
            print_line(line)


@generated()
def push(options: PushOptions, output: Output) -> None:
    """Upload a finished run to the Hugging Face hub: its archive and its model card, in a private repository.

    engage push runs/ensemble-views-1 me/views

    engage predict cover.jpg --title "I built a house" --run hf://me/views
    """
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.travel.hub import push_run

    address = push_run(
        options.run, options.repo, public=options.public, with_posts=options.with_posts, reporter=make_reporter()
    )
    if output.json:
        print_json({"run": str(options.run), "repo": options.repo, "commit": address})
    else:
        print_line(address)
        print_line(f"Next, on any machine that may read it: engage predict cover.jpg --run hf://{options.repo}")
