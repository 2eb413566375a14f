"""When counters were read: the age of posts, what it changes in training, and what is asked about before publication."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.data.ages import add_age, age_in_days, log_age, median_days, parse_days
from engage_cli.data.dataset import load_dataset
from engage_cli.data.importers.table import read_table
from engage_cli.data.leakage import known_before
from engage_cli.data.schema import LOG_AGE, OBSERVED_AT, is_known_before
from engage_cli.errors import WrongCallError
from engage_cli.features.table import load_table
from engage_cli.runs.run_folder import load_run
from tests.calls import answer, engage

DAY = pd.Timestamp("2024-05-01", tz="UTC")


def moments(*days: float | None) -> pd.Series:
    return pd.Series([pd.NaT if day is None else DAY + pd.Timedelta(days=day) for day in days], dtype="datetime64[us, UTC]")


def test_ages_by_value() -> None:
    posts = pd.DataFrame(
        {"posted_at": moments(0, 0, 0.5, 3, None, 1), OBSERVED_AT: moments(30, 0.001, 0, 1, 4, None)},
    )
    # A reading at the midnight of the day of publication is one of that day; one of days before it is a mistake.
    np.testing.assert_allclose(age_in_days(posts), [30, 0.001, 1 / 24, np.nan, np.nan, np.nan])
    found, notes = add_age(posts)
    np.testing.assert_allclose(found[LOG_AGE], [np.log(30), np.log(0.001), np.log(1 / 24), *[np.nan] * 3])
    assert [note.partition(" posts")[0] for note in notes] == ["1", "the counters of 2"]
    assert median_days(found) == pytest.approx(1 / 24)
    without = posts.drop(columns=OBSERVED_AT)
    assert add_age(without) == (without, [])
    assert median_days(without) is None


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("12h", 0.5), ("2w", 14), ("1y", 365.25), (" 1.5 D", 1.5)])
def test_durations(text: str, days: float) -> None:
    assert parse_days(text, "--after") == days


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "0d", "1e3d", "30 m", "9999999d", "nan d", "٣d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(WrongCallError, match=r"^--after .*: write a number of hours"):
        parse_days(text, "--after")


@pytest.mark.parametrize("name", ["crawled_at", "observed_at", "scraped_at", "fetched_at", "epoch", "retrieved_on"])
def test_the_reading_is_found_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(f"id,title,views,published_at,{name}\na,One,5,2024-05-01,1717200000\nb,Two,6,2024-05-02,1717200000\n")
    found = read_table(path)
    assert found.found[OBSERVED_AT] == name
    assert found.posts[OBSERVED_AT].tolist() == [pd.Timestamp("2024-06-01", tz="UTC")] * 2


@pytest.mark.parametrize("cell", ["soon", "", "17"])
def test_a_column_of_that_name_with_other_cells_is_left_alone(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(f"id,title,views,published_at,epoch\na,One,5,2024-05-01,{cell}\nb,Two,6,2024-05-02,{cell}\n")
    found = read_table(path)
    assert OBSERVED_AT not in found.found
    assert OBSERVED_AT not in found.posts


def test_dates_that_could_be_two_stop_nobody_who_did_not_name_them(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        "id,title,views,published_at,crawled_at\na,One,5,2024-05-01,05/06/2024\nb,Two,6,2024-05-02,06/07/2024\n"
    )
    found = read_table(path)
    assert OBSERVED_AT not in found.posts
    assert any("was not read as observed_at" in note for note in found.warnings)


def test_kaggle_trending(tmp_path: Path) -> None:
    path = tmp_path / "USvideos.csv"
    rows = ["a,17.14.11,One,2017-11-13T17:13:01.000Z,5", "b,17.15.11,Two,2017-11-13T07:30:00.000Z,6"]
    path.write_text("\n".join(["video_id,trending_date,title,publish_time,views", *rows]))
    days = age_in_days(read_table(path).posts)
    np.testing.assert_allclose(days, [(6 * 3600 + 46 * 60 + 59) / 86400, 1.6875])


def write_growing(path: Path, *, rows: int = 160, seed: int = 0, dated: bool = True) -> Path:
    """Write posts whose views grow as a power of their age, and depend on nothing else."""
    random = np.random.default_rng(seed)
    days = np.exp(random.uniform(np.log(1), np.log(400), rows))
    posted = [DAY + pd.Timedelta(hours=float(hour)) for hour in random.uniform(0, 9000, rows)]
    views = np.round(np.exp(4 + 0.8 * np.log(days) + random.normal(0, 0.1, rows)))
    posts = pd.DataFrame({"id": [f"p{n}" for n in range(rows)], "title": [f"title {n % 9}" for n in range(rows)]})
    posts["views"] = views.astype(int)
    posts["posted_at"] = [moment.isoformat() for moment in posted]
    if dated:
        read = [moment + pd.Timedelta(days=float(day)) for moment, day in zip(posted, days, strict=True)]
        posts["crawled_at"] = [moment.isoformat() for moment in read]
    posts.to_csv(path, index=False)
    return path


def test_the_reading_reaches_no_model_and_no_count_the_age(tmp_path: Path) -> None:
    table = write_growing(tmp_path / "posts.csv")
    answer("prepare", "--table", table, "--no-images", "--data", tmp_path / "data", "--split", "random", "--no-dedupe")
    dataset = load_dataset(tmp_path / "data")
    assert dataset.meta.columns[OBSERVED_AT] == "after"
    assert dataset.meta.columns[LOG_AGE] == "before"
    assert not is_known_before(OBSERVED_AT)
    assert OBSERVED_AT not in known_before(dataset.posts)
    # Other counts, the same ages: the age is made of the two dates alone.
    posts = pd.read_csv(table)
    posts.assign(views=posts["views"].sample(frac=1, random_state=1).to_numpy()).to_csv(table, index=False)
    answer("prepare", "--table", table, "--no-images", "--data", tmp_path / "again", "--split", "random", "--no-dedupe")
    pd.testing.assert_series_equal(load_dataset(tmp_path / "again").posts[LOG_AGE], dataset.posts[LOG_AGE])
    posts = dataset.posts
    seconds = (posts[OBSERVED_AT] - posts["posted_at"]).dt.total_seconds()
    np.testing.assert_allclose(posts[LOG_AGE], log_age(seconds.to_numpy() / 86_400))


def test_posts_too_young_are_counted_and_left_out(tmp_path: Path) -> None:
    table = write_growing(tmp_path / "posts.csv")
    ages = age_in_days(read_table(table).posts)
    young = int((ages < 7).sum())
    prepare = ["prepare", "--table", table, "--no-images", "--no-dedupe", "--data"]
    told = answer(*prepare, tmp_path / "data")
    assert any(f"the counters of {young:,} posts were read less than 7 days" in warning for warning in told["warnings"])
    told = answer(*prepare, tmp_path / "old", "--min-age", "7d")
    assert told["rows"]["left_out"] == {"counters read within 7d of publication": young}
    assert load_dataset(tmp_path / "old").posts[LOG_AGE].min() >= np.log(7)
    refused = engage(*prepare, tmp_path / "none", "--min-age", "seven")
    assert (refused.exit_code, refused.stdout) == (2, "")
    undated = write_growing(tmp_path / "undated.csv", dated=False)
    refused = engage("prepare", "--table", undated, "--no-images", "--data", tmp_path / "none", "--min-age", "7d")
    assert refused.exit_code == 1
    assert "no post says when it was published and when its counters were read" in refused.stderr


@pytest.mark.parametrize("command", ["train-gp", "train-catboost"])
def test_the_age_that_is_asked_about(tmp_path: Path, encoders: EncoderConfig, command: str) -> None:
    table, data, run = write_growing(tmp_path / "posts.csv"), tmp_path / "data", tmp_path / "run"
    answer("prepare", "--table", table, "--no-images", "--data", data, "--split", "random", "--no-dedupe")
    more = ["--iterations", 300, "--features", "age"] if command == "train-catboost" else []
    at = ["--data", data, "--vision", encoders.vision, "--text", encoders.text, "--run", run]
    answer(command, *at, "--target", "views", "--as", "value", *more)
    median = load_run(run).meta.data.median_age
    assert median == pytest.approx(median_days(load_dataset(data).posts.query("split == 'train'")))
    ask = ["predict", "--title", "title 3", "--run", run, "--json"]
    said = engage(*ask)
    assert said.stderr.count("after publication, the median of the training posts") == 1
    counts = {after: json.loads(engage(*ask, "--after", after).stdout)["posts"][0]["count"] for after in ("3d", "300d")}
    assert "median of the training posts" not in engage(*ask, "--after", "3d").stderr
    for after, days in (("3d", 3), ("300d", 300)):
        if command == "train-gp":  # trees that stop early reach less far
            assert np.log(counts[after]) == pytest.approx(4 + 0.8 * np.log(days), abs=0.45)
    assert counts["3d"] < json.loads(said.stdout)["posts"][0]["count"] < counts["300d"]
    titles = tmp_path / "titles.csv"
    titles.write_text("id,title\na,title 3\n")
    out = tmp_path / "out.csv"
    assert engage("predict", "--table", titles, "--out", out, "--run", run, "--after", "300d").exit_code == 0
    assert pd.read_csv(out)["count"][0] == pytest.approx(counts["300d"], rel=1e-2)
    refused = engage(*ask, "--after", "soon")
    assert (refused.exit_code, refused.stdout) == (2, "")


def test_without_readings_nothing_changes(tmp_path: Path, encoders: EncoderConfig) -> None:
    table, data, run = write_growing(tmp_path / "posts.csv", dated=False), tmp_path / "data", tmp_path / "run"
    answer("prepare", "--table", table, "--no-images", "--data", data, "--split", "random", "--no-dedupe")
    assert LOG_AGE not in load_dataset(data).posts
    at = ["--data", data, "--vision", encoders.vision, "--text", encoders.text, "--run", run]
    answer("train-catboost", *at, "--target", "views", "--as", "value", "--iterations", 3, "--features", "handcrafted")
    assert LOG_AGE not in load_table(run.joinpath).names
    assert load_run(run).meta.data.median_age is None
    ask = ["predict", "--title", "title 3", "--run", run]
    assert "after publication" not in engage(*ask).stderr
    refused = engage(*ask, "--after", "30d")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "does not know how old its training posts were" in refused.stderr
