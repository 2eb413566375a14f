"""What a folder of sentence-transformers says of itself: layers behind the transformer, how long texts may be, their case.

modules.json names the layers in their order. Transformer, Pooling and Dense are computed as they say; Normalize is left
out, for vectors are never L2-normalised here. In folders of before version 1 the transformer lies in 0_Transformer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from engage_cli.errors import EngageError
from engage_cli.io.files import file_fingerprint, fingerprint

MODULES, SETTINGS = "modules.json", "sentence_bert_config.json"
DEFAULT_POOLING = "1_Pooling"
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "Identity": nn.Identity,
    "Tanh": nn.Tanh,
    "ReLU": nn.ReLU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
}


@dataclass(frozen=True, kw_only=True)
class SentenceLayers:
    """The layers behind a text transformer, and how it is to be given texts."""

    pooling: Path | None = None  # the settings file of pooling
    dense: tuple[Path, ...] = ()  # folders of dense layers, in their order
    others: tuple[str, ...] = ()  # kinds of layers that are not computed here
    most_tokens: int | None = None
    lower_case: bool = False

    @property
    def record(self) -> str:
        """What beside the transformer decides about the vectors; "" where there is nothing."""
        files = [file_fingerprint(path) for folder in self.dense for path in sorted(folder.iterdir()) if path.is_file()]
        parts = ["lower case"] if self.lower_case else []
        return ", ".join([*parts, f"dense layers {fingerprint(files)[:16]}"] if files else parts)


def transformer_folder(folder: Path) -> Path:
    """Return where the transformer of a folder lies: there, or in the subfolder that modules.json names."""
    for module in _modules(folder):
        if _kind(module) == "Transformer" and module.get("path"):
            return _inside(folder, module)
    return folder


def find_layers(folder: Path) -> SentenceLayers:
    """Return what sentence-transformers says of the transformer in a folder."""
    root = folder
    if not (folder / MODULES).is_file() and any(_inside(folder.parent, m) == folder for m in _modules(folder.parent)):
        root = folder.parent  # an old layout, whose transformer's own folder was named
    modules = _modules(root)
    poolings = [_inside(root, module) for module in modules if _kind(module) == "Pooling"]
    pooling = (poolings[0] if poolings else root / DEFAULT_POOLING) / "config.json"
    settings = _read(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    most = settings.get("max_seq_length") if isinstance(settings, dict) else None
    return SentenceLayers(
        pooling=pooling if pooling.is_file() else None,
        dense=tuple(_inside(root, module) for module in modules if _kind(module) == "Dense"),
        others=tuple(
            kind for module in modules if (kind := _kind(module)) not in ("Transformer", "Pooling", "Dense", "Normalize")
        ),
        most_tokens=most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else None,
        lower_case=isinstance(settings, dict) and settings.get("do_lower_case") is True,
    )


def load_dense(folders: tuple[Path, ...], width: int, dtype: torch.dtype) -> tuple[nn.Sequential, int]:
    """Return dense layers, (B, width) to (B, out), and their width out; raise EngageError where they do not fit."""
    layers: list[nn.Module] = []
    for folder in folders:
        settings = _read(folder / "config.json")
        try:
            size_in, size_out = int(settings["in_features"]), int(settings["out_features"])
            name = str(settings.get("activation_function") or "Tanh").rpartition(".")[2]
            linear = nn.Linear(size_in, size_out, bias=bool(settings.get("bias", True)))
            weights = load_file(folder / "model.safetensors")
            linear.load_state_dict({key.removeprefix("linear."): value.float() for key, value in weights.items()})
        except FileNotFoundError:
            raise EngageError(f"{folder} holds no model.safetensors; save the model again with safetensors") from None
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError, OSError, SafetensorError) as error:
            raise EngageError(
                f"{folder} is not a dense layer: {str(error).splitlines()[0] or type(error).__name__}"
            ) from None
        if name not in ACTIVATIONS or size_in != width:
            wrong = f"activation '{name}'" if name not in ACTIVATIONS else f"{size_in} numbers where {width} come in"
            raise EngageError(f"{folder}: {wrong}; give --pool mean or cls to go without its dense layers")
        layers += [linear, ACTIVATIONS[name]()]
        width = size_out
    return nn.Sequential(*layers).to(dtype), width


def _modules(root: Path) -> list[Mapping[str, object]]:
    path = root / MODULES
    found = _read(path) if path.is_file() else []
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise EngageError(f"{path} is not a list of layers; copy or fetch it again")
    return found


def _kind(module: Mapping[str, object]) -> str:
    return str(module.get("type", "")).rpartition(".")[2]


def _inside(root: Path, module: Mapping[str, object]) -> Path:
    """Return the folder of a layer; raise EngageError where it would lie outside."""
    name = module.get("path", "")
    if not isinstance(name, str) or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise EngageError(f"{root / MODULES}: '{str(name)[:60]}' is not a folder beside it")
    return root / name if name else root


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EngageError(f"{path} cannot be read: {error}") from None
