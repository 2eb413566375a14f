"""What one server takes on: of one request, and of all together."""

from __future__ import annotations

from dataclasses import dataclass

from engage_cli.config.general import MOST_VARIANTS

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every limit is enforced while a request is read, before anything is decoded or asked."""

    images: int = 24  # of a request
    titles: int = 24
    variants: int = MOST_VARIANTS  # images x titles
    image_bytes: int = 16 * MIB
    pixels: int = 40_000_000  # of an image: while it is decoded one takes 3 to 15 bytes
    request_pixels: int = 240_000_000  # of all images of a request
    text_bytes: int = 64 * 1024  # of a title, of the tags, of the description
    fields: int = 80  # further form fields
    request_bytes: int = 64 * MIB
    connections: int = 512
    waiting: int = 64  # whole questions that wait or are answered
    waiting_bytes: int = 256 * MIB  # of all bodies, whole or not
    batch_images: int = 64  # that the model is asked about at once
    batch_pixels: int = 240_000_000  # the same; a processor decodes 16 to 100 million a second
    client_seconds: float = 10.0  # to send a header, and to send or read on wherever the server waits for that
    body_seconds: float = 30.0  # to send the body of a request
    body_rate: int = 16 * 1024  # bytes a second: a body that is slower uses up its client_seconds
    video_bytes: int = 256 * MIB  # of a video, which goes into a temporary file; one at a time
    video_seconds: float = 60.0  # to look through it
    frames: int = 12  # of a video
    frame_side: int = 1280  # pixels of the longer side of a frame that is sent back
    seconds: float = 60.0  # from its last byte to the answer
