"""engage frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engage_cli.cli.generate import generated
from engage_cli.cli.pairs import details_of
from engage_cli.cli.places import FinishedRun, Output
from engage_cli.cli.render.output import print_json
from engage_cli.config.details import DetailOptions
from engage_cli.config.settings import setting


@dataclass(frozen=True, kw_only=True)
class FramesOptions:
    """A video, and how many frames of it to find."""

    video: Path = setting(..., "The video: MP4, MOV, WebM, MKV, AVI and others.", argument="VIDEO")
    count: int = setting(12, "The most frames to offer.", low=1, high=24)
    out: Path | None = setting(
        None,
        "The folder to write frames and contact sheet into. Default: one named after the video, as holiday-frames.",
        show_default=False,
    )
    overwrite: bool = setting(False, "Replace the frames of an earlier call.", flags=("--overwrite",))
    unranked: bool = setting(False, "Use no run: rank frames by light, focus and detail alone.", flags=("--unranked",))


@generated()
def frames(options: FramesOptions, post: DetailOptions, place: FinishedRun, output: Output) -> None:
    """Find the frames of a video that could be its cover, and rank them with your titles.

    engage frames holiday.mp4 --title "I built a house in a day" --title "A house in a day"

    engage frames holiday.mp4 --unranked --out stills
    """
    from engage_cli.cli.render.frames import show_frames
    from engage_cli.progress.reporters import make_reporter
    from engage_cli.steps.frames import choose_frames

    chosen = choose_frames(
        options.video,
        titles=post.title or [],
        details=details_of(post),
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
