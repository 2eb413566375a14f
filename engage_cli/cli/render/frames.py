"""What `engage frames` says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engage_cli.cli.render.output import print_line, print_table
from engage_cli.cli.render.predict import show_answer

if TYPE_CHECKING:
    from engage_cli.steps.frames import ChosenFrames


def show_frames(chosen: ChosenFrames) -> None:
    if chosen.answer is not None:
        show_answer(chosen.answer)
    else:
        has_faces = any(frame.face is not None for frame in chosen.found.frames)
        columns = ["", "frame", "quality", *(["face"] if has_faces else [])]
        rows = [
            [f"{rank}", file.name, f"{frame.quality:.2f}", *([_face(frame.face)] if has_faces else [])]
            for rank, (file, frame) in enumerate(zip(chosen.files, chosen.found.frames, strict=True), start=1)
        ]
        print_table(f"{len(rows)} frames by quality", columns, rows)
        print_line("quality: light, contrast, focus and detail, from 0 to 1; it does not predict what an audience likes.")
        if has_faces:
            print_line("face: the share of the frame that its largest face with both eyes takes.")
    print_line(f"frames and contact sheet: {chosen.sheet}")


def _face(share: float | None) -> str:
    return "–" if not share else f"{share:.0%}"
