"""Odd parquet and JSON lines, and what columns hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engage_cli.data.dataset import load_dataset
from tests.calls import answer, engage
from tests.good import NUM, TITLES, prepare
from tests.sources import write_table


def test_parquet_keeps_large_integers_and_the_index(tmp_path: Path) -> None:
    ids = [7_000_000_000_000_000_000 + n for n in range(NUM)]
    frame = pd.DataFrame(
        {
            "views": pd.array([*range(NUM - 1), None], "Int64"),
            "author": pd.array([None, *ids[1:]], "Int64"),
            "title": TITLES,
            "odd": [{"a": [pd.Timestamp("2021-01-01")]}] * NUM,
            "huge": [1e19] * NUM,
            "half": np.arange(NUM, dtype=np.float16),
            "never": [np.nan] * NUM,
        },
        index=pd.Index(ids, name="id"),
    )
    frame.drop(index=ids[3]).to_parquet(tmp_path / "posts.parquet")
    found = prepare(tmp_path / "posts.parquet", "--keep", "huge")
    posts = load_dataset(tmp_path / "data").posts
    assert posts["id"].tolist() == [str(id) for n, id in enumerate(ids) if n not in (3, NUM - 1)]
    assert posts["author"].tolist()[:2] == ["", str(ids[1])]
    assert found["rows"]["left_out"] == {"every counter missing": 1}


JSONL = {
    "a number with thousands of digits": (
        '{"id": 1, "views": ' + "9" * 5000 + "}",
        "posts.jsonl, line 1: a number with thousands of digits",
    ),
    "nested lists": ('{"id": 1, "views": 2, "tags": ' + "[" * 800 + "]" * 800 + "}", ""),
    "nested beyond measure": (
        '{"id": 1, "views": 2, "tags": ' + "[" * 200_000 + "]" * 200_000 + "}",
        "nested too deeply",
    ),
    "half a character in a key": ('{"id": 1, "views": 2, "\\ud800": {"\\udfff": "\\ud800"}}', ""),
    "no object": ("[1, 2]", "posts.jsonl, line 1: expected a JSON object"),
}


@pytest.mark.parametrize("name", JSONL)
def test_odd_json(name: str, tmp_path: Path) -> None:
    line, sentence = JSONL[name]
    others = [json.dumps({"id": f"p{n}", "views": n, "title": title}) for n, title in enumerate(TITLES)]
    (tmp_path / "posts.jsonl").write_text("\n".join([line, *others]))
    result = engage("prepare", "--table", tmp_path / "posts.jsonl", "--no-images", "--data", tmp_path / "data")
    assert "Traceback" not in result.stderr
    assert not isinstance(result.exception, (UnicodeError, RecursionError, ValueError)), result.exception
    if sentence:
        assert result.exit_code == 1
        assert sentence in result.stderr


def test_columns_that_are_empty_count_as_absent(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, likes=lambda n: n % 5, shares=lambda n: "", title=lambda n: TITLES[n])
    found = prepare(path)
    assert "column 'shares' has no usable cell and counts as absent" in found["warnings"]
    assert {"popularity", "engagement", "composite", "rate"} < set(found["targets"])


def test_a_kept_cell_that_is_no_number_is_counted(tmp_path: Path) -> None:
    path = write_table(tmp_path / "posts.csv", NUM, age=lambda n: "unknown" if n == 7 else n % 9, title=lambda n: TITLES[n])
    found = prepare(path, "--keep", "age")
    assert any(
        "column 'age': 1 cell is not a number and counts as missing (first in row 8: 'unknown')" in w
        for w in found["warnings"]
    )
    assert "8,p7,age: 'unknown'" in (tmp_path / "data" / "problems.csv").read_text()


def test_kept_columns_of_two_tables_may_differ_in_kind(tmp_path: Path) -> None:
    for name, mood in (("a.csv", lambda n: n), ("b.csv", lambda n: "good")):
        write_table(tmp_path / name, NUM, mood=mood, title=lambda n, name=name: f"{name} {TITLES[n]}")
    answer("prepare", tmp_path / "a.csv", tmp_path / "b.csv", "--no-images", "--keep", "mood", "--data", tmp_path / "data")
    assert load_dataset(tmp_path / "data").posts["own.mood"].iloc[[3, NUM]].tolist() == ["3", "good"]


def test_parquet_columns_that_nothing_can_read_are_left_out_and_said(tmp_path: Path) -> None:
    latin = pa.array([b"caf\xe9"] * NUM, pa.binary()).view(pa.string())  # a string column, written by somebody, of no UTF-8
    columns = {
        "id": pa.array([f"p{n}" for n in range(NUM)]),
        "views": pa.array(range(NUM)),
        "title": pa.array(TITLES),
        "description": latin,
        "date": pa.array([2**50] * NUM, pa.timestamp("s")),
        "tags": pa.array([float("nan")] * NUM),
        "length": pa.array(range(NUM), pa.duration("s")),
    }
    pq.write_table(pa.table(columns), tmp_path / "posts.parquet")
    found = prepare(tmp_path / "posts.parquet")
    posts = load_dataset(tmp_path / "data").posts
    assert set(posts["description"]) == {"caf\ufffd"}
    assert set(posts["tags"]) == {""}
    assert any(
        "column 'date' (timestamp[ms]) cannot be read and counts as absent" in warning for warning in found["warnings"]
    )
