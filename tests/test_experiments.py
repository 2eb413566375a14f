"""Randomised experiments as data: columns, target, noise, split, and what never reaches a feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.preparation import PrepareConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.data.experiments import centred, experiment_arrays, experiment_codes, variant_names
from engage_cli.data.folds import make_folds
from engage_cli.data.leakage import known_before
from engage_cli.features.selection import parse_features
from tests.calls import answer, engage

WORDS = ("river", "mountain", "letter", "garden", "window", "market", "school", "winter", "planet", "violin")


def table_of_experiments(num: int = 40, variants: int = 3, *, seed: int = 0) -> pd.DataFrame:
    """A table as an archive of headline tests has it; some stories share a lede, some packages a headline."""
    rng = np.random.default_rng(seed)
    rows = []
    for test in range(num):
        for variant in range(variants):
            words = rng.choice(WORDS, 4)
            rows.append(
                {
                    "id": f"p{test}-{variant}",
                    "test_id": f"t{test}",
                    "headline": f"{' '.join(words)} {test} {variant if variant < 2 else 1}",
                    "lede": f"<p>story {test // 2}</p>",
                    "eyecatcher_id": f"e{test}-{variant % 2}",
                    "impressions": int(rng.integers(500, 4000)),
                    "clicks": int(rng.integers(0, 60)),
                }
            )
    return pd.DataFrame(rows)


def prepare_table(folder: Path, table: pd.DataFrame, *more: object) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "tests.csv", index=False)
    answer("prepare", "--table", folder / "tests.csv", "--no-images", "--data", folder / "data", *more)
    return load_dataset(folder / "data")


@pytest.fixture(scope="module")
def experiments_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_table(tmp_path_factory.mktemp("tests"), table_of_experiments())


def test_an_experiment_is_recognised_by_name_and_its_columns_are_read(experiments_data: Dataset) -> None:
    posts, table = experiments_data.posts, table_of_experiments()
    found = posts.set_index("id").loc[table["id"]]
    assert found["experiment"].tolist() == table["test_id"].tolist()
    assert found["image_id"].tolist() == table["eyecatcher_id"].tolist()
    np.testing.assert_array_equal(found["outcome"], table["clicks"])
    np.testing.assert_array_equal(found["exposure"], table["impressions"])
    assert experiments_data.meta.columns["experiment"] == "before"
    assert {experiments_data.meta.columns[name] for name in ("outcome", "exposure")} == {"after"}
    assert "views" not in posts


def test_click_rate_and_its_noise_are_those_of_the_counts(experiments_data: Dataset) -> None:
    posts, target = experiments_data.posts, experiments_data.target("click_rate")
    clicks, shown = posts["outcome"].to_numpy(), posts["exposure"].to_numpy()
    np.testing.assert_allclose(target.score(posts), np.log((clicks + 0.5) / (shown + 1)), rtol=1e-12)
    arrays = experiment_arrays(posts, target)
    np.testing.assert_allclose(arrays.noise, 1 / (clicks + 0.5) - 1 / (shown + 1), rtol=1e-12)
    assert arrays.any
    assert len(set(arrays.experiment)) == 40
    assert str(target.formula) == "log((outcome + 0.5) / (exposure + 1))"


def test_the_known_variance_is_that_of_drawn_clicks() -> None:
    from engage_cli.data.targets.click_rate import variance_of

    clicks = np.random.default_rng(0).binomial(3000, 0.02, 20_000)
    scores = np.log((clicks + 0.5) / 3001)
    assert scores.var() == pytest.approx(variance_of(clicks, np.full(20_000, 3000)).mean(), rel=0.05)
    assert scores.mean() == pytest.approx(np.log(0.02), abs=0.01)


@pytest.mark.parametrize(
    "more",
    [[], ["--no-dedupe"], ["--seed", 7], ["--split", "time", "--fractions", "60/20/20"], ["--split", "author"]],
)
def test_no_experiment_stands_in_two_parts(tmp_path: Path, more: list[object]) -> None:
    table = table_of_experiments()
    row = np.arange(len(table))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(row // 3 + row % 3, unit="D")  # variants on several days
    authors = np.where(row % 11 == 0, "guest", "a" + pd.Series(row // 6 % 10).astype(str))
    table = table.assign(created_at=days.strftime("%Y-%m-%d"), author=authors)
    posts = prepare_table(tmp_path, table, *more).posts
    used = posts[posts["split"] != ""]
    assert used.groupby("experiment")["split"].nunique().max() == 1
    if more != ["--no-dedupe"]:  # two experiments tell each story
        assert used.groupby("description")["split"].nunique().max() == 1


def test_a_given_split_cannot_divide_an_experiment(tmp_path: Path) -> None:
    table = table_of_experiments()
    parts = np.array(["train", "train", "validation", "test"])[np.arange(120) // 6 % 4]
    table = table.assign(part=np.where(np.arange(120) % 31 == 0, "test", parts))
    posts = prepare_table(tmp_path, table, "--split", "file", "--split-from", "part").posts
    assert posts[posts["split"] != ""].groupby("experiment")["split"].nunique().max() == 1


def test_no_fold_divides_an_experiment(experiments_data: Dataset) -> None:
    folds = make_folds(experiments_data.posts, 5, seed=0)
    codes = experiment_codes(experiments_data.posts)
    for number in range(5):
        assert not set(codes[folds.held_out(number)]) & set(codes[folds.fitted(number)])


def test_group_keeps_posts_together_that_nothing_else_joins(tmp_path: Path) -> None:
    table = table_of_experiments().drop(columns=["lede"]).assign(campaign=[f"c{row // 12}" for row in range(120)])
    posts = prepare_table(tmp_path, table, "--group", "campaign").posts
    assert posts["group"].nunique() == 10
    assert "--group nowhere" in engage("prepare", tmp_path / "tests.csv", "--group", "nowhere", "--no-images").stderr


def test_outcome_exposure_and_experiment_reach_no_feature(experiments_data: Dataset) -> None:
    assert not {"outcome", "exposure"} & set(known_before(experiments_data.posts))
    for name in ("outcome", "exposure", "clicks", "impressions"):
        with pytest.raises(Exception, match="known only after publication"):
            parse_features(f"honest,{name}", experiments_data.posts.columns, experiments_data.source_names)
    for name in ("experiment", "image_id", "test_id"):
        with pytest.raises(Exception, match="no such feature"):
            parse_features(f"honest,{name}", experiments_data.posts.columns, experiments_data.source_names)
    assert not {"experiment", "image_id"} & {probe.column for probe in experiments_data.meta.probes}


@pytest.mark.parametrize("column", ["clicks", "impressions"])
def test_outcome_and_exposure_cannot_be_kept(tmp_path: Path, column: str) -> None:
    table_of_experiments().to_csv(tmp_path / "tests.csv", index=False)
    result = engage("prepare", tmp_path / "tests.csv", "--no-images", "--keep", column, "--data", tmp_path / "data")
    assert result.exit_code == 2
    assert f"--keep {column}: that is a counter, known only after publication" in result.stderr


def test_columns_of_other_names_are_named_by_options(tmp_path: Path) -> None:
    table = table_of_experiments().rename(columns={"test_id": "arm_of", "clicks": "opened", "impressions": "sent"})
    table.to_csv(tmp_path / "tests.csv", index=False)
    call = ["prepare", tmp_path / "tests.csv", "--no-images", "--data", tmp_path / "data", "--experiment", "arm_of"]
    result = engage(*call)
    assert result.exit_code == 2
    assert "name the outcome and the exposure, as in --outcome COLUMN" in result.stderr
    found = answer(*call, "--outcome", "opened", "--exposure", "sent")
    assert list(found["targets"]) == ["click_rate"]
    assert engage(*call, "--map", "experiment=id").stderr.startswith("engage: --experiment and --map experiment=...:")


def test_clicks_and_impressions_of_no_experiment_are_left_alone(tmp_path: Path) -> None:
    table = table_of_experiments().drop(columns="test_id").assign(views=range(1, 121))
    posts = prepare_table(tmp_path, table).posts
    assert not {"experiment", "outcome", "exposure", "image_id"} & set(posts)
    alone = table_of_experiments().assign(views=range(1, 121), test_id=[f"t{row}" for row in range(120)])  # never twice
    assert "experiment" not in prepare_table(tmp_path / "alone", alone).posts


def test_counts_that_cannot_be_are_unknown_and_named(tmp_path: Path) -> None:
    table = table_of_experiments()
    table.loc[3, ["clicks", "impressions"]] = [9, 5]
    table.loc[4, ["clicks", "impressions"]] = [0, 0]
    table.to_csv(tmp_path / "tests.csv", index=False)
    found = answer("prepare", tmp_path / "tests.csv", "--no-images", "--data", tmp_path / "data")
    assert any("more outcomes than it was shown" in warning and "row 4" in warning for warning in found["warnings"])
    assert any("shown to nobody" in warning and "row 5" in warning for warning in found["warnings"])
    assert found["rows"]["kept"] == 118
    assert "more outcomes than it was shown" in (tmp_path / "data" / "problems.csv").read_text()


def test_experiments_and_ordinary_posts_are_prepared_together(tmp_path: Path) -> None:
    table_of_experiments().to_csv(tmp_path / "tests.csv", index=False)
    views = pd.DataFrame({"id": range(60), "title": [f"post {row} of mine" for row in range(60)], "views": range(60)})
    views.to_csv(tmp_path / "posts.csv", index=False)
    call = ["prepare", tmp_path / "tests.csv", tmp_path / "posts.csv", "--no-images", "--data", tmp_path / "data"]
    found = answer(*call, "--split", "random")
    assert {"views", "click_rate"} <= set(found["targets"])
    dataset = load_dataset(tmp_path / "data")
    arrays = experiment_arrays(dataset.posts, dataset.target("click_rate"))
    ordinary = (dataset.posts["source"] == "posts.csv").to_numpy()
    assert (arrays.experiment[ordinary] == -1).all()
    assert (arrays.noise[ordinary] == 0).all()
    assert dataset.posts["experiment"][~ordinary].str.startswith("tests.csv:t").all()


def test_centring_takes_each_experiments_weighted_mean_away() -> None:
    values, experiment = np.array([1.0, 3.0, 10.0, 20.0, 5.0]), np.array([0, 0, 1, 1, -1])
    np.testing.assert_allclose(centred(values, experiment), [-1, 1, -5, 5, 0])
    weights = np.array([3.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(centred(values, experiment, weights), [-0.5, 1.5, -5, 5, 0])


def test_variants_that_look_alike_to_a_model_have_one_name(experiments_data: Dataset) -> None:
    posts = experiments_data.posts.set_index("id", drop=False)
    names = variant_names(posts)
    table = table_of_experiments().set_index("id")
    for test in range(40):
        same = table.loc[f"p{test}-1", "headline"] == table.loc[f"p{test}-2", "headline"]
        assert (names[f"p{test}-1"] == names[f"p{test}-2"]) == same
        assert names[f"p{test}-0"] != names[f"p{test}-1"]


def test_results_of_test_and_compare_are_an_experiment(tmp_path: Path) -> None:
    rows = [
        *(("v1", "a.jpg", "38.4%", 9000, 600), ("v1", "b.jpg", "33.2%", "", ""), ("v1", "c.jpg", "28.4%", "", "")),
        *(("v2", "d.jpg", "0.55", 4000, 100), ("v2", "e.jpg", "0.45", 4000, 100)),
    ]
    table = pd.DataFrame(rows, columns=["Video ID", "Thumbnail", "Watch time share", "Impressions", "Views"])
    more = [(f"w{n}", f"{n}{side}.jpg", "50 %", 1000, 50) for n in range(20) for side in "xy"]
    table = pd.concat([table, pd.DataFrame(more, columns=table.columns)]).assign(Title="my video")
    table["Title"] = table["Title"] + " " + table["Video ID"]
    posts = prepare_table(tmp_path, table).posts.set_index("id")
    assert posts.loc["v1/1", ["experiment", "outcome", "exposure", "image"]].tolist() == ["v1", 115, 3000, "a.jpg"]
    assert posts.loc["v2/2", ["experiment", "outcome", "exposure"]].tolist() == ["v2", 22, 2000]
    shares = posts.loc[["v1/1", "v1/2", "v1/3"], "outcome"] / 300
    np.testing.assert_allclose(shares, [0.384, 0.332, 0.284], atol=0.003)
    table.iloc[0, 2] = "58.4%"
    table.to_csv(tmp_path / "off.csv", index=False)
    result = engage("prepare", tmp_path / "off.csv", "--no-images", "--data", tmp_path / "off")
    assert "row 1: the watch time shares of 'v1' do not sum to 100 %" in result.stderr


def test_older_targets_keep_their_fingerprint(dataset: Dataset) -> None:
    assert all("per_exposure" not in target.to_json()["formula"] for target in dataset.meta.targets.values())
    assert PrepareConfig().group == ""
