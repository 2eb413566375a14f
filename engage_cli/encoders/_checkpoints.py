"""From an encoder's name to a folder on this machine: packaged, local, or from the hub."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engage_cli.encoders import CHECKPOINTS
from engage_cli.encoders._foreign_settings import read_settings
from engage_cli.encoders._hash_cache import remembered_fingerprint
from engage_cli.encoders._sentence_layers import transformer_folder
from engage_cli.encoders.checkpoint_files import (
    CONFIG,
    PICKLES,
    SETTINGS,
    WEIGHT_FILES,
    has_only_pickles,
    is_whole,
    loaded_files,
)
from engage_cli.encoders.packaged import MEMORY, PACKAGED, cache_dir, packaged_folder
from engage_cli.errors import EngageError, WrongCallError
from engage_cli.io.files import fingerprint

HUB_ID = re.compile(r"^[\w][\w.-]*(/[\w][\w.-]*)?$")
HUB_TIMEOUT_S = 10
WITHOUT_HUB = f"use a packaged encoder ({', '.join(PACKAGED)}) or name a local folder that holds the checkpoint"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A transformers checkpoint on this machine."""

    name: str  # as the user gave it
    folder: Path
    revision: str  # hash of all files that loading it reads

    @property
    def config(self) -> Mapping[str, object]:
        return read_settings(self.folder / CONFIG)


@functools.cache
def find_checkpoint(side: str, name: str) -> Checkpoint:
    """Find or fetch the encoder called `name` for a side, "vision" or "text".

    A name is tried as: a packaged encoder, a name of the table, a local folder, a hub id. The table gives a hub id, or the
    absolute path of a folder.
    """
    table = CHECKPOINTS[side]
    if name in PACKAGED and name in table:
        return _local(name, packaged_folder(name))
    if name not in table and Path(name).is_dir():
        if not (Path(name) / CONFIG).is_file():
            raise EngageError(
                f"the folder {name} holds no transformers checkpoint: it has no {CONFIG}; "
                "give the folder that save_pretrained wrote"
            )
        return _local(str(Path(name).resolve()), transformer_folder(Path(name)))
    hub_id = table.get(name, name)
    if name in table and Path(hub_id).is_absolute():
        return _local(name, transformer_folder(Path(hub_id)))
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    is_other_side = any(name in other for key, other in CHECKPOINTS.items() if key != side)
    if looks_like_path or not HUB_ID.match(hub_id) or (name not in table and ("/" not in name or is_other_side)):
        raise WrongCallError(
            f"unknown {side} encoder '{name}'; give one of: {', '.join(table)}, a hub id (owner/name) or a local folder"
        )
    return _from_hub(name, hub_id)


def _local(name: str, folder: Path) -> Checkpoint:
    revision = fingerprint(
        {
            path.relative_to(folder).as_posix(): remembered_fingerprint(path, cache_dir() / MEMORY)
            for path in loaded_files(folder)
        }
    )
    return Checkpoint(name=name, folder=folder.resolve(), revision=revision)


def _from_hub(name: str, hub_id: str) -> Checkpoint:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    cached: Path | None = None
    with contextlib.suppress(LocalEntryNotFoundError):  # fetched below
        cached = Path(snapshot_download(hub_id, local_files_only=True))
    if cached is not None and is_whole(cached):
        return _local(name, cached)
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        info = HfApi().model_info(hub_id, timeout=HUB_TIMEOUT_S)
        names = [sibling.rfilename for sibling in info.siblings or []]
        is_safe = any(file.endswith(".safetensors") for file in names)
        if not is_safe and any(Path(file).match(kind) for file in names for kind in PICKLES):
            raise EngageError(_only_pickles(hub_id))
        folder = Path(snapshot_download(hub_id, revision=info.sha, allow_patterns=[*SETTINGS, *WEIGHT_FILES]))
    except EngageError:
        raise
    except (GatedRepoError, RepositoryNotFoundError):
        raise EngageError(f"the hub has no public model '{hub_id}'; check the name, or {WITHOUT_HUB}") from None
    except Exception as error:  # each version of the hub's client has its own family of network errors
        if cached is not None and has_only_pickles(cached):
            raise EngageError(_only_pickles(hub_id)) from None
        raise EngageError(
            f"'{hub_id}' is not on this machine and the hub cannot be reached ({type(error).__name__}); {WITHOUT_HUB}"
        ) from None
    return _local(name, folder)


def _only_pickles(hub_id: str) -> str:
    return (
        f"the hub has the weights of '{hub_id}' only as pickles, which could run code when opened; take a revision "
        "with model.safetensors, or convert it (https://huggingface.co/spaces/safetensors/convert) and name the folder"
    )
