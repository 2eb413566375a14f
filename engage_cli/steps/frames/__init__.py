"""Frames of a video that could be its cover, ranked with the titles by a run, and written into a folder."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engage_cli.config.general import CLASS_NAMES, MOST_VARIANTS
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.plain_files import NoPlainFileError, open_plain
from engage_cli.io.strict_json import strict
from engage_cli.io.written_numbers import short_number
from engage_cli.progress.reporters import Reporter, SilentReporter
from engage_cli.steps.frames._folder import FINISHED, check_room, write_all
from engage_cli.steps.predict import Answer, Details, answer_of, check_variants, pairs_of
from engage_cli.steps.predict.requests import Reads, has_seen_covers, make_posts, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.travel.hub import find_run
from engage_cli.video.clock import clock, fine_clock
from engage_cli.video.contact_sheet import Cell, draw_sheet
from engage_cli.video.extract import extract, require_decoder
from engage_cli.video.wanted import Found, Frame, VideoError, Wanted

SHEET = "contact-sheet.png"
LARGEST = 1 << 40  # bytes of a video; it is never read into memory
UNRANKED = "to choose frames by how they look alone, give --unranked"


@dataclass(frozen=True, kw_only=True)
class ChosenFrames:
    """What `engage frames` found and wrote."""

    video: Path
    found: Found  # its frames in the order of the ranking, else by quality
    files: tuple[Path, ...]  # of the frames
    sheet: Path
    answer: Answer | None  # None where no run was asked

    @property
    def best(self) -> tuple[float, ...] | None:
        """How probable it is that each frame, with one of the titles, is the best variant; None where nothing is ranked."""
        ranking = self.answer.ranking if self.answer else None
        if self.answer is None or ranking is None:
            return None
        chances = dict.fromkeys(map(str, self.files), 0.0)
        for place, chance in zip(ranking.order, ranking.best, strict=True):
            chances[self.answer.images[place]] += chance
        return tuple(chances.values())

    def to_json(self) -> dict[str, Any]:
        """Every key is there in every answer: what there is not is null."""
        best = self.best or (None,) * len(self.files)
        rows = enumerate(zip(self.found.frames, self.files, best, strict=True), start=1)
        return {
            "video": str(self.video),
            "seconds": self.found.seconds,
            "frames_measured": self.found.seen,
            "contact_sheet": str(self.sheet),
            "notes": list(self.found.notes),
            "frames": [
                {
                    "rank": rank,
                    "file": str(file),
                    "seconds": frame.seconds,
                    "quality": frame.quality,
                    "face": frame.face,
                    "p_best": chance,
                }
                for rank, (frame, file, chance) in rows
            ],
            "answer": None if self.answer is None else self.answer.to_json(),
        }


def choose_frames(
    video: Path,
    *,
    titles: Sequence[str] = (),
    details: Details | None = None,
    count: int = 12,
    out: Path | None = None,
    overwrite: bool = False,
    unranked: bool = False,
    run: Path | None = None,
    runs_dir: Path = Path("runs"),
    reporter: Reporter | None = None,
) -> ChosenFrames:
    """Find frames that could be covers, rank each with each title, and write them with a contact sheet into a folder.

    `count`: at most so many. `unranked`: no run is asked, and they stand in the order of how good they look.
    Raises EngageError where the file gives no frame, and nothing is written then.
    """
    reporter, details = reporter or SilentReporter(), details or Details()
    out = out if out is not None else Path(f"{video.stem}-frames")
    _check(titles, count, unranked=unranked, run=run)
    require_decoder()
    check_room(out, overwrite=overwrite)
    asking = None if unranked else _Asking(run, runs_dir, titles, details, reporter)
    found = read_frames(video, Wanted(count=count), reporter)
    answer = None if asking is None else asking.answer(found.frames)
    if answer is not None and answer.ranking is not None:
        order = list(dict.fromkeys(place // max(1, len(titles)) for place in answer.ranking.order))
        found = dataclasses.replace(found, frames=tuple(found.frames[place] for place in order))
    names = {frame.seconds: f"{rank:02}-{fine_clock(frame.seconds)}.jpg" for rank, frame in enumerate(found.frames, 1)}
    files = tuple(out / name for name in names.values())
    if answer is not None:
        answer = dataclasses.replace(answer, images=tuple(str(out / names[float(at)]) for at in answer.images))
    chosen = ChosenFrames(video=video, found=found, files=files, sheet=out / SHEET, answer=answer)
    about = json.dumps(strict(chosen.to_json()), indent=2, ensure_ascii=False) + "\n"
    frames = {names[frame.seconds]: frame.jpeg for frame in found.frames}
    write_all(out, {**frames, SHEET: _sheet(chosen), FINISHED: about.encode()}, overwrite=overwrite)
    return chosen


def read_frames(video: Path, wanted: Wanted, reporter: Reporter) -> Found:
    """Return the frames of a video file; raise EngageError, a sentence, where it gives none."""
    try:
        file = open_plain(video, LARGEST)
    except NoPlainFileError as problem:
        raise EngageError(f"{video}: {problem}; give a video file") from None
    except OSError as error:
        raise EngageError(f"{video}: {os.strerror(error.errno or 0).lower()}; give a video file") from None
    try:
        with file:
            found = extract(file, wanted, reporter)
    except VideoError as problem:
        raise EngageError(f"{video}: {problem}") from None
    for note in found.notes:
        reporter.say(f"{video}: {note}")
    return found


class _Asking:
    """A run that ranks frames with titles; a wrong question is reported before a video is read."""

    def __init__(
        self, run: Path | None, runs_dir: Path, titles: Sequence[str], details: Details, reporter: Reporter
    ) -> None:
        self.titles, self.details, self.reporter = titles, details, reporter
        try:
            opened = find_run(run, runs_dir, reporter)
        except EngageError as error:
            raise type(error)(f"{error}; {UNRANKED}") from None
        self.reads: Reads = reads_of(opened)
        self._posts(["0"])
        self.session = InferenceSession(opened)
        if not has_seen_covers(opened, self.session.uncertainty.neighbours):
            raise EngageError(f"{opened.folder} was trained without covers, so it ranks no frames; {UNRANKED}")

    def answer(self, frames: Sequence[Frame]) -> Answer:
        self.session.load(self.reporter)
        posts = self._posts([repr(frame.seconds) for frame in frames])
        return answer_of(self.session, posts, [frame.jpeg for frame in frames for _ in self.titles or [""]])

    def _posts(self, names: Sequence[str]) -> pd.DataFrame:
        details = self.details
        return make_posts(
            self.reads,
            pairs_of(names, self.titles),
            tags=details.tags,
            description=details.description,
            posted_at=details.posted_at,
            columns=details.columns,
            reporter=self.reporter,
            after=details.after,
        )


def _check(titles: Sequence[str], count: int, *, unranked: bool, run: Path | None) -> None:
    if unranked and (titles or run is not None):
        raise WrongCallError(f"--unranked uses no run, so {'--title' if titles else '--run'} has no effect; leave one out")
    check_variants(pairs_of(["0"], titles))
    if count * len(titles) > MOST_VARIANTS:
        raise WrongCallError(
            f"{count} frames with {len(titles)} titles are {count * len(titles):,} variants, and at most {MOST_VARIANTS} "
            "are ranked; give fewer titles, or a smaller --count"
        )


def _sheet(chosen: ChosenFrames) -> bytes:
    best = chosen.best or (None,) * len(chosen.files)
    cells = [
        Cell(
            number=rank,
            jpeg=frame.jpeg,
            time=fine_clock(frame.seconds),
            chance="" if chance is None else f"best: {chance:.0%}",
            detail=_detail(chosen.answer, str(file)),
        )
        for rank, (frame, file, chance) in enumerate(zip(chosen.found.frames, chosen.files, best, strict=True), start=1)
    ]
    many = f"{len(cells)} frame{'s' if len(cells) > 1 else ''} of {clock(chosen.found.seconds)}"
    answer = chosen.answer
    if answer is None:
        return draw_sheet(cells, title=f"{chosen.video.name}: {many}", notes=["By light, focus and detail, without a run."])
    notes = [f"Ranked by {answer.run.target.name}, as {answer.run.folder.name} predicts it."]
    if answer.ranking is not None:
        verdict = answer.ranking.verdict
        notes.append(f"{verdict[0].upper()}{verdict[1:]}. best: the probability that a frame is the best of all.")
    return draw_sheet(cells, title=f"{chosen.video.name}: {many}", notes=notes)


def _detail(answer: Answer | None, file: str) -> str:
    """Say what is predicted of a frame with the title that suits it best."""
    if answer is None:
        return ""
    rows = [row for row, image in enumerate(answer.images) if image == file]
    said = answer.forecast
    if said.value is None:
        row = max(rows, key=lambda one: float(said.percentile[one]))
        return f"{CLASS_NAMES[int(said.classes[row])]} {answer.run.target.name}"
    row = max(rows, key=lambda one: float(np.asarray(said.value)[one]))
    if said.count is None:
        return f"{float(said.value[row]):.3g} {answer.run.target.name}"
    return f"about {short_number(round(float(said.count[row])))} {answer.run.target.name}"
