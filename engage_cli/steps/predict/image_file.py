"""One image that a user names: read whole, within limits, and proven to be one."""

from __future__ import annotations

from pathlib import Path

from engage_cli.errors import EngageError
from engage_cli.images.decode import MOST_BYTES, ImageError, decode, read_bytes
from engage_cli.near_names import did_you_mean_path

STDIN = "-"  # in the place of an image
USABLE = "give a JPEG, PNG, WebP or GIF"
WHAT_TO_DO = {"no such file": "check its name, and put a title of several words in quotes"}


def read_image(image: Path, stdin: bytes | None = None) -> bytes:
    """Return an image file that can be shown; raise EngageError for any other. "-" is `stdin`, where that is given."""
    is_stdin = str(image) == STDIN and stdin is not None
    try:
        data = stdin if is_stdin else read_bytes(image)
        if not data:
            raise ImageError("empty")
        if len(data) > MOST_BYTES:
            raise ImageError(f"larger than {MOST_BYTES >> 20} MiB")
        decode(data)
    except ImageError as problem:
        near = "" if is_stdin or str(problem) not in WHAT_TO_DO else did_you_mean_path(image)
        raise EngageError(
            f"{'the image on stdin' if is_stdin else image}: {problem}; {WHAT_TO_DO.get(str(problem), USABLE)}{near}"
        ) from None
    return data
