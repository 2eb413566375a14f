"""The bytes of a file that is a table, unpacked where it is compressed."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa

from engage_cli.errors import EngageError
from engage_cli.io.plain_files import most_table_bytes, read_table_bytes

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}  # suffix -> pyarrow's name of it


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
        return read_table_bytes(path)
    parts, size, most = io.BytesIO(), 0, most_table_bytes()
    packed = pa.BufferReader(read_table_bytes(path))
    try:
        with pa.CompressedInputStream(packed, codec) as stream:
            while block := stream.read(1 << 22):
                size += len(block)
                if size > most:
                    raise EngageError(f"{path} unpacks to more than {most >> 20:,} MiB; unpack it and name a part of it")
                parts.write(block)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise EngageError(f"{path} is not a complete {codec} file: {str(error).splitlines()[0]}; get it again") from None
    return parts.getvalue()
