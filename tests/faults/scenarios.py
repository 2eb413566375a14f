"""Every command that writes, each from the state that it starts from to the state that it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tests.faults.harness import COUNT, KILL, Commands, Ended

# Keys whose values differ from run to run; "of" and the checksum are hashes of what has such a key.
OF_TIME = ("seconds", "of", "checksum", "time", "marker", "run")
FINISHED = "finished"  # what a command says that is given again though it had done all

Tree = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command line, in which {here} and {inputs} are folders, and the scenarios that are done before it."""

    arguments: str
    after: tuple[str, ...] = ()
    begins_anew: bool = False  # where it had ended: a training without a name that is given again is another one


ENCODERS = "--data {here}/data --vision {inputs}/vit --text {inputs}/bert"
VIEWS = f"{ENCODERS} --target views"
SCENARIOS = {
    "sample": Scenario(arguments="sample {here}/sample --rows 10"),
    "sample-overwrite": Scenario(arguments="sample {here}/sample --rows 11 --planted --overwrite", after=("sample",)),
    "prepare": Scenario(arguments="prepare --pixelrec-dir {inputs}/packed --data {here}/data"),
    "prepare-overwrite": Scenario(
        arguments="prepare --pixelrec-dir {inputs}/other --data {here}/data --overwrite", after=("prepare",)
    ),
    "embed": Scenario(arguments=f"embed {ENCODERS}", after=("prepare",)),
    "train-regressor": Scenario(
        arguments=f"train-regressor {VIEWS} --run {{here}}/runs/neural --epochs 3 --average 2", after=("embed",)
    ),
    "train-classifier": Scenario(
        arguments=f"train-classifier {ENCODERS} --runs {{here}}/runs --epochs 1", after=("embed",), begins_anew=True
    ),
    "train-catboost": Scenario(
        arguments=f"train-catboost {VIEWS} --run {{here}}/runs/catboost --as value --iterations 2 --folds 2",
        after=("embed",),
    ),
    "train-gp": Scenario(arguments=f"train-gp {ENCODERS} --target engagement --run {{here}}/runs/gp", after=("embed",)),
    "seeds": Scenario(
        arguments=f"train-regressor {VIEWS} --run {{here}}/runs/seeds --epochs 1 --seeds 2", after=("embed",)
    ),
    "train": Scenario(arguments=f"train {VIEWS} --run {{here}}/runs/both --members gp,neural", after=("prepare",)),
    "evaluate": Scenario(
        arguments="evaluate {here}/runs/neural --data {here}/data --resamples 2", after=("train-regressor",)
    ),
    "stack": Scenario(
        arguments="evaluate {here}/runs/neural {here}/runs/catboost --ensemble --runs {here}/runs --data {here}/data "
        "--resamples 0",
        after=("train-regressor", "train-catboost"),
    ),
    "predict": Scenario(
        arguments="predict --table {inputs}/posts.csv --images-dir {inputs}/covers --out {here}/said.csv "
        "--run {here}/runs/neural",
        after=("train-regressor",),
    ),
    "log": Scenario(
        arguments="predict {inputs}/covers/i0.jpg --title cats --run {here}/runs/neural "
        "--log --ledger {here}/ledger.sqlite",
        after=("train-regressor",),
    ),
    "export": Scenario(arguments="export {here}/runs/neural --out {here}/run.engage", after=("train-regressor",)),
    "import": Scenario(arguments="import {here}/run.engage --run {here}/runs/theirs", after=("train-regressor", "export")),
}


@dataclass
class World:
    """The folders: inputs, where commands run, and the states before and after each command."""

    root: Path
    commands: Commands
    counts: dict[str, int] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    good: set[tuple[str, int]] = field(default_factory=set)  # states from which the command was seen to go on

    @property
    def here(self) -> Path:
        return self.commands.root

    def arguments(self, name: str) -> list[str]:
        return SCENARIOS[name].arguments.format(here=self.here, inputs=self.root / "inputs").split()

    def log_of(self, name: str) -> Path:
        return self.root / "logs" / name

    def reach(self, names: tuple[str, ...]) -> Path:
        """Return the state in which these commands, and all that come before them, were run."""
        state = self.root / "states" / ("+".join(names) or "nothing")
        if not state.exists():
            shutil.rmtree(self.here, ignore_errors=True)
            self.here.mkdir()
            done: set[str] = set()
            for name in names:
                self._run_with_all_before(name, done)
            shutil.copytree(self.here, state)
        return state

    def _run_with_all_before(self, name: str, done: set[str]) -> None:
        for before in SCENARIOS[name].after:
            self._run_with_all_before(before, done)
        if name not in done:
            ended = self.commands.run(*self.arguments(name))
            assert ended.code == 0, ended.stderr
            done.add(name)

    def reset(self, name: str) -> None:
        state = self.reach(SCENARIOS[name].after)
        shutil.rmtree(self.here, ignore_errors=True)
        shutil.copytree(state, self.here)

    def undisturbed(self, name: str) -> Tree:
        """Run the command once as it should; its operations are counted."""
        if name not in self.trees:
            self.reset(name)
            self.log_of(name).parent.mkdir(exist_ok=True)
            ended = self.commands.run(*self.arguments(name), log=self.log_of(name))
            assert ended.code == 0, ended.stderr
            self.counts[name], self.trees[name] = ended.count, read_tree(self.here)
        return self.trees[name]

    def number_of(self, name: str, operation: str, file: str) -> int:
        """Return the number of the first operation of a kind on a file, or on what is written beside it."""
        self.undisturbed(name)
        for line in self.log_of(name).read_text().splitlines():
            number, what, path = line.split(" ", 2)
            if what == operation and (path.endswith(f"/{file}") or f"/.{file}." in path):
                return int(number)
        raise AssertionError(f"{name} has no {operation} of {file}")

    def states_of(self, name: str) -> list[Path]:
        """Return copies of what a kill leaves at every operation, each different state once."""
        states = self.root / "killed" / name
        if not states.exists():
            states.mkdir(parents=True)
            self.undisturbed(name)
            self.reset(name)
            ended = self.commands.run(*self.arguments(name), states=states)
            assert ended.code == 0, ended.stderr
        return sorted(states.iterdir())

    def go_on(self, name: str, state: Path) -> Iterator[str]:
        """Run a command from a state that a kill left; yield what is wrong."""
        shutil.rmtree(self.here)
        state.rename(self.here)
        yield from (f"{name} killed at {state.name}: {wrong}" for wrong in self._again(name))

    def disturb(self, name: str, at: int, fault: int, *, sticky: bool = False) -> Iterator[str]:
        """Run a command with a fault, and then again; yield what is wrong."""
        self.undisturbed(name)
        self.reset(name)
        ended = self.commands.run(*self.arguments(name), at=at, fault=fault, sticky=sticky)
        where = (
            f"{name} at {at} ({'kill' if fault == KILL else os.strerror(fault)}{', all' if sticky else ''}; {ended.hit})"
        )
        yield from (f"{where}: {wrong}" for wrong in _wrong_ending(ended, fault))
        yield from (f"{where}: {wrong}" for wrong in self._again(name))

    def _again(self, name: str) -> list[str]:
        wanted = self.trees[name]
        if SCENARIOS[name].begins_anew and read_tree(self.here) == wanted:
            return []
        state = name, hash(frozenset(_without_half_files(read_tree(self.here)).items()))
        if state in self.good:
            return []
        again = self.commands.run(*self.arguments(name))
        found = read_tree(self.here)
        wrongs = []
        if again.code and not (found == wanted and FINISHED in again.stderr):
            wrongs.append(f"again it ends with {again.code}: {again.stderr.strip()[-300:]}")
        else:
            wrongs += _differences(wanted, found)
        if not wrongs:
            self.good.add(state)
        return wrongs


def _differences(wanted: Tree, found: Tree) -> Iterator[str]:
    yield from (f"{path} is left over" for path in sorted(found.keys() - wanted.keys()))
    yield from (f"{path} is missing" for path in sorted(wanted.keys() - found.keys()))
    yield from (f"{path} differs" for path in sorted(wanted.keys() & found.keys()) if found[path] != wanted[path])


def _wrong_ending(ended: Ended, fault: int) -> Iterator[str]:
    if fault == COUNT or not ended.hit:
        return
    if fault == KILL:
        if not ended.was_killed and ended.code != 1:
            yield f"it was to be killed, and ended with {ended.code}"
        return
    sentences = [line for line in ended.stderr.splitlines() if line.startswith("engage: ")]
    if "Traceback" in ended.stderr or ended.code not in (0, 1):
        yield f"it ended with {ended.code}: {ended.stderr.strip()[-500:]}"
    elif len(sentences) != ended.code:
        yield f"it ended with {ended.code} and {len(sentences)} sentences: {ended.stderr.strip()[-500:]}"


def read_tree(folder: Path) -> Tree:
    """Return every file's contents, and every folder, by name; of JSON what does not tell the time."""
    return {
        _plain_name(str(path.relative_to(folder))): _contents(path)
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(".lock")
    }


def _plain_name(name: str) -> str:
    return re.sub(r"\.\d+\.tmp", ".PID.tmp", name)


def _contents(path: Path) -> bytes:
    if path.is_dir():
        return b"a folder"
    if path.name == "images.parquet":  # it holds when the images were unpacked
        return pd.read_parquet(path).drop(columns="mtime_ns").to_csv().encode()
    if path.suffix == ".sqlite":
        return _dump(path)
    data = path.read_bytes()
    try:
        if path.suffix == ".json":
            return json.dumps(_timeless(json.loads(data))).encode()
        if path.suffix == ".jsonl":
            return "\n".join(json.dumps(_timeless(json.loads(line))) for line in data.splitlines()).encode()
    except ValueError:
        pass  # half a file
    return data


def _dump(path: Path) -> bytes:
    """Return a database's rows; SQLite keeps its pages as it likes."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):  # reading it may finish what a kill left: not in the folder itself
            shutil.copy(file, folder)
        try:
            with contextlib.closing(sqlite3.connect(Path(folder, path.name))) as ledger:
                ledger.row_factory = sqlite3.Row
                named = ledger.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND type = 'table'")
                rows = {
                    name: [dict(row) for row in ledger.execute(f'SELECT * FROM "{name}"')] for (name,) in named.fetchall()
                }
                return json.dumps(_timeless(rows)).encode()
        except sqlite3.DatabaseError as error:
            return str(error).encode()


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: _timeless(one) for key, one in value.items() if key not in OF_TIME and not key.endswith("/metrics.json")
        }
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    return value


def _without_half_files(tree: Tree) -> Tree:
    """What a half-written file holds matters to nobody."""
    return {name: b"half" if ".tmp" in name else data for name, data in tree.items()}
