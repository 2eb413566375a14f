"""A run on a base: the prior holds without evidence, posts overrule it, the base goes along, misuse is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engage_cli.config.general import EncoderConfig
from engage_cli.config.preparation import PrepareConfig
from engage_cli.config.training import EnsembleConfig
from engage_cli.data.dataset import Dataset, load_dataset
from engage_cli.errors import EngageError
from engage_cli.models.ensemble.amount import fit_amount, share_kept
from engage_cli.models.predictor import load_predictor
from engage_cli.progress.reporters import SilentReporter
from engage_cli.runs.records import write_run_record
from engage_cli.runs.run_folder import TEST_FILE, TEST_KIND, load_run, verify_run
from engage_cli.steps.evaluate import evaluate
from engage_cli.steps.evaluate.report import _figures_of
from engage_cli.steps.inputs.sources import source_of
from engage_cli.steps.prepare import prepare
from engage_cli.steps.prepare.import_posts import Source
from engage_cli.steps.sample import write_sample
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.train import _cross_fit as cross_fit
from engage_cli.steps.train.on_base import HERE, train_on_base
from engage_cli.uncertainty.forecast import load_uncertainty
from tests.calls import answer, engage


@pytest.mark.parametrize(("num", "near"), [(0, 1.0), (4, 1.0), (4000, 0.5)])
def test_a_base_is_right_until_posts_show_otherwise(num: int, near: float) -> None:
    random = np.random.default_rng(0)
    predicted = random.normal(9, 1, max(num, 2))
    true = 3 + 0.5 * predicted + random.normal(0, 2, max(num, 2))
    found = fit_amount(predicted if num else np.full(2, 9.0), true if num else np.full(2, 9.0))
    assert found.scale == pytest.approx(near, abs=0.2)
    if num > 1000:
        assert found.of(np.array([9.0]))[0] == pytest.approx(7.5, abs=0.1)
        assert found.offset == pytest.approx(3, abs=0.8)
    elif num == 0:
        assert (found.scale, found.offset) == pytest.approx((1, 0))


def test_a_base_that_tells_the_wrong_way_is_not_turned_round() -> None:
    predicted = np.arange(500.0)
    assert fit_amount(predicted, -predicted).scale == 0


def test_what_chance_gains_is_not_kept() -> None:
    assert share_kept(-0.2, 100) == share_kept(0.02, 100) == share_kept(0.9, 3) == 0
    assert 0.8 < share_kept(0.2, 100) < share_kept(0.2, 1000) < 1


@pytest.fixture(scope="module")
def few(world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """60 other posts."""
    folder = tmp_path_factory.mktemp("few")
    write_sample(folder / "pixelrec", rows=60, seed=11)
    found = prepare(PrepareConfig(), folder=folder / "data", sources=[Source(path=folder / "pixelrec", format="pixelrec")])
    return found.dataset


def settings(encoders: EncoderConfig, **more: str) -> EnsembleConfig:
    return EnsembleConfig(**{"target": "views", "vision": encoders.vision, "text": encoders.text, **more})


def test_few_posts_start_from_a_base(
    few: Dataset, world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_steps: None
) -> None:
    monkeypatch.setattr(cross_fit, "ENOUGH_VALIDATION", 50)
    base, place = tmp_path / "others", tmp_path / "run"
    shutil.copytree(world / "runs" / "gp", base)
    run = train_on_base(settings(encoders), base, dataset=few, encoders=encoders, run=place).run
    assert run.meta.members == ("base-run", HERE)
    num = sum(len(few.rows(part, run.target)) for part in ("train", "validation"))
    assert load_uncertainty(run).calibration.rows == num
    assert run.done.evidence is not None
    assert (run.done.evidence.method, run.done.evidence.held_out) == ("cross-validation", num)
    # Its six test posts show nothing by themselves: they are scored with all that were predicted in turn.
    evaluation = evaluate([place], dataset=few, num_resamples=50)
    (tested,), (crossed,) = evaluation.runs, evaluation.cross_validated
    assert f"{tested.rows} test posts" in tested.warnings[0]
    assert set(crossed.warnings) <= set(tested.warnings)
    assert crossed.rows == num + tested.rows
    assert len(np.unique(crossed.places)) == crossed.rows
    np.testing.assert_array_equal(crossed.true, run.target.score(few.posts.iloc[crossed.places]))
    low = crossed.metrics["r2"]["low"]
    assert bool(crossed.warnings) == (low <= 0)
    assert all("not shown to be better than a guess" in warning for warning in crossed.warnings)
    assert evaluation.to_json()["cross_validated"][0]["rows"] == crossed.rows
    assert evaluate([place], dataset=few, split="validation", num_resamples=0).cross_validated == []
    figures = _figures_of(load_run(place), tested, crossed)
    write_run_record(place / TEST_FILE, figures, TEST_KIND)
    told = describe_run(load_run(place), None)  # what the page shows of it
    assert told["cross_validated"] is not None
    assert told["cross_validated"]["rows"] == crossed.rows
    shown = {one["name"]: one["value"] for one in told["cross_validated"]["metrics"]}
    assert shown["r2"] == crossed.metrics["r2"]["value"]
    # The base is gone, and went along: every number of the answer is found in the new run alone.
    shutil.rmtree(base)
    verify_run(place)
    posts = few.posts[few.posts["split"] == "test"]
    said = load_predictor(run).predict(posts, source_of(run, few, SilentReporter())).main
    parts = []
    for name in run.meta.members:
        member = load_run(place / "members" / name)
        parts.append(load_predictor(member).predict(posts, source_of(member, few, SilentReporter())).main)
    weights = run.done.weights
    np.testing.assert_allclose(said, run.done.offset + np.stack(parts, axis=1) @ list(weights.values()))
    assert weights["base-run"] > 0.2
    assert str(tmp_path) not in (place / "run.json").read_text()
    marker = place / "members" / "base-run" / "metrics.json"
    marker.write_text(marker.read_text().replace("gp", "pg") + " ")
    with pytest.raises(EngageError, match=r"changed|damaged|not the"):
        load_predictor(load_run(place))


def test_a_training_on_a_base_goes_on_where_it_was_killed(
    few: Dataset, world: Path, encoders: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_steps: None
) -> None:
    base = world / "runs" / "gp"
    whole = train_on_base(settings(encoders), base, dataset=few, encoders=encoders, run=tmp_path / "whole").run
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("engage_cli.steps.train.on_base.share_kept", killed)
        with pytest.raises(KeyboardInterrupt):
            train_on_base(settings(encoders), base, dataset=few, encoders=encoders, run=tmp_path / "killed")
    done = train_on_base(settings(encoders), base, dataset=few, encoders=encoders, run=tmp_path / "killed")
    assert done.went_on
    assert done.run.done.weights == whole.done.weights


def test_what_cannot_be_a_base_is_refused(few: Dataset, world: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    gp = world / "runs" / "gp"

    def refusal(base: Path, dataset: Dataset = few, encoders: EncoderConfig = encoders, **more: str) -> str:
        with pytest.raises(EngageError) as refused:
            train_on_base(settings(encoders, **more), base, dataset=dataset, encoders=encoders, run=tmp_path / "none")
        assert not (tmp_path / "none").exists()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert "give --target views" in refusal(gp, target="popularity")
    assert "--as value" in refusal(gp, kind="classes")
    assert "--as value" in refusal(world / "runs" / "classifier")
    assert "--members cannot be given" in refusal(gp, members="gp,catboost")
    other = replace(encoders, pool="mean")
    assert "encoder" in refusal(gp, encoders=other)
    assert "these very posts" in refusal(gp, dataset=load_dataset(world / "data"))


def test_a_base_that_knows_some_of_the_posts_is_refused(
    pixelrec: Path, world: Path, encoders: EncoderConfig, tmp_path: Path
) -> None:
    """Other posts with them, another split: the data have another fingerprint, and the posts are known all the same."""
    again = prepare(PrepareConfig(seed=5), folder=tmp_path / "data", sources=[Source(path=pixelrec, format="pixelrec")])
    with pytest.raises(EngageError, match="of these posts too"):
        train_on_base(settings(encoders), world / "runs" / "gp", dataset=again.dataset, encoders=encoders)


def test_the_command_takes_a_base(few: Dataset, world: Path, encoders: EncoderConfig, tmp_path: Path) -> None:
    at = ["--data", few.folder, "--vision", encoders.vision, "--text", encoders.text, "--run", tmp_path / "run"]
    found = answer("train", *at, "--target", "views", "--base", world / "runs" / "gp")
    assert set(found["weights"]) == {"base-run", HERE}
    shown = engage("evaluate", tmp_path / "run", "--data", few.folder)
    assert shown.exit_code == 0, shown.stderr
    refused = engage("train", *at[:-1], tmp_path / "no", "--target", "views", "--base", tmp_path / "nothing")
    assert (refused.exit_code, refused.stdout) == (1, "")
