"""A video that a client sends, and the frames of it that could be covers. One at a time: it takes the cores.

Its bytes go into a temporary file without a name, and a process of its own decodes that: what hangs or crashes is that one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request

from engage_cli.steps.serve._admission import Body, TooSlowError
from engage_cli.steps.serve._limits import MIB, Limits
from engage_cli.steps.serve._uploads import CLIENT_GONE, RefusedError
from engage_cli.video.clock import fine_clock
from engage_cli.video.extract import MISSING, QUIET, found_in, worker_command
from engage_cli.video.wanted import Found, VideoError, Wanted

BUSY = "another video is being looked through; try again"
RETRY_AFTER = 10  # seconds


class VideoDesk:
    """Where one video at a time is taken and looked through."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.is_taken = False
        self.can_decode = importlib.util.find_spec("av") is not None

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold the place; raise RefusedError where it is taken, or videos cannot be read here at all."""
        if not self.can_decode:
            raise RefusedError(422, MISSING)
        if self.is_taken:
            raise RefusedError(429, BUSY)
        self.is_taken = True
        try:
            yield
        finally:
            self.is_taken = False

    async def receive(self, request: Request, body: Body, file: BinaryIO) -> None:
        """Write a request's body into a file; raise RefusedError for one that is too large or too slow."""
        most, total = self.limits.video_bytes, 0
        try:
            with body.arriving():
                async for chunk in request.stream():
                    total += len(chunk)
                    if total > most:
                        raise RefusedError(
                            413, f"the video is larger than {most // MIB} MiB; run `engage frames` on it in a terminal"
                        )
                    body.keep_pace(len(chunk))
                    file.write(chunk)
        except TooSlowError:
            raise RefusedError(408, "the video came too slowly; run `engage frames` on it in a terminal") from None
        except ClientDisconnect:
            raise RefusedError(400, CLIENT_GONE) from None
        file.flush()

    async def look(self, file: BinaryIO) -> tuple[int, bytes]:
        """Return a status and a JSON body; the process that decodes ends with the call, however that ends."""
        limits = self.limits
        wanted = Wanted(count=limits.frames, longest_side=limits.frame_side, seconds=limits.video_seconds / 3)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(
            *worker_command(wanted), stdin=file, stdout=PIPE, env={**os.environ, **QUIET}, start_new_session=True
        )
        try:
            written, _ = await asyncio.wait_for(process.communicate(), limits.video_seconds)
        except asyncio.TimeoutError:
            raise RefusedError(
                422, f"looking through the video took more than {limits.video_seconds:g} s; cut it"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            found = await asyncio.to_thread(found_in, written.splitlines())
        except VideoError as problem:
            raise RefusedError(422, f"the video: {problem}") from None
        return 200, _to_json(found)


def temporary_file() -> BinaryIO:
    """Return a file without a name, which is gone when it is closed."""
    return tempfile.TemporaryFile(buffering=0)


def _to_json(found: Found) -> bytes:
    frames = [
        {
            "name": f"{fine_clock(frame.seconds)}.jpg",
            "seconds": frame.seconds,
            "quality": frame.quality,
            "face": frame.face,
            "jpeg": base64.b64encode(frame.jpeg).decode(),
        }
        for frame in found.frames
    ]
    return json.dumps({"seconds": found.seconds, "notes": list(found.notes), "frames": frames}).encode()
