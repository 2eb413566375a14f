"""A video file, decoded frame by frame: whatever the file is, there are frames or there is a VideoError."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO, TypeAlias

import av
import numpy as np
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from PIL import Image

from engage_cli.video.wanted import MOST_PIXELS, VideoError

# Demuxers that read nothing but the file they are given: no playlist, no script, no address.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"
READ_AT_ONCE = 1 << 20  # bytes
MOST_THREADS = 4
LARGE = 9_000_000  # pixels from which on a frame is decoded by itself: threads would hold one each
HD = 720  # rows from which on a video that does not name its colours has those of television in HD
NOT_A_VIDEO = "not a video that can be read, or cut off; give a whole MP4, MOV, WebM, MKV or AVI"
DAMAGED = "damaged: hardly any of its frames can be decoded; give the original file"
SIGNATURE = 16  # pixels a side of what tells looks apart
THUMBNAIL = 256  # pixels of the longer side of what is measured
Decoded: TypeAlias = Any  # an av.VideoFrame: PyAV is an extra, so its types are not known everywhere


class VideoFile:
    """One open video. Frames are yielded as they are decoded, and none is kept."""

    def __init__(self, file: BinaryIO) -> None:
        av.logging.set_level(None)  # of a damaged file there would be thousands of lines
        self._size = os.fstat(file.fileno()).st_size
        if not self._size:
            raise VideoError("empty; give a video")
        try:
            self._container = av.open(
                file,
                mode="r",
                buffer_size=READ_AT_ONCE,
                options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
            )
        except (av.FFmpegError, ValueError, UnicodeDecodeError):
            raise VideoError(NOT_A_VIDEO) from None
        self._stream = self._choose()
        context = self._stream.codec_context
        self._check_size(context.width, context.height)
        context.options = {"max_pixels": str(MOST_PIXELS)}  # a later header may say otherwise than the first
        context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
        context.thread_type = "SLICE" if context.width * context.height > LARGE else "AUTO"
        self._thumbnails, self._signatures = VideoReformatter(), VideoReformatter()
        self._start = self._stream.start_time or 0
        self.packets = 0  # of the video, in the last reading
        self.failed = 0  # of them, those that could not be decoded
        self.tried = 0
        self.end = 0.0  # seconds: the latest of any stream that was read
        self.share = 0.0  # of the file that was read

    def _choose(self) -> Any:
        """Return the largest stream of moving pictures."""
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & (av.stream.Disposition.attached_pic | av.stream.Disposition.still_image)
        ]
        if not streams:
            raise VideoError("no moving picture in it, sound at most; give a video")
        known = [stream for stream in streams if getattr(stream, "codec_context", None) is not None]
        if not known:
            raise VideoError("engage cannot read its codec; convert it to H.264 in an MP4")
        return max(known, key=lambda stream: stream.codec_context.width * stream.codec_context.height)

    def _check_size(self, width: int, height: int) -> None:
        if width * height > MOST_PIXELS:
            raise VideoError(f"{width} × {height} pixels a frame; give one of at most {MOST_PIXELS // 10**6} megapixels")

    @property
    def pixels(self) -> int:
        context = self._stream.codec_context
        return max(1, context.width * context.height)

    @property
    def format(self) -> str:
        return str(self._container.format.name)

    @property
    def claimed(self) -> float | None:
        """Seconds that the file says it lasts."""
        container = self._container.duration
        of_stream = self._stream.duration
        times = [container / av.time_base] if container else []
        times += [float(of_stream * self._stream.time_base)] if of_stream else []
        frames, rate = self._stream.frames, self._stream.average_rate
        times += [float(frames / rate)] if frames and rate else []
        return max(times, default=None)

    def seconds_of(self, frame: Decoded) -> float:
        return max(0.0, float((frame.pts - self._start) * (self._stream.time_base or Fraction(1, 1))))

    def pts_at(self, seconds: float) -> int:
        return self._start + int(Fraction(seconds).limit_denominator(1000) / (self._stream.time_base or Fraction(1, 1)))

    def read(self, *, at_least_apart: float | None = None) -> Iterator[Decoded | None]:
        """Yield every frame from the beginning, and None after packets that gave none.

        `at_least_apart`: only key frames, so many seconds apart, which are decoded without the frames between them.
        """
        self._restart()
        last: float | None = None
        try:
            for packet in self._container.demux():
                self._note(packet)
                if packet.stream.index != self._stream.index:
                    continue
                self.packets += packet.size > 0
                if at_least_apart is not None and packet.size:
                    time = float((packet.pts or packet.dts or 0) * packet.time_base) if packet.time_base else 0.0
                    if not packet.is_keyframe or (last is not None and 0 <= time - last < at_least_apart):
                        yield None
                        continue
                    last = time
                yield from self._decode(packet)
                yield None
        except (av.FFmpegError, ValueError):
            self.failed += 1  # what is left of the file cannot be read: whether that is much, its end tells

    def read_from(self, pts: int) -> Iterator[Decoded]:
        """Yield frames from the key frame before `pts` on, or from the beginning where the file cannot be sought in."""
        for way in (self._seek, self._rewind):
            try:
                way(pts)
                for number, frame in enumerate(self._rest()):
                    if number == 0 and frame.pts > pts:
                        break
                    yield frame
                else:
                    return
            except (av.FFmpegError, ValueError):
                continue

    def _seek(self, pts: int) -> None:
        self._container.seek(pts, stream=self._stream, backward=True)

    def _rewind(self, pts: int) -> None:
        self._container.seek(0)

    def _rest(self) -> Iterator[Decoded]:
        for packet in self._container.demux(self._stream):
            yield from self._decode(packet)

    def _restart(self) -> None:
        if self.packets:
            self._container.seek(min(0, self._start), stream=self._stream, backward=True)
        self.packets = self.failed = self.tried = 0
        self.share = 0.0

    def _decode(self, packet: av.Packet) -> Iterator[Decoded]:
        self.tried += packet.size > 0
        try:
            frames = packet.decode()
        except av.error.MemoryError:
            raise
        except (av.FFmpegError, ValueError):
            self.failed += 1
            return
        for frame in frames:
            self._check_size(frame.width, frame.height)
            if frame.pts is not None and not frame.is_corrupt:
                yield frame

    def _note(self, packet: av.Packet) -> None:
        if packet.pos is not None and packet.pos >= 0:
            self.share = min(1.0, packet.pos / self._size)
        if packet.pts is not None and packet.time_base:
            start = packet.stream.start_time or 0
            self.end = max(self.end, float((packet.pts + (packet.duration or 0) - start) * packet.time_base))

    def thumbnail(self, frame: Decoded, side: int = THUMBNAIL) -> Decoded:
        """Return a frame in full range, its longer side at most `side` pixels, as it lies in the file."""
        scale = min(1.0, side / max(frame.width, frame.height))
        width, height = (max(2, round(length * scale / 2) * 2) for length in (frame.width, frame.height))
        return self._thumbnails.reformat(frame, width, height, "yuvj444p", interpolation=Interpolation.AREA)

    def signature(self, thumbnail: Decoded) -> np.ndarray:
        """Return (3 * SIGNATURE²) uint8 of what a thumbnail looks like."""
        small = self._signatures.reformat(thumbnail, SIGNATURE, SIGNATURE, "yuvj444p", interpolation=Interpolation.AREA)
        return small.to_ndarray().ravel()

    def image(self, frame: Decoded, longest_side: int | None = None) -> Image.Image:
        """Return a frame as a player shows it: upright, with square pixels, in sRGB's range."""
        names_no_colours = frame.colorspace in (2, 0)  # AVCOL_SPC_UNSPECIFIED, and RGB
        source = Colorspace.ITU709 if names_no_colours and frame.height >= HD else None
        image = frame.reformat(format="rgb24", src_colorspace=source).to_image()
        ratio = self._stream.sample_aspect_ratio
        width, height = image.size
        if ratio and 0.2 < ratio < 5 and ratio != 1:
            width = max(1, round(width * float(ratio)))
        scale = min(1.0, (longest_side or max(width, height)) / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        turn = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        angle = round(frame.rotation / 90) * 90 % 360
        return image.transpose(turn[angle]) if angle else image


def luma_of(thumbnail: Decoded) -> np.ndarray:
    """Return (H, W) uint8, full range."""
    plane = thumbnail.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
