"""Times within a video, as people write them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """Return 0:12 or 1:02:03, of a video's seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fine_clock(seconds: float) -> str:
    """Return 0m12.3s or 1h02m03.4s: also a part of a file's name."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest / 10:04.1f}s" if hours else f"{minutes}m{rest / 10:04.1f}s"
