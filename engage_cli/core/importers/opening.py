"""The bytes of a file that is a table, unpacked where it is compressed."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa

from engage_cli.core.errors import EngageError

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}  # suffix -> pyarrow's name of it
MOST_BYTES = 8 << 30  # a table that unpacks to more is a bomb, or asks for another tool


def suffix_of(path: Path) -> str:
    """Return what the file is beneath its compression: ".csv" for posts.csv.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        return suffixes[-2] if len(suffixes) > 1 else ""
    return suffixes[-1] if suffixes else ""


def read_bytes(path: Path) -> bytes:
    """Return a file's content, unpacked."""
    codec = COMPRESSED.get(path.suffix.lower())
    if codec is None:
        return path.read_bytes()
    parts, size = io.BytesIO(), 0
    try:
        with pa.OSFile(str(path)) as file, pa.CompressedInputStream(file, codec) as stream:
            while block := stream.read(1 << 22):
                size += len(block)
                if size > MOST_BYTES:
                    raise EngageError(
                        f"{path} unpacks to more than {MOST_BYTES >> 30} GiB; unpack it and name a part of it"
                    )
                parts.write(block)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise EngageError(f"{path} is no whole {codec} file: {str(error).splitlines()[0]}; get it again") from None
    return parts.getvalue()
