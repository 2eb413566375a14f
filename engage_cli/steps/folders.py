"""What lies in a data folder and in a folder of runs, whatever state they are in."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engage_cli.core.config import DATA_MARK, PARTS
from engage_cli.core.errors import EngageError

# These stand a second time, for their modules need packages that may be broken; a test holds them equal.
POSTS_FILE, DATA_MARKER, FEATURES, STORE_MARKER = "posts.parquet", "dataset.json", "features", "manifest.json"
RUN_FIRST, RUN_MARKER = "run.json", "metrics.json"

T = TypeVar("T")


class DamageError(Exception):
    """What is wrong with a file, in a few words."""


@dataclass(frozen=True, kw_only=True)
class StoreState:
    """State is "finished", "not finished" or "damaged"."""

    folder: str
    state: str
    note: str = ""
    encoder: str | None = None
    vectors: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataState:
    """State is "finished", "not finished", "none", "damaged" or "unreadable"."""

    folder: str
    state: str
    note: str = ""
    posts: int | None = None
    split: str | None = None
    rows: dict[str, int] = dataclasses.field(default_factory=dict)  # of train, validation, test
    stores: tuple[StoreState, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunState:
    """State is "finished", "not finished" or "damaged"."""

    folder: str
    state: str
    note: str = ""
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunsState:
    """State is "there", "none" or "unreadable"."""

    folder: str
    state: str
    note: str = ""
    found: tuple[RunState, ...] = ()


def examine_data(folder: Path) -> DataState:
    """Return what a data folder holds, its feature stores also where its posts are damaged."""
    state = DataState(folder=str(folder), state="none")
    try:
        if not folder.is_dir():
            return dataclasses.replace(state, note="not a folder" if folder.exists() else "no such folder")
        features = folder / FEATURES
        stores = tuple(_examine_store(store) for store in _folders(features)) if features.is_dir() else ()
        state = dataclasses.replace(state, stores=stores)
        if not (folder / DATA_MARKER).is_file():
            if (folder / DATA_MARK).exists():
                return dataclasses.replace(state, state="not finished", note="give its `engage prepare` command again")
            return dataclasses.replace(state, note=f"it has no {DATA_MARKER}: `engage prepare` makes it")
        return _examine_posts(folder, state)
    except OSError as error:
        return dataclasses.replace(state, state="unreadable", note=error.strerror or type(error).__name__)
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))


def _examine_posts(folder: Path, state: DataState) -> DataState:
    """Return the state with the posts' facts; raise DamageError where marker and table do not tell the same."""
    marker = folder / DATA_MARKER
    meta = _read(marker)
    if "sources" not in meta:
        raise DamageError(f"{DATA_MARKER} is an older engage's; make it again with `engage prepare --overwrite`")
    posts = _dig(marker, meta, "rows", "kept", kind=int)
    split = _dig(marker, meta, "split", "method", kind=str)
    rows = {part: _dig(marker, meta, "split", "rows", part, kind=int) for part in PARTS}
    try:
        from pyarrow.parquet import read_metadata

        found = read_metadata(folder / POSTS_FILE).num_rows
    except ImportError:
        found = posts  # cannot be counted here
    except FileNotFoundError:
        raise DamageError(f"{POSTS_FILE} is missing") from None
    except (OSError, ValueError):  # ArrowInvalid is a ValueError
        raise DamageError(f"{POSTS_FILE} is no readable Parquet file") from None
    if found != posts:
        raise DamageError(f"{POSTS_FILE} holds {found:,} posts, but {DATA_MARKER} says {posts:,}")
    return dataclasses.replace(state, state="finished", posts=posts, split=split, rows=rows)


def _examine_store(folder: Path) -> StoreState:
    state, manifest = StoreState(folder=folder.name, state="finished"), folder / STORE_MARKER
    try:
        if not manifest.is_file():
            return dataclasses.replace(state, state="not finished", note="`engage embed` goes on")
        content = _read(manifest)
        encoder = _dig(manifest, content, "encoder", "name", kind=str)
        return dataclasses.replace(state, encoder=encoder, vectors=_dig(manifest, content, "vectors", kind=int))
    except OSError as error:
        return dataclasses.replace(state, state="damaged", note=f"unreadable: {error.strerror}")
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))


def examine_runs(folder: Path) -> RunsState:
    """Return the runs in a folder; other folders there are passed over."""
    state = RunsState(folder=str(folder), state="none")
    try:
        if not folder.is_dir():
            return dataclasses.replace(state, note="not a folder" if folder.exists() else "no such folder")
        found = tuple(run for run in map(_examine_run, _folders(folder)) if run is not None)
    except OSError as error:
        return dataclasses.replace(state, state="unreadable", note=error.strerror or type(error).__name__)
    if not found:
        return dataclasses.replace(state, note="it holds no run")
    return dataclasses.replace(state, state="there", found=found)


def _examine_run(folder: Path) -> RunState | None:
    """Return None for a folder that is no run."""
    state = RunState(folder=str(folder), state="finished")
    first, marker = folder / RUN_FIRST, folder / RUN_MARKER
    try:
        is_finished = marker.is_file()
        if not is_finished and not first.is_file():
            return None
        command = _dig(first, _read(first), "command", kind=str)
        state = dataclasses.replace(state, command=command)
        if not is_finished:
            return dataclasses.replace(state, state="not finished", note=f"`engage {command}` goes on")
        _verify(folder)
    except OSError as error:
        return dataclasses.replace(state, state="damaged", note=f"unreadable: {error.strerror}")
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))
    return state


def _verify(folder: Path) -> None:
    """Raise DamageError where a file of a finished run, or of its members, is not the one that was written."""
    try:
        from engage_cli.core.runs import verify_run
    except ImportError:  # a package is broken, which doctor tells elsewhere
        return
    try:
        verify_run(folder)
    except EngageError as error:
        raise DamageError(str(error).removeprefix(f"{folder}/")) from None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise DamageError for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DamageError(f"{path.name} is missing") from None
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or brackets without end
        raise DamageError(f"{path.name} is not JSON") from None
    if not isinstance(value, dict):
        raise DamageError(f"{path.name} holds no JSON object")
    return value


def _dig(path: Path, value: Any, *keys: str, kind: type[T]) -> T:
    """Return what lies under keys in a file's JSON; raise DamageError where that is nothing of the kind."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise DamageError(f"{path.name} has no usable {'.'.join(keys)}")
    return value
