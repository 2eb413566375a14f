"""Records: what is written is read back, and every kind of damage is one sentence that names file and field."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from engage_cli.data.dataset import Dataset
from engage_cli.errors import EngageError
from engage_cli.io.records import check_file, checksum, fields_of, file_hash, hash_files, read_record, record, write_record


@record
class Inner:
    share: Annotated[float, Field(ge=0, le=1)]


@record
class Example:
    name: str
    num_rows: Annotated[int, Field(ge=1)]
    members: tuple[Inner, ...] = ()
    note: str | None = None


GOOD = Example(name="Straße", num_rows=3, members=(Inner(share=0.1), Inner(share=1.0)))


def read(path: Path) -> Example:
    return read_record(path, Example, kind="example", version=2, again="make it again")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_record(tmp_path / "example.json", GOOD, kind="example", version=2)
    return tmp_path / "example.json"


def rewrite(path: Path, **changes: object) -> None:
    """Change fields and make the checksum fit, as somebody would who means it."""
    content = {**json.loads(path.read_text()), **changes}
    content.pop("checksum")
    content = {key: value for key, value in content.items() if value != "gone"}
    path.write_text(json.dumps({**content, "checksum": checksum(content)}))


def test_what_is_written_is_read_back(path: Path) -> None:
    assert read(path) == GOOD
    assert json.loads(path.read_text())["format"] == "example 2"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_rows": 0}, "num_rows: Input should be greater than or equal to 1"),
        ({"num_rows": "3"}, "num_rows: Input should be a valid integer"),
        ({"num_rows": 3.0}, "num_rows: Input should be a valid integer"),
        ({"name": "gone"}, "name: Field required"),
        ({"other": 1}, "other: Unexpected keyword argument"),
        ({"members": [{"share": 0.1}, {"share": 1.5}]}, "members.1.share: Input should be less than or equal to 1"),
        ({"members": {}}, "members: Input should be a valid array"),
        ({"format": "example 1"}, "has format 'example 1', and this engage reads 'example 2'"),
        ({"format": "gone"}, "was written by an older engage"),
        ({"format": "other 2"}, "is not a file of the kind 'example'"),
    ],
)
def test_a_wrong_field_is_named(path: Path, changes: dict[str, object], sentence: str) -> None:
    rewrite(path, **changes)
    with pytest.raises(EngageError) as error:
        read(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)
    assert str(error.value).endswith("; make it again")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "is not valid JSON"),
        (b"[1]", "holds no JSON object"),
        (b"\xff{}", "not UTF-8"),
        (b'{"name": NaN}', "NaN is not a JSON number"),
        (b'{"name": 1e999}', "too large a number"),
        (b'{"name": 1, "name": 2}', "a key stands twice"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)
def test_damage_is_a_sentence(path: Path, text: bytes, sentence: str) -> None:
    path.write_bytes(text)
    with pytest.raises(EngageError, match=sentence):
        read(path)


def test_every_changed_byte_is_noticed_or_changes_nothing(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with contextlib.suppress(EngageError):  # the sentence, or the same content
            assert read(path) == GOOD


def test_files_are_checked_against_their_hashes(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"abc" * 1_000_000)
    hashes = hash_files(tmp_path, ["a.bin"])
    assert check_file(tmp_path / "a.bin", hashes["a.bin"], again="again") == tmp_path / "a.bin"
    (tmp_path / "link").symlink_to(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(b"abc" * 999_999 + b"abd")
    assert file_hash(tmp_path / "b.bin") != hashes["a.bin"]
    for name, expected, sentence in [
        ("b.bin", hashes["a.bin"], "was changed or damaged"),
        ("gone", hashes["a.bin"], "is missing"),
        ("a.bin", None, "is not recorded"),
        ("link", hashes["a.bin"], "is not a regular file of this folder"),
    ]:
        with pytest.raises(EngageError, match=sentence):
            check_file(tmp_path / name, expected, again="again")


def test_fields_are_those_of_dataclasses(dataset: Dataset) -> None:
    assert json.dumps(fields_of(dataset.meta)) == json.dumps(dataclasses.asdict(dataset.meta))
