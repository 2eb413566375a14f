"""Messages between the server and its model process: a JSON object, then files, each with its length before it."""

from __future__ import annotations

import json
import struct
from asyncio import StreamReader
from collections.abc import Sequence
from typing import BinaryIO

from engage_cli.steps.serve._messages import Message

HEAD = struct.Struct("<I")
FILES = "files"  # key of the lengths


def pack(message: Message, files: Sequence[bytes] = ()) -> bytes:
    head = json.dumps({**message, FILES: [len(file) for file in files]}).encode()
    return b"".join([HEAD.pack(len(head)), head, *files])


def read(stream: BinaryIO) -> tuple[Message, list[bytes]] | None:
    """Return the next message and its files; None where the other side is gone."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    message = json.loads(stream.read(HEAD.unpack(head)[0]))
    return message, [stream.read(length) for length in message.pop(FILES)]


async def read_async(stream: StreamReader) -> tuple[Message, list[bytes]]:
    """As `read`; raise asyncio.IncompleteReadError where the other side is gone."""
    (length,) = HEAD.unpack(await stream.readexactly(HEAD.size))
    message = json.loads(await stream.readexactly(length))
    return message, [await stream.readexactly(length) for length in message.pop(FILES)]
