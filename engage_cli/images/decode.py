"""One safe way to open an image: whatever the file is, the answer is an RGB image or an ImageError."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from engage_cli.io.plain_files import NoPlainFileError, read_plain

MAX_PIXELS = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MOST_BYTES = 64 << 20  # a file larger than this is no cover
PLACEHOLDER_GREY = (128, 128, 128)
ORIENTATION = 0x0112  # EXIF

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".tif", ".tiff", ".heic", ".heif")
# Names of yt-dlp: "title [id].webp".
_BRACKETED = re.compile(r".*\[([^\[\]]+)\]$", re.DOTALL)


class ImageError(Exception):
    """Why a file gives no image, in a few words that are the same for equal causes."""


def placeholder() -> Image.Image:
    """The neutral image that stands for a missing one (study, section 4.2)."""
    return Image.new("RGB", (224, 224), PLACEHOLDER_GREY)


def resolve_inside(folder: Path, relative: str) -> Path:
    """Return folder/relative; raise ImageError where that, links resolved, lies outside the folder."""
    if "\0" in relative:
        raise ImageError("path with a NUL byte")
    try:
        root = _real(os.path.abspath(folder))
        path = os.path.join(root, relative)
        is_plain = os.path.basename(relative) == relative not in ("", os.curdir, os.pardir)
        # Nearly all are: to ask for the links of every folder on the way takes ten times as long.
        if is_plain and not os.path.islink(path):
            return Path(path)
        found = Path(path).resolve()
    except (OSError, RuntimeError):
        raise ImageError("a link that leads nowhere") from None
    except ValueError:  # in the folder's own name
        raise ImageError("path with a NUL byte") from None
    if not found.is_relative_to(root):
        raise ImageError("path leaves the image folder")
    return found


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    """Resolve the links of an absolute folder; once, for it is asked for with every image."""
    return os.path.realpath(folder)


def find_by_stem(folder: Path) -> dict[str, str]:
    """Return the images of a folder by their names without suffix; of several with one stem the first by name.

    A file without suffix may be an image. One called "title [id].jpg" is found by its id too.
    """
    found: dict[str, str] = {}
    bracketed: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(stem, name)
            if stem.endswith("]") and (inside := _BRACKETED.match(stem)):
                bracketed.setdefault(inside[1], name)
        elif not suffix and not name.startswith("."):
            found.setdefault(name, name)
    return {**bracketed, **found}


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes; raise ImageError where there is none, or it is empty, no plain file or far too large."""
    try:
        data = read_plain(path, MOST_BYTES)
    except NoPlainFileError as reason:
        raise ImageError(str(reason)) from None
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except ValueError:
        raise ImageError("path with a NUL byte") from None
    except OSError as error:
        raise ImageError(f"unreadable ({error.strerror})") from None
    if not data:
        raise ImageError("empty file")
    return data


def read_same(root: Path | None, name: str, digest: str) -> bytes | None:
    """Return the image that was checked; None where it is gone, lies outside `root`, or is another one by its hash."""
    if root is None or not digest:
        return None
    try:
        data = read_bytes(resolve_inside(root, name))
    except ImageError:
        return None
    return data if digest_of(data) == digest else None


def digest_of(data: bytes) -> str:
    """Return what `image_hash` holds: 32 hex digits of the BLAKE2b hash of an image's bytes."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) from the header alone; raise ImageError where it is not an image or far too large."""
    with _open(data) as image:
        return image.size


def decode(data: bytes, at_least: int | None = None) -> Image.Image:
    """Decode to RGB as a viewer shows it: EXIF rotation applied, transparency on white, first frame.

    With `at_least`, a JPEG may come smaller than it is, by a power of two, but not below that many pixels a side: its
    decoder then skips most of the work.
    """
    return _decode(data, "RGB", at_least)


def decode_grey(data: bytes, at_least: int | None = None) -> Image.Image:
    """Decode to greys, else as `decode`."""
    return _decode(data, "L", at_least)


def _decode(data: bytes, mode: str, at_least: int | None) -> Image.Image:
    with _open(data) as image:
        try:
            if at_least is not None:
                image.draft(mode, (at_least, at_least))
            image.load()
            upright = _turn_upright(image)
            if upright.mode.startswith(("I;16", "I", "F")):
                upright = _to_8_bit(upright)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                layer = upright.convert("RGBA")
                white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
                upright = Image.alpha_composite(white, layer)
            return upright if upright.mode == mode else upright.convert(mode)
        except MemoryError:  # of the machine, not of the file
            raise
        except Exception as error:  # on damaged files decoders raise whatever they meet (struct.error, RuntimeError, ...)
            raise ImageError("truncated" if "truncated" in str(error) else "damaged") from None


def _turn_upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF rotation; an image whose tags are damaged is shown as it lies, as viewers do."""
    try:
        if image.getexif().get(ORIENTATION, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except MemoryError:  # of the machine, not of the file
        raise
    except Exception:  # whatever reading the tags meets: struct.error, ValueError, ...
        return image


def _open(data: bytes) -> Image.Image:
    Image.init()  # AVIF is there only where Pillow was built with it
    if _is_heic(data):
        _add_heic()
    formats = [name for name in FORMATS if name in Image.OPEN]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError:
            if _is_heic(data):
                raise ImageError("damaged HEIC; convert it to JPEG") from None
            is_avif = data[4:12] in (b"ftypavif", b"ftypavis") and "AVIF" not in formats
            raise ImageError("AVIF, which this build of Pillow cannot read" if is_avif else "not an image") from None
        except Image.DecompressionBombError:
            raise ImageError("too many pixels") from None
        except MemoryError:  # of the machine, not of the file
            raise
        except Exception as error:  # as in _decode
            raise ImageError("truncated" if "truncated" in str(error) else "damaged") from None
    if image.size[0] * image.size[1] > MAX_PIXELS:
        raise ImageError("too many pixels")
    return image


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS and b"avif" not in data[8:32]


@lru_cache(maxsize=1)
def _add_heic() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError("HEIC: install pillow-heif (the extra 'heic'), or convert to JPEG") from None
    pillow_heif.register_heif_opener()


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit and float greys by their own range: a plain convert would clip them to white."""
    grey = np.nan_to_num(np.asarray(image.convert("F")), posinf=0.0, neginf=0.0)
    low, span = grey.min(), grey.max() - grey.min() or 1.0
    return Image.fromarray(((grey - low) * (255.0 / span)).astype(np.uint8))
