"""Records: JSON files with a schema, a format version and a checksum. Whatever is wrong with one is a single sentence.

A record is a frozen dataclass. Its fields' types and ranges are the schema, which pydantic checks without converting
anything. The checksum covers the content, so that a changed digit is noticed; it finds damage, it proves no origin.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar, dataclass_transform

import xxhash
from pydantic import ConfigDict, TypeAdapter, ValidationError

from engage_cli.errors import EngageError
from engage_cli.io.files import json_text, write_text

FORMAT, CHECKSUM = "format", "checksum"
LARGEST = 64 << 20  # bytes of a record: more is not a record of ours
CHUNK = 1 << 20
PLAIN = (float, int, str, bool, type(None))

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only dataclass whose fields are checked strictly when it is read from a file."""
    cls.__pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def write_record(path: Path, value: Any, *, kind: str, version: int) -> None:
    """Write a record atomically."""
    write_text(path, record_text(value, kind=kind, version=version))


def record_text(value: Any, *, kind: str, version: int) -> str:
    """Return a record as JSON: its format first, its fields, its checksum last."""
    content = {FORMAT: f"{kind} {version}", **fields_of(value)}
    return json_text({**content, CHECKSUM: checksum(content)})


def fields_of(value: Any) -> dict[str, Any]:
    """Return what `dataclasses.asdict` returns, of which a tuple of a thousand numbers is not copied one by one."""
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)) and not all(type(one) in PLAIN for one in value):
        return [_plain(one) for one in value]
    return value


def read_record(path: Path, schema: type[T], *, kind: str, version: int, again: str) -> T:
    """Read a record of `schema`.

    `again` completes the sentence of an error: what to do, as in "train again".
    Raises EngageError where the file is absent, damaged, of another version, or has a field that is wrong.
    """
    content = read_object(path, again=again)
    found = content.pop(FORMAT, None)
    if found != f"{kind} {version}":
        _raise_format(path, found, kind, version, again)
    if content.pop(CHECKSUM, None) != checksum({FORMAT: found, **content}):
        raise EngageError(f"{path} was changed or damaged: its content does not match its checksum; {again}")
    return parse(content, schema, where=str(path), again=again)


def parse(content: Any, schema: type[T], *, where: str, again: str) -> T:
    """Check JSON-like content against a schema; raise EngageError that names the first field that is wrong."""
    try:
        schema_of: Any = schema  # for mypy a type is not hashable
        checked: T = _adapter(schema_of).validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the content"
        raise EngageError(f"{where}: {field}: {first['msg'].removeprefix('Value error, ')[:200]}; {again}") from None
    return checked


def read_object(path: Path, *, again: str) -> dict[str, object]:
    """Read one JSON object from a regular file: no NaN, no infinity, no key twice."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise EngageError(f"{path} is not a regular file; {again}")
        if status.st_size > LARGEST:
            raise EngageError(f"{path} has {status.st_size:,} bytes, too many for a file of this kind; {again}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EngageError(f"{path} is missing; {again}") from None
    except UnicodeDecodeError:
        raise EngageError(f"{path} is damaged: it is not UTF-8 text; {again}") from None
    except OSError as error:
        raise EngageError(f"{path} cannot be read ({error.strerror}); {again}") from None
    try:
        content = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise EngageError(f"{path} is damaged: it is not valid JSON ({error}); {again}") from None
    if not isinstance(content, dict):
        raise EngageError(f"{path} is damaged: it holds no JSON object; {again}")
    return content


def checksum(content: Mapping[str, Any]) -> str:
    """Return 32 hex digits of the XXH3 hash of JSON-like content, the same for equal content."""
    return xxhash.xxh3_128_hexdigest(
        json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )


def file_hash(path: Path) -> str:
    """Return 32 hex digits of the XXH3 hash of a file's bytes."""
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(CHUNK))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def hash_bytes(data: bytes) -> str:
    """Return what `file_hash` returns of a file of these bytes."""
    return xxhash.xxh3_128_hexdigest(data)


def hash_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return name -> hash of files in a folder, for the folder's marker."""
    return {name: file_hash(folder / name) for name in names}


def check_file(path: Path, expected: str | None, *, again: str) -> Path:
    """Return `path` where its bytes are those that the folder's marker recorded; raise EngageError elsewhere."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise EngageError(f"{path} is not a regular file of this folder; {again}")
        found = file_hash(path)
    except FileNotFoundError:
        raise EngageError(f"{path} is missing; {again}") from None
    except OSError as error:
        raise EngageError(f"{path} cannot be read ({error.strerror}); {again}") from None
    if found != expected:
        what = "is not recorded by this folder's marker" if expected is None else "was changed or damaged: its hash differs"
        raise EngageError(f"{path} {what}; {again}")
    return path


@functools.cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def _raise_format(path: Path, found: Any, kind: str, version: int, again: str) -> NoReturn:
    if isinstance(found, str) and found.startswith(f"{kind} "):
        raise EngageError(f"{path} has format '{found[:40]}', and this engage reads '{kind} {version}'; {again}")
    if found is None:
        raise EngageError(f"{path} was written by an older engage, or damaged: it names no format; {again}")
    raise EngageError(f"{path} is not a file of the kind '{kind}'; {again}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content
