"""The process that decodes one video: the file is its stdin, what it finds out goes to stdout as lines of JSON.

A decoder is C code that reads a stranger's file. Here it may crash, hang or ask for all memory, and whoever started this
process loses nothing by it.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
import threading
import time

MOST_MEMORY = 6 << 30  # bytes of addresses, those of libraries and threads among them
SECONDS_BETWEEN_LINES = 0.2
SECONDS_BETWEEN_LOOKS = 0.5


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this process, which ends it
    _end_with_parent(os.getppid())
    _bound_memory()
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer
    from engage_cli.video._look import look_through
    from engage_cli.video._source import VideoFile
    from engage_cli.video.wanted import VideoError, Wanted

    def send(**message: object) -> None:
        lines.write(json.dumps(message) + "\n")
        lines.flush()

    last = ("", 0.0)

    def tell(title: str, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if title != last[0] or now - last[1] >= SECONDS_BETWEEN_LINES:
            last = (title, now)
            send(title=title, share=share)

    try:
        with os.fdopen(0, "rb", buffering=0, closefd=False) as file:
            found = look_through(VideoFile(file), Wanted(**json.loads(sys.argv[1])), tell)
    except VideoError as problem:
        send(problem=str(problem))
        return
    except MemoryError:
        send(problem=f"decoding it takes more than {MOST_MEMORY >> 30} GiB of memory; convert it to H.264 of fewer pixels")
        return
    for frame in found.frames:
        jpeg = base64.b64encode(frame.jpeg).decode()
        send(frame={"seconds": frame.seconds, "quality": frame.quality, "face": frame.face, "jpeg": jpeg})
    send(found={"seconds": found.seconds, "seen": found.seen, "notes": found.notes})


def _bound_memory() -> None:
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    bound = MOST_MEMORY if most == resource.RLIM_INFINITY else min(most, MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (bound, most))


def _end_with_parent(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
