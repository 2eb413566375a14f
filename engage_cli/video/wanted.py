"""What is asked of a video, and what is found: the words between the process that decodes it and the one that asks."""

from __future__ import annotations

from dataclasses import dataclass

MOST_FRAMES = 24
MOST_PIXELS = 36_000_000  # of a frame: 8192 x 4320 is less


class VideoError(Exception):
    """Why a file gives no frames, in a few words that follow its name."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Frames of one video."""

    count: int = 12  # at most
    longest_side: int | None = None  # pixels to which a frame is scaled down; None leaves its size
    seconds: float = 90.0  # to look through it; what is not seen by then is left out
    faces: bool = True  # whether faces are looked for, where the extra for them is installed


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame that could be a cover."""

    seconds: float  # from the beginning
    quality: float  # 0 to 1: light, contrast, sharpness, little noise
    face: float | None  # share of the frame that its largest face with both eyes takes, 0 for none; None: not looked for
    jpeg: bytes


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of a video once it was looked through."""

    frames: tuple[Frame, ...]  # the best first
    seconds: float  # how long what was seen of it lasts
    seen: int  # frames that were decoded and measured
    notes: tuple[str, ...] = ()  # sentences
