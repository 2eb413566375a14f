"""What lies in a data folder and in a folder of runs, whatever state they are in: every file there is verified."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engage_cli.config.general import DATA_MARK
from engage_cli.errors import EngageError
from engage_cli.progress.reporters import Reporter, SilentReporter

# These stand a second time, for their modules need packages that may be broken; a test holds them equal.
POSTS_FILE, DATA_MARKER, FEATURES, STORE_MARKER = "posts.parquet", "dataset.json", "features", "manifest.json"
# What is known of images; found out anew where it is gone.
SEALED = ("images.parquet", "features/image_statistics.parquet", "features/covers.parquet")
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
    damaged_tables: tuple[str, ...] = ()  # files of what is known of images that are not as they were written


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


def examine_data(folder: Path, reporter: Reporter | None = None) -> DataState:
    """Return what a data folder holds, its feature stores also where its posts are damaged."""
    state = DataState(folder=str(folder), state="none")
    try:
        if not folder.is_dir():
            return dataclasses.replace(state, note="not a folder" if folder.exists() else "no such folder")
        features = folder / FEATURES
        stores = _folders(features) if features.is_dir() else []
        found = tuple(_examine_store(store, reporter or SilentReporter()) for store in stores)
        state = dataclasses.replace(state, stores=found, damaged_tables=tuple(_damaged_tables(folder)))
        if not (folder / DATA_MARKER).exists():
            if (folder / DATA_MARK).exists():
                return dataclasses.replace(state, state="not finished", note="give its `engage prepare` command again")
            return dataclasses.replace(state, note=f"it has no {DATA_MARKER}: `engage prepare` makes it")
        with _damages():
            return _examine_posts(folder, state)
    except OSError as error:
        return dataclasses.replace(state, state="unreadable", note=error.strerror or type(error).__name__)
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))


def _damaged_tables(folder: Path) -> Iterator[str]:
    try:
        from engage_cli.io.sealed_table import is_intact
    except ImportError:  # a package is broken, which doctor tells elsewhere
        return
    yield from (name for name in SEALED if os.path.lexists(folder / name) and not is_intact(folder / name))


def _examine_posts(folder: Path, state: DataState) -> DataState:
    """Return the state with the posts' facts, after everything that answers depend on was verified."""
    from engage_cli.data.dataset import load_dataset

    dataset = load_dataset(folder)
    meta, posts = dataset.meta, dataset.posts
    return dataclasses.replace(
        state, state="finished", posts=len(posts), split=meta.split.method, rows=dict(meta.split.rows.items())
    )


def _examine_store(folder: Path, reporter: Reporter) -> StoreState:
    state, marker = StoreState(folder=folder.name, state="finished"), folder / STORE_MARKER
    try:
        with _damages():
            if not marker.exists():
                return dataclasses.replace(state, state="not finished", note="give its `engage embed` command again")
            return _examine_shards(folder, state, reporter)
    except OSError as error:
        return dataclasses.replace(state, state="damaged", note=f"unreadable: {error.strerror}")
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))


def _examine_shards(folder: Path, state: StoreState, reporter: Reporter) -> StoreState:
    """Return the state of a finished store, every shard of which was verified."""
    from engage_cli.embeddings.manifest import AGAIN, KEY_BYTES, read_manifest
    from engage_cli.embeddings.shards import damaged_shards, layout_of, read_keys

    manifest = read_manifest(folder)
    with reporter.stage(f"verifying {folder.name}", len(manifest.shards)) as stage:
        damaged = [problem for _, problem in damaged_shards(folder, manifest, layout_of(manifest), stage.advance)]
    if damaged:
        more = f" (and {len(damaged) - 1:,} more)" if len(damaged) > 1 else ""
        return dataclasses.replace(state, state="damaged", note=f"{damaged[0]}{more}")
    vectors = sum(len(read_keys(folder / name)) for name in manifest.shards) // KEY_BYTES
    if vectors != manifest.vectors:
        raise DamageError(f"{folder / STORE_MARKER} lists {manifest.vectors:,} vectors, but there are {vectors:,}; {AGAIN}")
    return dataclasses.replace(state, encoder=manifest.encoder.name, vectors=vectors)


@contextmanager
def _damages() -> Iterator[None]:
    """Turn the sentence of an error into a finding; a package that cannot be imported is one too."""
    try:
        yield
    except EngageError as error:
        raise DamageError(str(error)) from None
    except ImportError as error:
        raise DamageError(f"it cannot be verified here: {str(error).splitlines()[0]}") from None


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
    """Return None for a folder that is not a run."""
    state = RunState(folder=str(folder), state="finished")
    first, marker = folder / RUN_FIRST, folder / RUN_MARKER
    try:
        is_finished = marker.is_file()
        if not is_finished and not first.is_file():
            return None
        command = _dig(first, _read(first), "command", kind=str)
        state = dataclasses.replace(state, command=command)
        if not is_finished:
            return dataclasses.replace(state, state="not finished", note=f"give its `engage {command}` command again")
        _verify(folder)
    except OSError as error:
        return dataclasses.replace(state, state="damaged", note=f"unreadable: {error.strerror}")
    except DamageError as damage:
        return dataclasses.replace(state, state="damaged", note=str(damage))
    return state


def _verify(folder: Path) -> None:
    """Raise DamageError where a file of a finished run, or of its members, is not the one that was written."""
    try:
        from engage_cli.runs.run_folder import verify_run
    except ImportError:  # a package is broken, which doctor tells elsewhere
        return
    try:
        verify_run(folder)
    except EngageError as error:
        raise DamageError(str(error).removeprefix(f"{folder}/")) from None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read(path: Path) -> Mapping[str, object]:
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
