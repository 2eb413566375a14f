"""Tables with random damage: read, or refused in one sentence; never a traceback, never a half-written folder."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.calls import engage
from tests.good import HEADER, ROWS

PIECES = [
    b'"', b'""', b"\n", b"\r", b",", b";", b"\t", b"\0", b"\xff", b"-", b"1e999", b"9" * 40, b"nan", b"\xef\xbb\xbf", b"\\",
    b"2021-13-45", b"9999-12-31", b"-99999", b"{", b"[", b"null", b" ", b"", b"\xe2\x80\xae", b"=1+1", b"1,234",
]  # fmt: skip


def whole(kind: str) -> bytes:
    if kind == "jsonl":
        names = HEADER.strip().split(",")
        return "\n".join(json.dumps(dict(zip(names, row.strip().split(","), strict=True))) for row in ROWS).encode()
    return (HEADER + "".join(ROWS)).replace(",", "\t" if kind == "tsv" else ",").encode()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_random_damage(kind: str, tmp_path: Path) -> None:
    rng = random.Random(0)
    path, data, codes = tmp_path / f"posts.{kind}", tmp_path / "data", set()
    for _ in range(25):
        damaged = bytearray(whole(kind))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(damaged))
            damaged[place : place + rng.choice([0, 0, 1, 3, 30])] = rng.choice(PIECES)
        path.write_bytes(damaged)
        (data / "dataset.json").unlink(missing_ok=True)
        result = engage("prepare", "--table", path, "--no-images", "--data", data)
        assert result.exception is None or isinstance(result.exception, SystemExit), bytes(damaged)
        said = [line for line in result.stderr.splitlines() if not line.startswith("fitting")]
        assert len(said) == (1 if result.exit_code else 0), result.stderr
        assert (data / "dataset.json").exists() == (result.exit_code == 0)
        codes.add(result.exit_code)
    assert codes == {0, 1}
