"""Two ranks under torchrun train what one process trains on the same global batches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import Dataset
from engage_cli.main import app
from engage_cli.runtime.distributed import together
from engage_cli.steps.embed import embed
from tests import forked
from tests.calls import answer


def train_all(lines: str) -> None:
    """Both trainings in one start of the ranks: on stored features, and with encoders in the loop."""
    with together():  # ranks can meet but once in a process
        for line in Path(lines).read_text().splitlines():
            app(line.split("|"), standalone_mode=False)


def test_two_ranks_train_what_one_process_trains(
    dataset: Dataset, encoders: EncoderConfig, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    embed(dataset, encoders)  # before the ranks start: they only read
    common = ["--data", dataset.folder, "--vision", encoders.vision, "--text", encoders.text, "--dropout", 0]
    shared = [*common, "--width", 16, "--heads", 2, "--epochs", 3, "--precision", "fp32", "--lr", 1e-3]
    stored = ["train-regressor", *shared, "--accumulate", 2, "--ema", 0.9, "--average", 2]
    # 118 posts: the last window is short, its last batch shorter, and for some sizes one rank has none of it.
    # CLIP's text side, for BERT has dropout of its own, which no two ranks draw alike.
    live = [
        "train-classifier",
        *shared,
        "--text",
        checkpoints["clip"],
        "--finetune",
        "top:1",
        "--fusion",
        "attention",
        "--accumulate",
        1,
    ]
    lines = []
    for name, arguments in (("stored", stored), ("live", live)):
        batch_size = {"stored": 13, "live": 9}[name]
        answer(*arguments, "--batch-size", 2 * batch_size, "--run", tmp_path / f"{name}-one")
        two = [*arguments, "--batch-size", batch_size, "--run", tmp_path / f"{name}-two", "--json"]
        lines.append("|".join(map(str, two)))
    (tmp_path / "lines").write_text("\n".join(lines))
    done = forked.ranks(train_all, tmp_path / "lines")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"best_epoch"') == 2  # one rank answers for both
    for name, tolerance in (("stored", 1e-5), ("live", 1e-4)):
        one, two = (
            [json.loads(line) for line in (tmp_path / f"{name}-{ranks}" / "history.jsonl").read_text().splitlines()]
            for ranks in ("one", "two")
        )
        assert len(one) == len(two) == 3
        for ours, theirs in zip(one, two, strict=True):
            assert theirs["step"] == ours["step"]
            assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=tolerance)
            assert theirs["validation_loss"] == pytest.approx(ours["validation_loss"], rel=tolerance)
            assert theirs["validation"] == pytest.approx(ours["validation"], rel=1e-3, abs=1e-3)
        weights = [load_file(tmp_path / f"{name}-{ranks}" / "model.safetensors") for ranks in ("one", "two")]
        assert weights[0].keys() == weights[1].keys()
        for key, tensor in weights[0].items():
            if key.endswith("weigh.bias"):  # no softmax sees it: its gradient is rounding, of which AdamW makes steps
                continue
            torch.testing.assert_close(weights[1][key], tensor, atol=2e-4, rtol=2e-3)
        saved = [json.loads((tmp_path / f"{name}-{ranks}" / "run.json").read_text()) for ranks in ("one", "two")]
        assert [run["ranks"] for run in saved] == [1, 2]
        names = [{path.name for path in (tmp_path / f"{name}-{ranks}").iterdir()} for ranks in ("one", "two")]
        assert names[0] == names[1]


@pytest.mark.parametrize("command", ["train-regressor", "train-classifier", "embed"])
def test_torchrun_leaves_a_commands_options_alone(command: str) -> None:
    """It takes what could be an abbreviation of its own options, as --run, wherever that stands."""
    from torch.distributed.run import parse_args
    from typer.main import get_command

    options = [max(option.opts, key=len) for option in get_command(app).commands[command].params if option.name != "help"]
    assert "--run" not in options
    given = [part for option in options for part in (option, "1")]
    parsed = parse_args(["--standalone", "--nproc-per-node", "2", "-m", "engage_cli", command, *given])
    assert parsed.training_script_args == [command, *given]
