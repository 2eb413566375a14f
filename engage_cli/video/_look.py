"""Look through a video in three steps: its key frames, then every frame where they are few, then around the best ones.

Key frames are decoded without what lies between them, so that an hour takes seconds. No frame is kept but by a thumbnail;
those that are chosen are decoded again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable

from engage_cli.video._choice import CUT, Samples, choose, difference
from engage_cli.video._faces import FaceFinder
from engage_cli.video._quality import measure
from engage_cli.video._source import DAMAGED, Decoded, VideoFile, luma_of
from engage_cli.video.clock import clock
from engage_cli.video.wanted import Found, Frame, VideoError, Wanted

KEYS_APART = 1.0  # seconds
MOST_MEASURED = 6_000  # frames of a video of which every one is looked at ...
MOST_DECODED = 6_500_000_000  # ... and their pixels: 3,000 frames in Full HD
HEADERS = ("mov", "matroska", "avi")  # formats that say in their header how long they last
TOLERATED = 1.1  # of what such a file lasts, that it may say ...
SLACK = 0.5  # ... and seconds more
BEFORE, AFTER = 0.4, 0.4  # seconds around a frame, where all were looked at
AFTER_KEY = 2.0  # seconds after a key frame, where only those were
FINALISTS = 3  # frames of a scene that are looked at closely; as many are in memory at once
GOOD = 0.8  # of the quality of the frame that was chosen: the least of one that may take its place
FINE_SIDE = 768  # pixels of the longer side, for the sharpness of finalists
FACE_WEIGHS = 0.5  # how much better a frame with a large face and both its eyes counts
LARGE_FACE = 0.05  # of the frame
POOR = 0.15  # quality
JPEG_QUALITY = 92

Tell = Callable[[str, float], None]  # what is done, and which share of that


def look_through(video: VideoFile, wanted: Wanted, tell: Tell) -> Found:
    """Return the frames of a video that could be its cover; raise VideoError where there are none."""
    until = time.monotonic() + wanted.seconds
    samples, whole = _measure(video, KEYS_APART, until, tell)
    sees_all = not samples.pts or (
        whole and video.packets <= MOST_MEASURED and video.packets * video.pixels <= MOST_DECODED
    )
    if sees_all:
        every, whole = _measure(video, None, until, tell)
        every.add_later(samples)
        samples = every
    if not samples.pts and not whole:
        raise VideoError(f"decoding it takes longer than {wanted.seconds:g} s; convert it to H.264 of fewer pixels")
    _check(video, samples, whole)
    rows = choose(samples, wanted.count)
    finder = FaceFinder() if wanted.faces else None
    frames: list[Frame] = []
    for done, row in enumerate(rows):
        tell("looking closely at the best", done / len(rows))
        if time.monotonic() > until + wanted.seconds and frames:
            break
        around = (BEFORE, AFTER) if sees_all else (0.0, AFTER_KEY)
        frames.append(_look_closely(video, samples, row, around, wanted, finder))
    tell("looking closely at the best", 1.0)
    notes = []
    if not whole:
        notes.append(
            f"only the first {clock(video.end)} were looked at: decoding took longer than {wanted.seconds:g} s, "
            "so cut the video, or give one of fewer pixels"
        )
    if max(samples.quality) < POOR:
        notes.append("few frames are sharp and well lit; these are the best ones")
    if finder is not None and finder.problem:
        notes.append(f"engage cannot look for faces in the frames: {finder.problem}")
    frames.sort(key=lambda frame: -_rank(frame.quality, frame.face))
    return Found(frames=tuple(frames), seconds=video.end, seen=len(samples.pts), notes=tuple(notes))


def _measure(video: VideoFile, apart: float | None, until: float, tell: Tell) -> tuple[Samples, bool]:
    """Return what was measured, and whether it was done before time was up."""
    samples = Samples()
    title = "looking at every frame" if apart is None else "looking through the video"
    tell(title, 0.0)
    for frame in video.read(at_least_apart=apart):
        tell(title, video.share)
        if frame is not None:
            small = video.thumbnail(frame)
            samples.add(frame.pts, video.seconds_of(frame), measure(luma_of(small)).quality, video.signature(small))
        if time.monotonic() > until:
            return samples, False
    tell(title, 1.0)
    return samples, True


def _check(video: VideoFile, samples: Samples, whole: bool) -> None:
    """Raise VideoError for a video that is damaged, or shorter than it says."""
    if 2 * video.failed > max(1, video.tried) and video.tried:
        raise VideoError(DAMAGED)
    claimed = video.claimed if video.format.startswith(HEADERS) else None
    if whole and claimed is not None and claimed > TOLERATED * video.end + SLACK:
        raise VideoError(
            f"cut off or damaged: it says that it lasts {clock(claimed)}, and ends after {clock(video.end)}; "
            "give the whole file"
        )
    if not samples.pts:
        raise VideoError(DAMAGED if video.tried else "not a single frame in it; give a video that plays")


def _look_closely(
    video: VideoFile,
    samples: Samples,
    row: int,
    around: tuple[float, float],
    wanted: Wanted,
    finder: FaceFinder | None,
) -> Frame:
    """Return the best frame around one that was measured."""
    finalists = _finalists(video, samples, row, around)
    best: tuple[float, Decoded, float | None] | None = None
    for quality, frame in finalists:
        fine = quality * measure(luma_of(video.thumbnail(frame, FINE_SIDE))).focus
        face = None if finder is None else finder.find(video.image(frame, FINE_SIDE))
        worth = _rank(fine, face)
        if best is None or worth > best[0]:
            best = (worth, frame, face)
    if best is None:
        raise VideoError(DAMAGED)
    _, frame, face = best
    quality = next(quality for quality, one in finalists if one is frame)
    data = io.BytesIO()
    video.image(frame, wanted.longest_side).save(data, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return Frame(seconds=video.seconds_of(frame), quality=quality, face=face, jpeg=data.getvalue())


def _finalists(video: VideoFile, samples: Samples, row: int, around: tuple[float, float]) -> list[tuple[float, Decoded]]:
    """Return the best few frames of the scene around a measured one, each with its quality."""
    before, after = around
    at, seconds, quality, look = samples.pts[row], samples.seconds[row], samples.quality[row], samples.looks[row]
    first = video.pts_at(max(0.0, seconds - before))
    found: list[tuple[float, Decoded]] = []
    for frame in video.read_from(min(first, at)):
        time_of = video.seconds_of(frame)
        if time_of > seconds + after and frame.pts > at:
            break
        if time_of < seconds - before and frame.pts < at:
            continue
        small = video.thumbnail(frame)
        own = measure(luma_of(small)).quality
        is_same = frame.pts == at or difference(look, video.signature(small)[None])[0] < CUT
        if is_same and (own >= GOOD * quality or frame.pts == at):
            found = _best([*found, (own, frame)])
    return found


def _best(found: Iterable[tuple[float, Decoded]]) -> list[tuple[float, Decoded]]:
    return sorted(found, key=lambda one: -one[0])[:FINALISTS]


def _rank(quality: float, face: float | None) -> float:
    return quality * (1 + FACE_WEIGHS * min(1.0, (face or 0.0) / LARGE_FACE))
