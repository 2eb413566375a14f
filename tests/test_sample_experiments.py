"""Synthetic experiments: counts that follow known true rates, which no command reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.errors import EngageError, WrongCallError
from engage_cli.steps.sample import COVERS, EXPERIMENTS_TABLE, MARKER, TRUTH, write_sample
from engage_cli.synthetic.experiments import LAW, make_experiments
from tests.calls import answer


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_clicks_are_drawn_from_the_true_rates() -> None:
    made = make_experiments(4000, 0)
    table, rate = made.table, made.truth["true_rate"].to_numpy()
    assert (table["id"] == made.truth["id"]).all()
    shown, clicks = table["impressions"].to_numpy(), table["clicks"].to_numpy()
    z = (clicks - shown * rate) / np.sqrt(shown * rate * (1 - rate))
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1.0, abs=0.03)
    logs = pd.Series(np.log(rate))
    within = logs - logs.groupby(table["test_id"]).transform("mean")
    assert logs.groupby(table["test_id"]).mean().std() == pytest.approx(LAW["post"], abs=0.1)
    assert 0.2 < within.std() < 0.4
    assert table.groupby("test_id").size().between(2, 6).all()
    assert not table.duplicated(["test_id", "headline", "image"]).any()


def test_a_sample_of_experiments_is_the_same_again_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    summary = write_sample(tmp_path / "a", rows=20, seed=3, experiments=True)
    whole = files_in(tmp_path / "a")
    assert set(whole) >= {MARKER, TRUTH, str(EXPERIMENTS_TABLE)}
    assert summary.covers == len([name for name in whole if name.startswith(COVERS)])
    (tmp_path / "a" / EXPERIMENTS_TABLE).unlink()  # killed before its last file
    next((tmp_path / "a" / COVERS).iterdir()).unlink()
    write_sample(tmp_path / "a", rows=20, seed=3, experiments=True)
    assert files_in(tmp_path / "a") == whole
    with pytest.raises(EngageError, match="is a finished sample"):
        write_sample(tmp_path / "a", rows=20, seed=3, experiments=True)
    write_sample(tmp_path / "a", rows=12, seed=4, overwrite=True)  # of another kind: nothing of the first is left
    assert not {TRUTH, str(EXPERIMENTS_TABLE)} & set(files_in(tmp_path / "a"))
    assert not any(name.startswith(f"{COVERS}/t") for name in files_in(tmp_path / "a"))


def test_prepare_reads_the_counts_and_never_the_truth(tmp_path: Path) -> None:
    write_sample(tmp_path / "a", rows=60, experiments=True, with_images=False)
    found = answer("prepare", "--table", tmp_path / "a" / EXPERIMENTS_TABLE, "--no-images", "--data", tmp_path / "data")
    assert list(found["targets"]) == ["click_rate"]
    posts = pd.read_parquet(tmp_path / "data" / "posts.parquet")
    truth = pd.read_csv(tmp_path / "a" / TRUTH)["true_rate"]
    numbers = posts.select_dtypes("number")
    assert not any(np.isclose(numbers[column].to_numpy(), truth.to_numpy()[: len(numbers)]).any() for column in numbers)


def test_planted_and_experiments_are_two_kinds(tmp_path: Path) -> None:
    with pytest.raises(WrongCallError, match="--planted and --experiments"):
        write_sample(tmp_path / "a", rows=20, planted=True, experiments=True)
