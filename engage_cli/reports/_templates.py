"""The templates of the written reports, and how an image stands within a page that needs no network."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Callable

import jinja2
from jinja2.bccache import Bucket

from engage_cli.images.decode import ImageError, decode
from engage_cli.io.written_numbers import short_number

THUMBNAIL_SIDE = 200  # pixels
ReadImage = Callable[[int], bytes | None]  # row of the posts -> its image's file, None without one


class _InMemory(jinja2.BytecodeCache):
    """Compiled templates, kept while the process lives: the first page of each kind takes ten times as long."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if (code := self._known.get(bucket.key)) is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._known[bucket.key] = bucket.bytecode_to_string()


@functools.cache
def _compiled(autoescape: bool, undefined: str) -> _InMemory:  # what is compiled depends on both
    return _InMemory()


def open_templates(
    *, autoescape: bool = True, undefined: type[jinja2.Undefined] = jinja2.StrictUndefined
) -> jinja2.Environment:
    """Return the templates, with the filters that all reports share. In a page (`autoescape`) every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engage_cli"),
        autoescape=autoescape,
        undefined=undefined,
        bytecode_cache=_compiled(autoescape, undefined.__name__),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["num"] = lambda value: f"{value:,}"
    environment.filters["short"] = short_number
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment


def thumbnail(data: bytes | None) -> str | None:
    """Return a small JPEG as a data URI; None where there is no image."""
    if data is None:
        return None
    try:
        image = decode(data)
    except ImageError:
        return None
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    return data_uri(out.getvalue(), "image/jpeg")


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
