"""The hints on what comes next: followed to the letter, they lead from posts to a prediction."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from engage_cli.cli.render.next_step import OWN_COVER, next_step
from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.data.dataset_meta import fingerprint_of
from engage_cli.steps.train import pipeline as step
from tests.calls import engage
from tests.test_train import few_trees


def follow(*arguments: object) -> list[str]:
    """Run a command; return the words of the one that it says comes next."""
    result = engage(*arguments)
    assert result.exit_code == 0, result.stderr
    hints = [line for line in result.stdout.splitlines() if line.startswith("Next: ")]
    if not hints:
        assert arguments[0] == "predict"
        return []
    (hint,) = hints
    program, *words = shlex.split(hint.removeprefix("Next: "))
    assert program == "engage"
    return words


@pytest.mark.parametrize("covers", [True, False], ids=["covers", "no covers"])
def test_the_hints_lead_from_posts_to_a_prediction(
    checkpoints: dict[str, str], covers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "it's my folder"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("vit", "bert"):
        Path(f"my {name}").symlink_to(checkpoints[name])
    monkeypatch.setitem(step.TRAINERS, "catboost", few_trees)
    asked = follow("sample", "the sample", "--rows", 60, *([] if covers else ["--no-images"]))
    embed = follow(*asked, "--data", "my data")
    assert embed == ["embed", "--data", "my data"]
    train = follow(*embed, "--vision", "my vit", "--text", "my bert", "--dtype", "fp32")
    assert train == ["train", "--vision", "my vit", "--text", "my bert", "--dtype", "fp32", "--data", "my data"]
    evaluate = follow(*train, "--runs", "my runs")
    assert (evaluate[0], *evaluate[2:]) == ("evaluate", "--data", "my data", "--runs", "my runs")
    predict = follow(*evaluate)
    assert predict[-4:] == ["--run", evaluate[1], "--runs", "my runs"]
    assert predict.count("--title") == 2
    assert (predict[1] == OWN_COVER) == covers  # no published post is the example
    if covers:
        shutil.copy(next(Path("the sample").rglob("*.jpg")), OWN_COVER)
    assert follow(*predict) == []
    stores = list((place / "my data" / "features").glob("local-*"))
    assert len(stores) == 2  # training read what was embedded, and made no store of its own


def test_words_are_quoted_for_a_shell_and_paths_are_no_options() -> None:
    hint = next_step("evaluate", Path("-runs/it's a; run"), data=Path("data"), runs=Path("$HOME runs"))
    assert shlex.split(hint) == ["Next:", "engage", "evaluate", "./-runs/it's a; run", "--runs", "$HOME runs"]
    assert next_step("embed", data=Path("data"), runs=Path("runs")) == "Next: engage embed"


def test_after_embed_comes_the_training_that_reads_it(world: Path) -> None:
    from engage_cli.cli.render.next_step import after_embed

    dataset = load_dataset(world / "data")
    assert after_embed(dataset, EncoderConfig(), Path("data")) == "Next: engage train"
    others = {name: target for name, target in dataset.meta.targets.items() if name != "popularity"}
    known = fingerprint_of(dataset.meta.files, others)
    dataset = replace(dataset, meta=replace(dataset.meta, targets=others, fingerprint=known))
    tokens = after_embed(dataset, EncoderConfig(tokens=16, precision="fp32"), Path("other data"))
    assert tokens == (
        "Next: engage train-regressor --recipe frozen --fusion study --tokens 16 --target views --encoder-precision fp32 "
        "--data 'other data'"
    )


def test_no_hint_leads_off_the_main_road(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = engage("predict", "--title", "a", "--title", "b")
    assert (
        result.stderr
        == "engage: no finished run under runs (none); create one with `engage train`, or name the folder with --runs\n"
    )
