"""Frames of a video, decoded by a process of its own that may take only so long."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from engage_cli.errors import EngageError
from engage_cli.progress.reporters import Reporter, Stage
from engage_cli.video.wanted import Found, Frame, VideoError, Wanted

WORKER = "engage_cli.video.worker"
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # its work is the decoder's, which has threads of its own
LONGEST_SILENCE = 60.0  # seconds
HUNG = "decoding it hangs; convert it to H.264 in an MP4"
CRASHED = "the decoder crashes on it, or memory ran out; convert it to H.264 in an MP4"
PERCENT = 100
READ_AT_ONCE = 1 << 16
MISSING = "reading videos needs PyAV: install engage with its extra 'frames', as pip install 'engage-cli[frames]'"


def require_decoder() -> None:
    """Raise EngageError where what decodes videos is not installed."""
    if importlib.util.find_spec("av") is None:
        raise EngageError(MISSING)


def worker_command(wanted: Wanted) -> list[str]:
    """Return the command of the process that decodes what is its stdin."""
    return [sys.executable, "-m", WORKER, json.dumps(dataclasses.asdict(wanted))]


def found_in(lines: Iterable[bytes]) -> Found:
    """Return what the process found, by all it wrote; raise VideoError where it found nothing or did not end well."""
    frames: list[Frame] = []
    try:
        messages = [json.loads(line) for line in lines]
    except ValueError:
        raise VideoError(CRASHED) from None
    for message in messages:
        if "problem" in message:
            raise VideoError(message["problem"])
        if "frame" in message:
            frames.append(_frame(message["frame"]))
        if "found" in message:
            about = message["found"]
            return Found(frames=tuple(frames), seconds=about["seconds"], seen=about["seen"], notes=tuple(about["notes"]))
    raise VideoError(CRASHED)


def _frame(given: Mapping[str, Any]) -> Frame:
    return Frame(**{**given, "jpeg": base64.b64decode(given["jpeg"])})


def extract(video: BinaryIO, wanted: Wanted, reporter: Reporter) -> Found:
    """Return the frames of a video that could be its cover; raise VideoError where it gives none.

    `video` is a plain file that is open, at any place. Its process is ended with the call, however that ends.
    """
    require_decoder()
    os.lseek(video.fileno(), 0, os.SEEK_SET)
    process = subprocess.Popen(
        worker_command(wanted), stdin=video, stdout=subprocess.PIPE, env={**os.environ, **QUIET}, start_new_session=True
    )
    assert process.stdout is not None
    try:
        with contextlib.ExitStack() as stack:
            lines = list(_told(_lines(process.stdout), reporter, stack))
        process.wait(LONGEST_SILENCE)
    except subprocess.TimeoutExpired:
        raise VideoError(HUNG) from None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return found_in(lines)


def _lines(stream: Any) -> Iterator[bytes]:
    """Yield lines; raise VideoError where none comes for long."""
    rest = b""
    while True:
        if not select.select([stream], [], [], LONGEST_SILENCE)[0]:
            raise VideoError(HUNG)
        data = os.read(stream.fileno(), READ_AT_ONCE)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def _told(lines: Iterable[bytes], reporter: Reporter, stack: contextlib.ExitStack) -> Iterator[bytes]:
    """Yield lines, and show those that tell how far the process is."""
    stage: Stage | None = None
    title, done = "", 0
    for line in lines:
        if line.startswith(b'{"title"'):
            message = json.loads(line)
            if message["title"] != title:
                stack.close()
                title, done = message["title"], 0
                stage = stack.enter_context(reporter.stage(title, PERCENT))
            percent = int(PERCENT * message["share"])
            if stage is not None and percent > done:
                stage.advance(percent - done)
                done = percent
        else:
            yield line
