"""How long looking through an hour of video takes: python benchmarks/frames.py [--work DIR]."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from engage_cli.progress.reporters import make_reporter
from engage_cli.steps.frames import read_frames
from engage_cli.video.wanted import Wanted

WIDTH, HEIGHT, RATE = 1280, 720, 25
SCENES, EACH, TIMES = 75, 200, 6  # scenes, frames of a scene, how often all of it comes
PAN = 2  # pixels that the picture moves in a frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("frames-benchmark"))
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    hour = work / "hour.mp4"
    if not hour.exists():
        draw(work / "part.mp4")
        repeat(work / "part.mp4", hour)
    started = time.perf_counter()
    found = read_frames(hour, Wanted(), make_reporter())
    print(
        f"{found.seconds:,.0f} s of video in {time.perf_counter() - started:.1f} s; "
        f"{found.seen:,} frames measured, {len(found.frames)} chosen"
    )


def draw(path: Path) -> None:
    """Draw pictures that move, two of three out of focus."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for scene in range(SCENES):
            pixels = np.asarray(picture(scene))
            for number in range(EACH):
                part = np.ascontiguousarray(pixels[:, PAN * number : PAN * number + WIDTH])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        container.mux(stream.encode())


def picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    width = WIDTH + PAN * EACH
    image = Image.new("RGB", (width, HEIGHT), (200, 190, 170))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, size = rng.integers(0, width), rng.integers(0, HEIGHT), rng.integers(40, 250)
        shape = pen.rectangle if rng.random() < 0.5 else pen.ellipse
        shape((x, y, x + size, y + size), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    return image.filter(ImageFilter.GaussianBlur(3)) if seed % 3 else image


def repeat(part: Path, path: Path) -> None:
    """Put a video several times behind itself, without coding it anew."""
    with av.open(str(path), "w") as target:
        stream, shift = None, 0
        for _ in range(TIMES):
            with av.open(str(part)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                end = shift
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                        end = max(end, packet.pts + packet.duration)
                        target.mux(packet)
                shift = end


if __name__ == "__main__":
    main()
