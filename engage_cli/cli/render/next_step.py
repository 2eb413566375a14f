"""The command that comes next (prepare, embed, train, evaluate, predict), as it can be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from engage_cli.cli.places import DEFAULT_DATA, DEFAULT_RUNS
from engage_cli.config.general import EncoderConfig
from engage_cli.config.training import EnsembleConfig

if TYPE_CHECKING:
    from engage_cli.data.dataset import Dataset
    from engage_cli.evaluation.results import Evaluation

# What is trained on where the data cannot give the default target, the first that it can.
OWN_COVER = "your-cover.jpg"
OWN_WORDS = {True: "your own cover and titles", False: "your own titles"}
FIRST_TARGETS = (EnsembleConfig.target, "views", "likes", "given")


def next_step(command: str, *words: str | Path, data: Path | None = None, runs: Path | None = None) -> str:
    """Return "Next: engage ...", quoted for a shell, with --data and --runs where they are not the default ones."""
    places = [*_option("--data", data, DEFAULT_DATA), *_option("--runs", runs, DEFAULT_RUNS)]
    return f"Next: {shlex.join(['engage', command, *map(_word, words), *places])}"


def after_embed(dataset: Dataset, encoders: EncoderConfig, data: Path) -> str:
    """Lead to the training that reads the vectors which were just made."""
    words: list[str | Path] = []
    targets = dataset.meta.targets
    target = next((name for name in (*FIRST_TARGETS, *targets) if name in targets), EnsembleConfig.target)
    for flag, value, default in (
        ("--target", target, EnsembleConfig.target),
        ("--vision", encoders.vision, EncoderConfig.vision),
        ("--text", encoders.text, EncoderConfig.text),
        ("--pool", encoders.pool, EncoderConfig.pool),
        ("--resize", encoders.resize, EncoderConfig.resize),
        ("--encoder-precision", encoders.precision, EncoderConfig.precision),
        ("--dtype", encoders.dtype, EncoderConfig.dtype),
    ):
        words += _option(flag, value, default)
    if encoders.tokens:  # only a fusion that attends reads them; on a GPU another recipe would read no store
        many = ["--recipe", "frozen", "--fusion", "study", "--tokens", str(encoders.tokens)]
        return next_step("train-regressor", *many, *words, data=data)
    return next_step("train", *words, data=data)


def after_evaluate(evaluation: Evaluation, runs: Path) -> str:
    """Lead to a prediction by the best run of the first target."""
    from engage_cli.metrics.metrics import PRIMARY
    from engage_cli.runs.run_folder import load_run
    from engage_cli.steps.predict.requests import has_seen_covers
    from engage_cli.uncertainty.forecast import load_uncertainty

    first = evaluation.runs[0]
    same = [one for one in evaluation.runs if (one.target, one.kind) == (first.target, first.kind)]
    best = max(same, key=lambda one: (not one.leaky, one.metrics[PRIMARY[first.kind]]["value"]))
    run = load_run(Path(best.name))
    return predict_own(run.folder, has_covers=has_seen_covers(run, load_uncertainty(run).neighbours), runs=runs)


def predict_own(run: Path, *, has_covers: bool, runs: Path | None = None) -> str:
    """Lead to a prediction of a post of one's own, and say what is to be put in: what is published is no example."""
    cover = [OWN_COVER] if has_covers else []
    step = next_step("predict", *cover, "--title", "One title", "--title", "Another title", "--run", str(run), runs=runs)
    return f"{step}\n  Put in {OWN_WORDS[has_covers]}, of a post that is not published yet."


def _option(flag: str, value: str | Path | None, default: str | Path) -> list[str]:
    return [] if value is None or value == default else [flag, str(value)]


def _word(word: str | Path) -> str:
    """A path that begins with a dash would be read as an option."""
    return f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word)
