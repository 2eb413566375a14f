"""What is known only after publication reaches no model under any name, and a column that hides it is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engage_cli.config.general import EncoderConfig
from engage_cli.data.leakage import known_before, probe
from engage_cli.data.schema import ALL_COUNTERS, KNOWN_AFTER, KNOWN_BEFORE
from engage_cli.errors import WrongCallError
from engage_cli.features.groups import LEAKY_PARTS, PARTS, SETS
from engage_cli.features.selection import parse_features
from engage_cli.features.table import load_table
from tests.calls import answer, engage
from tests.sources import write_table

COLUMNS = [*KNOWN_BEFORE, "own.duration", *(f"own.{name}" for name in ALL_COUNTERS), *KNOWN_AFTER]
SOURCES = {"views": "view_count", "likes": "thumbup_number", "title": "title", "score": "label"}


def test_the_guard_lets_through_what_is_listed_and_nothing_else() -> None:
    posts = pd.DataFrame({column: [1] for column in [*KNOWN_BEFORE, "own.duration", *KNOWN_AFTER, "novelty"]})
    assert list(known_before(posts).columns) == [*KNOWN_BEFORE, "own.duration"]
    assert not set(KNOWN_AFTER) & set(KNOWN_BEFORE)


@pytest.mark.parametrize("name", ALL_COUNTERS)
@given(upper=st.booleans(), around=st.sampled_from(["{}", " {} ", "_{}", "{}!", "own.{}"]), wide=st.booleans())
def test_no_spelling_reaches_a_counter(name: str, upper: bool, around: str, wide: bool) -> None:
    spelled = around.format(name.upper() if upper else name)
    if wide:
        spelled = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c != "," else c for c in spelled)
    # Even where a kept column has the counter's very name.
    with pytest.raises(WrongCallError, match="known only after publication, so no model may see it"):
        parse_features(f"honest,{spelled}", COLUMNS, SOURCES)


@pytest.mark.parametrize("name", ["view_count", "View Count", "thumbup_number", "Ｌｉｋｅｓ", "label", "score"])
def test_a_counter_is_refused_as_one_by_the_sources_name_too(name: str) -> None:
    with pytest.raises(WrongCallError, match="known only after publication"):
        parse_features(name, COLUMNS, SOURCES)


def test_features_that_exist() -> None:
    honest = parse_features("honest", COLUMNS, SOURCES)
    parts = (*(n for n in PARTS if n in SETS["honest"]), "own_columns")  # a kept duration is a known column
    assert (honest.parts, honest.columns, honest.is_leaky) == (parts, ("own.duration",), False)
    more = parse_features("words, duration ,hour,hour,title_statistics", COLUMNS, SOURCES)
    assert more.parts == ("words_score", "title_topics", "description_topics", "title_statistics", "time", "own_columns")
    assert more.columns == ("own.duration",)
    with pytest.raises(WrongCallError, match=r"'lenght': no such feature; give one of: honest, .*, duration"):
        parse_features("lenght", COLUMNS, SOURCES)
    with pytest.raises(WrongCallError, match="no such feature"):
        parse_features("group", COLUMNS, SOURCES)


RNG = np.random.default_rng(0)
VIEWS = np.exp(RNG.normal(8, 2, 2000)).round()
IDS = pd.Series([f"p{n}" for n in range(len(VIEWS))])
HIDDEN = {
    "the counter itself": VIEWS.astype(int).astype(str),
    "a counter that follows it": (VIEWS * 0.1 * np.exp(RNG.normal(0, 0.3, 2000))).round().astype(int).astype(str),
    "in words": np.array([f"seen by {n:,.0f} people" for n in VIEWS]),
    "shortened": np.array([f"{n / 1000:.1f}K" for n in VIEWS]),
    "as quintiles": pd.qcut(VIEWS, 5, labels=list("dbeac")).astype(str),
    "as the length": np.array(["x" * int(4 * np.log1p(n)) for n in VIEWS]),
    "as its rank": VIEWS.argsort().argsort().astype(str),
}


def test_counters_come_with_the_study_alone() -> None:
    assert [name for name, parts in SETS.items() if set(parts) & set(LEAKY_PARTS)] == ["study"]
    assert parse_features("study", COLUMNS, SOURCES).is_leaky
    for refused in ("counters", "honest,counters"):
        with pytest.raises(WrongCallError, match="--features counters: known only after publication"):
            parse_features(refused, COLUMNS, SOURCES)
    with pytest.raises(WrongCallError, match="is the study's own set; it cannot be combined with other features"):
        parse_features("study,duration", COLUMNS, SOURCES)


@pytest.mark.parametrize("way", HIDDEN)
def test_the_probe_sees_a_counter_in_every_disguise(way: str) -> None:
    posts = pd.DataFrame({"description": HIDDEN[way], "views": VIEWS})
    (found,) = probe(posts, IDS, {"views": np.log1p(VIEWS)}, ["description"])
    assert found.is_suspicious, found
    assert found.known_before


def test_the_probe_leaves_innocent_columns_alone() -> None:
    posts = pd.DataFrame(
        {
            "title": [f"title {n} with {RNG.integers(0, 100)} words" for n in range(2000)],
            "author": [f"a{n % 500}" for n in range(2000)],
            "own.constant": 1.0,
            "tags": np.where(np.log1p(VIEWS) + RNG.normal(0, 4, 2000) > 8, "hot", "cold"),
        }
    )
    found = {one.column: one for one in probe(posts, IDS, {"views": np.log1p(VIEWS)}, list(posts.columns))}
    assert not any(one.is_suspicious for one in found.values())
    assert found["own.constant"].r2 == 0.0
    assert 0.05 < found["tags"].r2 < 0.4  # honest signal is measured, not flagged


@pytest.mark.parametrize("num", [72, 400, 30_000])
def test_the_probe_sees_an_exact_copy_on_few_rows_and_many_and_in_any_order(num: int) -> None:
    views = np.exp(np.random.default_rng(2).normal(8, 2, num)).round()
    posts, ids = pd.DataFrame({"own.plays": views}), pd.Series([f"p{n}" for n in range(num)])
    (found,) = probe(posts, ids, {"views": np.log1p(views)}, ["own.plays"])
    assert found.is_suspicious, found
    order = np.random.default_rng(3).permutation(num)
    (again,) = probe(posts.iloc[order], ids.iloc[order], {"views": np.log1p(views)[order]}, ["own.plays"])
    assert again == found


def test_a_planted_leak_is_named_by_prepare(tmp_path: Path) -> None:
    """The user maps a counter as a harmless description, and keeps another under an innocent name."""
    table = write_table(
        tmp_path / "posts.csv",
        300,
        views=lambda n: (n * 37) % 1000,
        note=lambda n: 2 * ((n * 37) % 1000),
        mood=lambda n: (n * 37) % 1000 // 200,
    )
    found = answer(
        "prepare",
        "--table",
        table,
        "--no-images",
        "--data",
        tmp_path / "data",
        "--map",
        "description=note",
        "--keep",
        "mood",
    )
    for column in ("description", "mood"):
        assert any(f"column '{column}' alone predicts" in warning for warning in found["warnings"]), column
    assert not any("column 'title'" in warning for warning in found["warnings"])
    assert found["columns"]["views"] == "after"
    assert found["columns"]["own.mood"] == "before"
    assert {column for column, known in found["columns"].items() if known == "after"} == {"views"}


def test_kept_columns_reach_catboost_by_name_alone(tmp_path: Path, encoders: EncoderConfig) -> None:
    table = write_table(
        tmp_path / "posts.csv", 120, length=lambda n: n % 7, mood=lambda n: "ab"[n % 2], likes=lambda n: n * 3 + 1
    )
    data = ["--data", tmp_path / "data", "--vision", encoders.vision, "--text", encoders.text]
    answer("prepare", "--table", table, "--no-images", "--data", tmp_path / "data", "--keep", "length,mood")
    train = ["train-catboost", *data, "--target", "views", "--as", "value", "--iterations", 5, "--run"]
    names = {}
    for run, features in (("plain", "honest"), ("more", "honest,length,mood")):
        answer(*train, tmp_path / run, "--features", features)
        names[run] = set(load_table((tmp_path / run).joinpath).names)
    assert names["more"] - names["plain"] == {"own.length", "own.mood"}
    refused = engage(*train, tmp_path / "refused", "--features", "honest,LIKES")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "known only after publication, so no model may see it" in refused.stderr
    image = tmp_path / "image.png"
    from tests.sources import encoded, picture

    image.write_bytes(encoded(picture(1), "PNG"))
    ask = ["predict", image, "--title", "title number 4", "--run", tmp_path / "more"]
    assert "not given: length, mood (the run was trained with them); give --column length=" in engage(*ask).stderr
    assert "not given" not in engage(*ask, "--column", "length=3", "--column", "mood=a").stderr
    assert "was trained without it; its columns are: length, mood" in engage(*ask, "--column", "likes=3").stderr
    assert "'long' is not a number" in engage(*ask, "--column", "length=long").stderr
