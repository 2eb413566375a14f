"""A request's form, read into memory and nowhere else, with every limit held while it is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from engage_cli.images.decode import ImageError, read_size
from engage_cli.steps.serve._admission import Body, NoRoomError, TooSlowError
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import MIB, Limits

FORM = "multipart/form-data"
IMAGES, TITLES, COLUMNS = "images", "titles", "with"
TEXTS = ("tags", "description", "posted_at")
LONGEST_NAME = 120
NO_NAME = "image"
CLIENT_GONE = "the client went away"


class RefusedError(Exception):
    """An HTTP status and the sentence that goes with it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Parser(MultiPartParser):
    """Starlette's, but no part goes to a file on disk, and a file that grows too large is refused at once."""

    def __init__(self, request: Request, stream: AsyncGenerator[bytes, None], limits: Limits) -> None:
        self.spool_max_size = limits.request_bytes + 1
        self.limits = limits
        super().__init__(
            request.headers,
            stream,
            max_files=limits.images,
            max_fields=limits.titles + limits.fields,
            max_part_size=limits.text_bytes,
        )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        file = self._current_part.file
        if file is not None and (file.size or 0) + end - start > self.limits.image_bytes:
            raise RefusedError(413, f"an image is larger than {self.limits.image_bytes // MIB} MiB; give a smaller one")
        super().on_part_data(data, start, end)


async def read_job(request: Request, limits: Limits, body: Body, *, explain: bool, needs_image: bool = True) -> Job:
    """Read a request's form; raise RefusedError for what is none, too much, or too slow.

    `body` counts bytes before they are kept. A run that reads no cover needs no image: a title is a variant too.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.decode("latin-1").strip().lower() != FORM:
        raise RefusedError(415, f"send {FORM}, with the fields {IMAGES} and {TITLES}")
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise RefusedError(415, "send texts in UTF-8, and no other charset")
    parser = _Parser(request, _bounded(request, limits, body), limits)
    try:
        with body.arriving():
            form = await parser.parse()
    except TooSlowError:
        seconds = f"{limits.body_seconds:g} s"
        raise RefusedError(
            408, f"the request came too slowly, or took longer than {seconds} to arrive; send it again"
        ) from None
    except NoRoomError:
        raise RefusedError(429, "the server is busy with other images; try again") from None
    except (MultiPartException, FormParserError, KeyError, ValueError) as problem:
        if str(problem).startswith(("Too many", "Part exceeded")):
            raise RefusedError(413, f"too large for this server: {_of(limits)}") from None
        raise RefusedError(400, f"the body is not {FORM}, or is cut off") from None
    try:
        return await _make_job(form.multi_items(), limits, explain=explain, needs_image=needs_image)
    finally:
        await form.close()


async def _bounded(request: Request, limits: Limits, body: Body) -> AsyncGenerator[bytes, None]:
    total = 0
    try:
        async for chunk in request.stream():
            total += len(chunk)
            if total > limits.request_bytes:
                raise RefusedError(413, f"more than {limits.request_bytes // MIB} MiB; send fewer or smaller images")
            body.take(len(chunk))
            yield chunk
    except ClientDisconnect:
        raise RefusedError(400, CLIENT_GONE) from None


async def _make_job(
    items: Sequence[tuple[str, UploadFile | str]], limits: Limits, *, explain: bool, needs_image: bool
) -> Job:
    names: list[str] = []
    images: list[bytes] = []
    titles: list[str] = []
    texts: dict[str, str] = {}
    columns: dict[str, str | float] = {}
    for field, value in items:
        if isinstance(value, UploadFile) != (field == IMAGES):
            raise RefusedError(422, f"'{_short(field)}': send {IMAGES} as files, and every other field as text")
        if isinstance(value, UploadFile):
            names.append(_name(value.filename or NO_NAME, names))
            images.append(await value.read())
        elif field == TITLES:
            titles.append(value)
        elif field == COLUMNS:
            columns |= _columns(value)
        elif field in TEXTS:
            if field in texts:
                raise RefusedError(422, f"{field} is given twice")
            texts[field] = value
        else:
            known = ", ".join((IMAGES, TITLES, *TEXTS, COLUMNS))
            raise RefusedError(422, f"unknown field '{_short(field)}'; give one of: {known}")
    if needs_image and not images:
        raise RefusedError(422, f"no image: send one or more as {IMAGES}")
    if not images and not titles:
        raise RefusedError(422, f"nothing to predict: send one or more {TITLES}, or {IMAGES}")
    variants = max(1, len(images)) * max(1, len(titles))
    if len(titles) > limits.titles or variants > limits.variants:
        raise RefusedError(413, f"too large for this server: {_of(limits)}")
    if explain and variants > 1:
        raise RefusedError(422, "an explanation is for one post: send one image and one title")
    # In a thread: the header of one image may be megabytes long.
    pixels = await asyncio.to_thread(_count_pixels, names, images, limits)
    return Job(
        names=tuple(names),
        images=tuple(images),
        pixels=pixels,
        titles=tuple(titles or [""]),
        columns=columns,
        explain=explain,
        tags=texts.get("tags", ""),
        description=texts.get("description", ""),
        posted_at=texts.get("posted_at", ""),
    )


def _count_pixels(names: Sequence[str], images: Sequence[bytes], limits: Limits) -> int:
    total = sum(_check_image(name, data, limits) for name, data in zip(names, images, strict=True))
    if total > limits.request_pixels:
        raise RefusedError(413, f"{total / 1e6:.0f} megapixels in all; give at most {limits.request_pixels // 10**6}")
    return total


def _check_image(name: str, data: bytes, limits: Limits) -> int:
    """Return an image's pixels by its content's header: what it is called, and said to be, counts for nothing."""
    try:
        if not data:
            raise ImageError("empty")
        width, height = read_size(data)
    except ImageError as problem:
        raise RefusedError(422, f"{name}: {problem}; give a JPEG, PNG, WebP or GIF") from None
    if width * height > limits.pixels:
        megapixels = limits.pixels // 10**6
        raise RefusedError(422, f"{name}: {width} x {height} pixels; give an image of at most {megapixels} megapixels")
    return width * height


def _columns(text: str) -> dict[str, str | float]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, (str, int, float)) for value in found.values()):
        raise RefusedError(422, f'"{COLUMNS}" is a JSON object of column names and values')
    return {str(name): value if isinstance(value, float) else str(value) for name, value in found.items()}


def _name(given: str, others: Sequence[str]) -> str:
    """The client's word for an image: its last part, printable, and told apart from equal ones."""
    last = given.replace("\\", "/").rpartition("/")[2]
    name = _short("".join(letter for letter in last if letter.isprintable()).strip()) or NO_NAME
    number, found = 2, name
    while found in others:
        found, number = f"{name} ({number})", number + 1
    return found


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _of(limits: Limits) -> str:
    return (
        f"{limits.images} images of {limits.image_bytes // MIB} MiB, {limits.titles} titles, {limits.variants} variants, "
        f"{limits.text_bytes // 1024} KiB of text in a field"
    )
