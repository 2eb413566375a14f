"""A run folder that is damaged, or that a stranger wrote: the same answer, or one sentence that names the file.

ENGAGE_FAULTS=all tries 500 flipped bytes and 1,000 changes of metadata; without, a few of each.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from engage_cli.config.general import EncoderConfig
from engage_cli.data.dataset import load_dataset
from engage_cli.errors import EngageError
from engage_cli.runs.run_folder import MARKER, load_run, newest_run, verify_run
from engage_cli.steps.embed import make_encoder
from engage_cli.steps.inputs import sources
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.train.ensemble import combine
from engage_cli.uncertainty.neighbours import NAMES_FILE, load_names
from tests.calls import answer
from tests.run_files import change, sign, write

ALL = os.environ.get("ENGAGE_FAULTS") == "all"
RUNS = ("regressor", "classifier", "catboost", "catboost-value", "gp", "stack", "tuned")
FLIPS, CHANGES = (500, 1000) if ALL else (28, 84)
RECORDS = (
    "run.json",
    "target.json",
    MARKER,
    "calibration.json",
    "process.json",
    "features.json",
    "ensemble.json",
    "test.json",
)

Answer = tuple[Any, ...]


@pytest.fixture(scope="module")
def runs(world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each model, small as they are."""
    folder, data = tmp_path_factory.mktemp("runs") / "runs", world / "data"
    shutil.copytree(world / "runs", folder)
    combine([folder / "gp", folder / "catboost-value"], dataset=load_dataset(data), run=folder / "stack")
    answer(
        "train-regressor", "--data", data, "--vision", encoders.vision, "--text", encoders.text, "--target", "views",
        "--finetune", "top:1", "--epochs", 1, "--blocks", "image,title", "--run", folder / "tuned",
    )  # fmt: skip
    answer("evaluate", folder / "gp", "--data", data, "--resamples", 2)  # leaves test.json and plots
    return folder


@pytest.fixture(scope="module")
def ask(world: Path) -> Callable[[Path], Answer]:
    """Ask a run for all that its files tell; encoders are loaded once."""
    posts = load_dataset(world / "data").posts.iloc[:2]
    known: dict[Any, Any] = {}

    def remember(side: str, config: EncoderConfig, *, is_proven: bool = False) -> Any:
        if (side, config) not in known:
            known[side, config] = make_encoder(side, config, is_proven=is_proven)
        return known[side, config]

    def session(folder: Path) -> Answer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "make_encoder", remember)
            run = load_run(folder)
            opened = InferenceSession(run)
            said = opened.forecast(posts, [None, None])
            names = ()
            if opened.uncertainty.neighbours is not None:
                names = tuple(load_names(run.open(NAMES_FILE), len(opened.uncertainty.neighbours.scores))["id"])
            about = {key: value for key, value in describe_run(run, opened.uncertainty.neighbours).items() if key != "run"}
            numbers = (said.value, said.percentile, said.probabilities, said.distance, *said.intervals.values())
            return (*map(repr_of, numbers), names, json.dumps(about, allow_nan=False))

    return session


def repr_of(numbers: Any) -> str:
    if numbers is None:
        return ""
    assert np.isfinite(numbers).all()
    return repr(np.asarray(numbers).tolist())


def files_of(run: Path) -> list[Path]:
    return sorted(path for path in run.rglob("*") if path.is_file() and not path.name.startswith("."))


def check(
    run: Path, name: str, ask: Callable[[Path], Answer], usual: Answer, what: str, *, is_signed: bool = False
) -> bool:
    """Ask a spoilt run; return whether it gave a sentence."""
    try:
        found = ask(run)
    except EngageError as error:
        (line,) = str(error).splitlines()
        assert Path(name).name in line or str(run) in line, (what, line)
        return True
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert is_signed or found == usual, what
    return False


@contextlib.contextmanager
def spoilt(path: Path, content: bytes) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", RUNS)
def test_a_flipped_byte_is_the_same_answer_or_a_sentence(
    name: str, runs: Path, ask: Callable[[Path], Answer], tmp_path: Path
) -> None:
    run, chance = tmp_path / name, random.Random(name)
    shutil.copytree(runs / name, run)
    usual, files, told = ask(run), files_of(run), 0
    for _ in range(FLIPS // len(RUNS) + 1):
        path = chance.choice(files)
        content = bytearray(path.read_bytes())
        place = chance.randrange(len(content))
        content[place] ^= 1 << chance.randrange(8)
        with spoilt(path, bytes(content)):
            told += check(run, str(path), ask, usual, f"byte {place} of {path.relative_to(run)}")
    assert told
    assert ask(run) == usual


def changes_of(content: dict[str, Any], chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield (what was done, the record's text): one random change of one random field after another."""
    while True:
        copy = json.loads(json.dumps(content))
        at, where = copy, []
        while True:  # go down to a random depth
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = chance.choice(keys)
            where.append(str(key))
            if not isinstance(at[key], (dict, list)) or not at[key] or chance.random() < 0.2:
                break
            at = at[key]
        old = at[key]
        values = [None, True, "x", "../..", "", -1, -1.5, 0, 1e300, 10**30, 1e-300, [], {}, [1], {"a": 1}, float("nan")]
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            values += [-old, old * 1e6, old + 1, str(old)]
        if isinstance(old, list):
            values += [old[:-1], [*old, *old[-1:]], old[::-1]]
        if isinstance(old, dict):
            values += [dict(list(old.items())[1:]), {**old, "unknown": 1}]
        how = chance.randrange(len(values) + 1)
        if how == len(values):
            del at[key]
            yield f"{'.'.join(where)} deleted", json.dumps(copy)
        else:
            at[key] = values[how]
            yield f"{'.'.join(where)} = {str(values[how])[:60]}", json.dumps(copy)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("name", RUNS)
def test_a_changed_field_is_the_same_answer_or_a_sentence(
    name: str, is_signed: bool, runs: Path, ask: Callable[[Path], Answer], tmp_path: Path
) -> None:
    run, chance = tmp_path / name, random.Random(name)
    shutil.copytree(runs / name, run)
    usual, told = ask(run), 0
    records = [path for path in files_of(run) if path.name in RECORDS]
    for _ in range(CHANGES // len(RUNS) // 2 + 1):
        path = chance.choice(records)
        what, text = next(changes_of(json.loads(path.read_text()), chance))
        signed = {place: place.read_bytes() for place in run.rglob(MARKER)}
        with spoilt(path, text.encode()):
            if is_signed:
                write(path, json.loads(text))
                for place in sorted(signed, key=lambda place: -len(place.parts)):
                    if place != path:
                        sign(place.parent)
            told += check(run, str(path), ask, usual, f"{path.relative_to(run)}: {what}", is_signed=is_signed)
        for place, content in signed.items():
            place.write_bytes(content)
    assert told
    assert ask(run) == usual


def spoil_arrays(path: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    arrays = safetensors.numpy.load_file(path)
    edit(arrays)
    safetensors.numpy.save_file(arrays, path)


def of_process(name: str, value: Any, place: Any = 0) -> Callable[[dict[str, np.ndarray]], None]:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (of_process("landmarks/words_indices", -1), "landmarks/words_indices: the number -1 is less than 0"),
        (of_process("landmarks/words_indices", 1 << 30), "a column lies outside of its"),
        (of_process("landmarks/words_indptr", 7, -1), "rows do not begin and end"),
        (of_process("landmarks/pieces_indptr", 1 << 30, 1), "rows do not begin and end"),
        (of_process("landmarks/words_data", np.nan), "a number is nan"),
        (of_process("landmarks/words_shape", 1 << 40), "rows or columns are not as many"),
        (of_process("coefficients", np.inf, (0, 0)), "a number is inf"),
        (of_process("landmarks/image", 3.0, (0, 0)), "more than 1.01"),
        (of_process("maker/scale", 0.0, (1, 0)), "a deviation is not above 0"),
        (of_process("maker/widths_text", 1), "not as wide as its vectors"),
        (
            lambda arrays: arrays.update({"landmarks/author": arrays["landmarks/author"][1:].copy()}),
            "not as many as they have to be",
        ),
        (lambda arrays: arrays.update(more=np.zeros(1)), "the array 'more' does not belong"),
        (lambda arrays: arrays.pop("maker/scale"), "'maker/scale' is missing"),
        (lambda arrays: arrays.update(coefficients=arrays["coefficients"][:, 1:].copy()), "which does not fit"),
        (lambda arrays: arrays.update(coefficients=arrays["coefficients"].astype(np.float32)), "not float64"),
    ],
)
def test_hostile_arrays_never_reach_scipy(edit: Any, words: str, runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "gp"
    shutil.copytree(runs / "gp", run)
    spoil_arrays(run / "process.safetensors", edit)
    from engage_cli.io.records import file_hash

    change(run, "process.json", lambda saved: saved.update(arrays=file_hash(run / "process.safetensors")))
    with pytest.raises(EngageError, match=words):
        InferenceSession(load_run(run))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["regressor", "tuned"])
def test_weights_that_are_no_numbers_are_refused(name: str, value: float, runs: Path, tmp_path: Path) -> None:
    import safetensors
    import safetensors.torch
    import torch

    from engage_cli.models.neural.training.checkpoints import CONTENT, SEAL, sealed

    run = tmp_path / name
    shutil.copytree(runs / name, run)
    tensors = safetensors.torch.load_file(run / "model.safetensors")
    with safetensors.safe_open(run / "model.safetensors", framework="pt") as file:
        metadata = json.loads(file.metadata()[SEAL])
    del metadata[CONTENT]
    tensors["head.0.weight"] = torch.full_like(tensors["head.0.weight"], value)
    safetensors.torch.save_file(tensors, run / "model.safetensors", sealed(tensors, metadata))
    sign(run)
    with pytest.raises(EngageError, match=r"model\.safetensors: head\.0\.weight: a weight is not finite"):
        InferenceSession(load_run(run))


def test_a_damaged_model_never_reaches_catboosts_parser(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "catboost"
    shutil.copytree(runs / "catboost", run)
    (run / "model.cbm").write_bytes((run / "model.cbm").read_bytes()[::-1])

    def reached(path: Path) -> None:
        raise AssertionError("the parser was given a damaged file")

    monkeypatch.setattr("engage_cli.models.boosting.predictor.load_model", reached)
    with pytest.raises(EngageError, match=r"model\.cbm was changed or damaged: its hash differs; train again"):
        InferenceSession(load_run(run))


@pytest.mark.parametrize("member", ["..", ".", "../gp", "/etc", "a/b", "", "gp\0", ".hidden", "1-gp\n"])
def test_members_are_names_of_folders_inside(member: str, runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "stack"
    shutil.copytree(runs / "stack", run)
    change(run, "run.json", lambda meta: meta.update(members=[member, "2-catboost-value"]))
    with pytest.raises(EngageError, match=r"run\.json: members\.0"):
        load_run(run)


def test_an_ensemble_is_no_member_and_no_link_is_followed(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "stack"
    shutil.copytree(runs / "stack", run)
    member = run / "members" / "1-gp"
    shutil.rmtree(member)
    member.symlink_to(runs / "gp")
    with pytest.raises(EngageError, match=r"1-gp is a link, not a member of this run"):
        InferenceSession(load_run(run))
    member.unlink()
    shutil.copytree(runs / "stack", member)
    sign(run)
    with pytest.raises(EngageError, match=r"1-gp/run\.json: model: an ensemble cannot contain an ensemble"):
        InferenceSession(load_run(run))
    shutil.rmtree(member)
    shutil.copytree(runs / "regressor", member)
    sign(run)
    with pytest.raises(EngageError, match="1-gp predicts another target or kind than"):
        InferenceSession(load_run(run))


@pytest.mark.parametrize("name", ["run.json", "target.json", MARKER, "process.safetensors", "neighbours.parquet"])
def test_files_of_a_run_are_never_links(name: str, runs: Path, ask: Callable[[Path], Answer], tmp_path: Path) -> None:
    run = tmp_path / "gp"
    shutil.copytree(runs / "gp", run)
    (run / name).rename(tmp_path / name)
    (run / name).symlink_to(tmp_path / name)
    with pytest.raises(EngageError, match=rf"{name} is (a link|no regular file|not a regular file)"):
        ask(run)


def test_all_files_are_verified_by_name(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "stack"
    shutil.copytree(runs / "stack", run)
    verify_run(run)
    for name in (*json.loads((run / MARKER).read_text())["files"], "members/1-gp/process.safetensors"):
        content = (run / name).read_bytes()
        with spoilt(run / name, content[:-3] + b"\1\1\1"), pytest.raises(EngageError, match=Path(name).name):
            verify_run(run)


def test_another_format_is_one_sentence(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "gp"
    shutil.copytree(runs / "gp", run)
    change(run, "run.json", lambda meta: meta.update(format="run 0"))
    with pytest.raises(EngageError, match=r"run\.json has format 'run 0', and this engage reads 'run 2'; train again"):
        load_run(run)
    (run / MARKER).write_text('{"metrics": {"r2": 0.5}}')
    with pytest.raises(EngageError, match=r"metrics\.json was written by an older engage, or damaged"):
        newest_run(tmp_path)
