"""engage frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import parse_pairs
from engage_cli.cli.places import FinishedRun, Output
from engage_cli.cli.render.output import print_json
from engage_cli.config.settings import setting

POST = "The post"


@dataclass(frozen=True, kw_only=True)
class FramesOptions:
    """A video, how many frames of it to find, and the post that it is for."""

    video: Path = setting(..., "The video: MP4, MOV, WebM, MKV, AVI and others.", argument="VIDEO")
    count: int = setting(12, "The most frames to offer.", low=1, high=24)
    out: Path | None = setting(
        None,
        "The folder to write frames and contact sheet into. Default: one named after the video, as holiday-frames.",
        show_default=False,
    )
    overwrite: bool = setting(False, "Replace the frames of an earlier call.", flags=("--overwrite",))
    unranked: bool = setting(False, "Use no run: rank frames by light, focus and detail alone.", flags=("--unranked",))
    title: list[str] | None = setting(None, "The title. Give several to rank every title with every frame.", panel=POST)
    tags: str = setting("", "Tags or category, written as in the training posts.", panel=POST, show_default=False)
    description: str = setting("", "The description.", panel=POST, show_default=False)
    posted_at: str = setting("", "Publication time in UTC, for example 2026-11-24T18:30.", panel=POST, show_default=False)
    after: str = setting(
        "", "Predict the counters this long after publication, for example 30d or 12h.", panel=POST, show_default=False
    )
    columns: list[str] | None = setting(
        None,
        "Value of a further column that the run was trained on. May be given several times.",
        flags=("--column",),
        metavar="NAME=VALUE",
        panel=POST,
    )


@generated()
def frames(options: FramesOptions, place: FinishedRun, output: Output) -> None:
    """Find the frames of a video that could be its cover, and rank them with your titles.

    engage frames holiday.mp4 --title "I built a house in a day" --title "A house in a day"

    engage frames holiday.mp4 --unranked --out stills
    """
    from engage_cli.cli.render.frames import show_frames
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.frames import choose_frames
    from engage_cli.steps.predict import Details

    chosen = choose_frames(
        options.video,
        titles=options.title or [],
        details=Details(
            tags=options.tags,
            description=options.description,
            posted_at=options.posted_at,
            after=options.after,
            columns=parse_pairs(options.columns or [], "--column duration=30"),
        ),
        count=options.count,
        out=options.out,
        overwrite=options.overwrite,
        unranked=options.unranked,
        run=place.run,
        runs_dir=place.runs,
        reporter=make_reporter(),
    )
    if output.json:
        print_json(chosen.to_json())
    else:
        show_frames(chosen)
