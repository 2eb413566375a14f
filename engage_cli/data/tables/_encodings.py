"""Bytes to UTF-8: by the file's own mark, by what it decodes as, by a detector, or with a few broken signs replaced."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import pyarrow as pa

from engage_cli.errors import EngageError

MOST_BROKEN = 0.1  # of the signs that are not ASCII; with more, the file is not UTF-8
LOOKED_AT = 1 << 18  # bytes of lines that are not ASCII, for the detector
AS_GOOD = 0.95  # of the best guess' confidence
LEAST_CONFIDENCE = 0.03
WESTERN = "cp1252"  # by far the most frequent, and the same signs as Latin-1 but for those that Latin-1 has not
_SAME = {"iso8859-1": WESTERN, "iso8859-15": WESTERN, "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030",
         "euc_kr": "cp949"}  # fmt: skip


def to_utf8(data: bytes, path: Path, encoding: str = "") -> tuple[bytes, list[str]]:
    """Return the bytes as UTF-8, and notes; raise EngageError where nobody can tell what they are."""
    if encoding:
        try:
            return data.decode(encoding).encode(), []
        except UnicodeDecodeError as error:
            raise EngageError(
                f"{path}, line {_line(data, error.start)}: not {encoding}; name another with --encoding"
            ) from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode(), [f"{path.name} is UTF-16 and was read that way"]
        except UnicodeError:
            raise EngageError(f"{path}: starts like UTF-16, but is not; save it as UTF-8") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    return (data, []) if _is_utf8(data) else _mend(data, path)


def _is_utf8(data: bytes) -> bool:
    """Say whether the bytes are UTF-8; this takes a tenth of the time that decoding does."""
    sizes = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, sizes, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _mend(data: bytes, path: Path) -> tuple[bytes, list[str]]:
    text = data.decode("utf-8", "replace")
    num_broken = text.count("\ufffd") - data.count("\ufffd".encode())
    num_sound = sum(len(line) - len(line.encode("ascii", "ignore")) for line in text.split("\n") if not line.isascii())
    num_sound -= num_broken
    start = _first_broken(data)
    if num_broken <= MOST_BROKEN * num_sound:
        line = _line(data, start)
        return text.encode(), [
            f"{path.name} is UTF-8 with {num_broken:,} invalid characters, replaced by \ufffd (first in line {line})"
        ]
    found = _detect(data) if num_sound <= num_broken else None  # where most is UTF-8, no other encoding explains the whole
    if found is None:
        byte = data[start]
        raise EngageError(
            f"{path}, line {_line(data, start)}: not UTF-8 (byte 0x{byte:02x}; '{chr(byte)}' in Latin-1), and its "
            "encoding is not clear; name it with --encoding, or save the file as UTF-8"
        )
    decoded = data.decode(found)
    sample = next(word for word in decoded.split() if not word.isascii())[:40]
    return decoded.encode(), [
        f"{path.name} is not UTF-8 and was read as {found}, as in '{sample}'; if that is wrong, give --encoding"
    ]


def _first_broken(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _detect(data: bytes) -> str | None:
    """Return the encoding in which the whole decodes and that the detector finds most likely; None where it cannot say."""
    import chardet

    lines, size = [], 0
    for line in data.split(b"\n"):
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > LOOKED_AT:
                break
    guesses: dict[str, float] = {}
    for guess in chardet.detect_all(b"\n".join(lines)):
        name, confidence = guess["encoding"], float(guess["confidence"] or 0)
        if name is None:
            continue
        try:
            name = codecs.lookup(name).name
        except LookupError:  # one that Python has no codec for
            continue
        name = _SAME.get(name.replace("-", "_") if name.startswith(("shift", "euc")) else name, name)
        if name not in ("utf-8", "ascii"):
            guesses[name] = max(guesses.get(name, 0.0), confidence)
    best = max(guesses.values(), default=0.0)
    if best < LEAST_CONFIDENCE:
        return WESTERN if guesses.get(WESTERN, 0.0) >= AS_GOOD * best and best and _decodes(data, WESTERN) else None
    order = sorted(guesses, key=lambda name: -guesses[name])
    if guesses.get(WESTERN, 0.0) >= AS_GOOD * best:
        order = [WESTERN, *order]
    return next((name for name in order if guesses[name] >= AS_GOOD * best and _decodes(data, name)), None)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1
