"""Drawn videos: good frames, and every kind of file that is none or gives none."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, RATE = 96, 54, 25


def drawn(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A sharp, well-lit image with detail."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (200, 190, 170))
    pen = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, size = int(rng.integers(0, width)), int(rng.integers(0, height)), int(rng.integers(5, width // 5))
        draw = pen.rectangle if rng.random() < 0.5 else pen.ellipse
        draw((x, y, x + size, y + size), fill=tuple(int(value) for value in rng.integers(0, 256, 3)))
    return image


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(image.width / 40))


def dark(image: Image.Image) -> Image.Image:
    return image.point(lambda value: int(value * 0.06))


def noise(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def flat(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    return Image.new("RGB", (width, height), tuple(int(value) for value in np.random.default_rng(seed).integers(0, 256, 3)))


def bad(seed: int) -> Image.Image:
    """One of four ways of being no cover."""
    make: list[Callable[[], Image.Image]] = [
        lambda: blurred(drawn(seed)),
        lambda: dark(drawn(seed)),
        lambda: noise(seed),
        lambda: flat(seed),
    ]
    return make[seed % 4]()


def write_video(
    path: Path,
    frames: Iterable[Image.Image],
    *,
    codec: str = "mpeg4",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction = Fraction(1),
) -> Path:
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=RATE, options={"b": "4000000"} if codec != "mjpeg" else {})
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.sample_aspect_ratio = aspect
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    return path


def write_planted(path: Path, *, num: int = 3000, at: int = 1234, codec: str = "mpeg4") -> Path:
    """Write bad frames and one good one."""
    pool = [bad(seed) for seed in range(64)]
    return write_video(path, (drawn(5) if n == at else pool[n // 3 % 64] for n in range(num)), codec=codec)


def write_scenes(path: Path, *, scenes: int = 3, each: int = 12) -> Path:
    return write_video(path, (drawn(n // each) for n in range(scenes * each)))


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, 1024 * number, Fraction(1, 44100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_no_frame(path: Path) -> Path:
    """A file with a video stream and not a single packet."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()
    return path


def write_liar(path: Path) -> Path:
    """A stream of 8,192 × 8,192 pixels under a header of a small one."""
    big = path.with_suffix(".big.mp4")
    write_huge(big)
    with av.open(str(big)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.width, stream.height = WIDTH, HEIGHT
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path


def write_huge(path: Path) -> Path:
    side = 8192
    return write_video(path, [Image.new("RGB", (side, side))], codec="mjpeg", size=(side, side), pixels="yuvj420p")


def write_cut(path: Path, *, options: dict[str, str] | None = None) -> Path:
    """The first half of a video's bytes."""
    write_video(path, (drawn(n // 12) for n in range(100)), options=options)
    os.truncate(path, path.stat().st_size // 2)
    return path


def write_claim(path: Path) -> Path:
    """A video of a second that says it lasts thirty thousand years."""
    write_video(path, (drawn(n) for n in range(RATE)))
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89") + 3  # Duration, a double
    data[place : place + 8] = struct.pack(">d", 1e15)
    path.write_bytes(data)
    return path


def write_damaged(path: Path) -> Path:
    """The frames' bytes are noise; the header is whole."""
    write_video(path, (drawn(n) for n in range(RATE)))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    path.write_bytes(data)
    return path


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


CUT = "cut off"
NO_VIDEO = "not a video that can be read"
# What is wrong -> the file's name, how it is made, and what the sentence says.
BROKEN: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "sound alone": ("a.mp4", write_sound, "no moving picture"),
    "no frame": ("a.mp4", write_no_frame, "no moving picture"),
    "gigantic": ("a.mp4", write_huge, "8192 × 8192 pixels"),
    "gigantic under a small header": ("a.mkv", write_liar, "8192 × 8192 pixels"),
    "cut MP4": ("a.mp4", write_cut, NO_VIDEO),
    "cut Matroska": ("a.mkv", write_cut, CUT),
    "cut AVI": ("a.avi", write_cut, CUT),
    "endless by its header": ("a.mkv", write_claim, "it says that it lasts 277777777:46:40, and ends after 0:01"),
    "damaged": ("a.mp4", write_damaged, "damaged"),
    "empty": ("a.mp4", lambda path: _write(path, b""), "empty"),
    "text": ("a.mp4", lambda path: _write(path, b"hello " * 1000), NO_VIDEO),
    "noise": ("a.mp4", lambda path: _write(path, np.random.default_rng(0).bytes(50_000)), NO_VIDEO),
    "playlist": ("a.mp4", lambda path: _write(path, b"#EXTM3U\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"), NO_VIDEO),
    "image": ("a.mp4", lambda path: drawn(0).save(path, "PNG") or path, NO_VIDEO),  # type: ignore[func-returns-value]
    "pipe": ("a.mp4", _pipe, "a pipe, socket or device"),
    "folder": ("a.mp4", lambda path: path.mkdir() or path, "is a directory"),  # type: ignore[func-returns-value]
    "nothing": ("a.mp4", lambda path: path, "no such file"),
}
