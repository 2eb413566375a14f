"""The files that loading a checkpoint reads: all of them named, inside the folder, of a kind that runs no code.

Weights are safetensors, in one file or in the shards that an index names. A `.bin` is a pickle, and is never opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from engage_cli.encoders._foreign_settings import check_settings, read_settings
from engage_cli.errors import EngageError

CONFIG = "config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SETTINGS = ("*.json", "*.txt", "*.model", "1_Pooling/config.json")  # of model, preprocessing, tokenizer and pooling
WEIGHT_FILES = ("*.safetensors",)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")
DISTRIBUTED = re.compile(r"^shard-\d+-model-\d+-of-\d+\.safetensors$")  # read by a loader that ignores the index
CONVERT = "python -c \"from transformers import AutoModel; AutoModel.from_pretrained('{folder}').save_pretrained('{new}')\""
BLOBS, SNAPSHOTS = "blobs", "snapshots"  # of the hub's cache: a snapshot's files are links to the blobs beside it


def loaded_files(folder: Path) -> list[Path]:
    """Return every file that loading this checkpoint may read, sorted; raise EngageError where one must not be read."""
    check_settings(folder)
    settings = {path for pattern in SETTINGS for path in folder.glob(pattern) if path.is_file()}
    return sorted(stays_inside(path, folder) for path in {*settings, *weights_of(folder)})


def weights_of(folder: Path) -> list[Path]:
    """Return the files of weights; raise EngageError where there are none, one is missing, or one leaves the folder."""
    if any(DISTRIBUTED.match(path.name) for path in folder.glob("*.safetensors")):
        raise EngageError(f"{folder} holds a distributed training's checkpoint; save the model whole, as {WEIGHTS}")
    if (folder / WEIGHTS).is_file():
        return [stays_inside(folder / WEIGHTS, folder)]
    if not (folder / INDEX).is_file():
        raise EngageError(_without_weights(folder))
    paths = [stays_inside(folder / name, folder) for name in _names_of_shards(folder / INDEX)]
    for path in paths:
        if not path.is_file():
            raise EngageError(f"{folder / INDEX} names {path.relative_to(folder)}, which is missing; get it again")
    return paths


def _names_of_shards(index: Path) -> list[str]:
    """Return the files that an index names, each once."""
    names = read_settings(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise EngageError(f"{index}: weight_map names no files; copy or fetch it again")
    for name in names.values():
        path = PurePosixPath(name) if isinstance(name, str) else None
        is_plain = path is not None and not path.is_absolute() and ".." not in path.parts and "\\" not in str(name)
        if not is_plain or ":" in str(name) or not str(name).endswith(".safetensors"):
            raise EngageError(f"{index}: weight_map: '{str(name)[:80]}' is not a .safetensors file inside {index.parent}")
    return sorted(set(names.values()))


def stays_inside(path: Path, folder: Path) -> Path:
    """Return `path`; raise EngageError where a link leads it out of the folder, other than into the hub cache's blobs."""
    real, home = path.resolve(), folder.resolve()
    if real.is_relative_to(home):
        return path
    if home.parent.name == SNAPSHOTS and real.parent == home.parent.parent / BLOBS:
        return path
    raise EngageError(f"{path} is a link that leads out of {folder}; put the file itself there")


def _without_weights(folder: Path) -> str:
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if not pickles:
        return f"the folder {folder} holds a {CONFIG} but no weights ({WEIGHTS})"
    convert = CONVERT.format(folder=folder, new=f"{folder.name}-safetensors")
    return (
        f"the folder {folder} holds weights as {pickles[0]}, which could run code when opened, and none as {WEIGHTS}; "
        f"if you trust it, convert it once: {convert} and copy its tokenizer and preprocessor files beside the new ones"
    )


def has_only_pickles(folder: Path) -> bool:
    return not any(folder.rglob("*.safetensors")) and any(any(folder.glob(pattern)) for pattern in PICKLES)


def is_whole(folder: Path) -> bool:
    """Whether a download that may have been killed brought settings, all weights, and a processor or a tokenizer."""
    if not (folder / CONFIG).is_file():
        return False
    if not (folder / WEIGHTS).is_file() and not ((folder / INDEX).is_file() and _has_all_shards(folder)):
        return False
    return any(True for _ in _readers_of(folder))


def _has_all_shards(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _names_of_shards(folder / INDEX))


def _readers_of(folder: Path) -> Iterator[Path]:
    for pattern in ("preprocessor_config.json", "tokenizer*", "vocab*", "*.model"):
        yield from folder.glob(pattern)
