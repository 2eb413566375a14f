"""From an encoder's name to a folder on this machine: packaged, local, or from the hub."""

from __future__ import annotations

import functools
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engage_cli.core.atomic import fingerprint
from engage_cli.core.encoders import CHECKPOINTS
from engage_cli.core.encoders.known_files import remembered_fingerprint
from engage_cli.core.encoders.packaged import MEMORY, PACKAGED, cache_dir, packaged_folder
from engage_cli.core.encoders.sentence_layers import transformer_folder
from engage_cli.core.errors import EngageError, WrongCallError

HUB_ID = re.compile(r"^[\w][\w.-]*(/[\w][\w.-]*)?$")
HUB_TIMEOUT_S = 10
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
SETTINGS = ("*.json", "*.txt", "*.model", "1_Pooling/config.json")  # of model, preprocessing, tokenizer and pooling
WITHOUT_HUB = f"use a packaged encoder ({', '.join(PACKAGED)}) or name a local folder that holds the checkpoint"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A transformers checkpoint on this machine."""

    name: str  # as the user gave it
    folder: Path
    revision: str  # the hub's commit, or the hash of the folder's settings and weights

    @property
    def config(self) -> dict[str, Any]:
        path = self.folder / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EngageError(f"{path} cannot be read: {error}") from None
        if not isinstance(config, dict):
            raise EngageError(f"{path} holds no settings of a checkpoint")
        return config


@functools.cache
def find_checkpoint(side: str, name: str) -> Checkpoint:
    """Find or fetch the encoder called `name` for a side, "vision" or "text".

    A name is tried as: a packaged encoder, a name of the table, a local folder, a hub id.
    """
    table = CHECKPOINTS[side]
    if name in PACKAGED and name in table:
        return _local(name, packaged_folder(name))
    if name not in table and Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise EngageError(f"the folder {name} holds no transformers checkpoint: it has no config.json")
        return _local(str(Path(name).resolve()), transformer_folder(Path(name)))
    hub_id = table.get(name, name)
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    is_other_side = any(name in other for key, other in CHECKPOINTS.items() if key != side)
    if looks_like_path or not HUB_ID.match(hub_id) or (name not in table and ("/" not in name or is_other_side)):
        raise WrongCallError(
            f"unknown {side} encoder '{name}'; there are: {', '.join(table)}, any hub id (owner/name) and any local folder"
        )
    return _from_hub(name, hub_id)


def _local(name: str, folder: Path) -> Checkpoint:
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        raise EngageError(f"the folder {folder} holds a config.json but no weights (*.safetensors)")
    files = sorted({path for pattern in (*SETTINGS, *WEIGHTS) for path in folder.glob(pattern)})
    revision = fingerprint(
        {str(path.relative_to(folder)): remembered_fingerprint(path, cache_dir() / MEMORY) for path in files}
    )
    return Checkpoint(name=name, folder=folder.resolve(), revision=revision)


def _is_whole(folder: Path) -> bool:
    """Whether a download that may have been killed brought settings, all weights, and a processor or a tokenizer."""
    if not (folder / "config.json").is_file() or not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        return False
    for index in folder.glob("*.index.json"):
        names = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
        if not all((folder / name).is_file() for name in names):
            return False
    return any(any(folder.glob(pattern)) for pattern in ("preprocessor_config.json", "tokenizer*", "vocab*", "*.model"))


def _from_hub(name: str, hub_id: str) -> Checkpoint:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
        if _is_whole(folder):
            return Checkpoint(name=name, folder=folder, revision=folder.name)
    except LocalEntryNotFoundError:
        pass  # not in the cache: fetched below
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        info = HfApi().model_info(hub_id, timeout=HUB_TIMEOUT_S)
        names = [sibling.rfilename for sibling in info.siblings or []]
        weights = WEIGHTS[:1] if any(file.endswith(".safetensors") for file in names) else WEIGHTS[1:]
        folder = Path(snapshot_download(hub_id, revision=info.sha, allow_patterns=[*SETTINGS, *weights]))
    except (GatedRepoError, RepositoryNotFoundError):
        raise EngageError(f"the hub has no public model '{hub_id}'; check the name, or {WITHOUT_HUB}") from None
    except Exception as error:  # each version of the hub's client has its own family of network errors
        raise EngageError(
            f"'{hub_id}' is not on this machine and the hub cannot be reached ({type(error).__name__}); {WITHOUT_HUB}"
        ) from None
    return Checkpoint(name=name, folder=folder, revision=folder.name)
