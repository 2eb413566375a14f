"""Settings of a checkpoint are data: none may fetch or run code, pull in another model, or name a file elsewhere.

transformers follows many of them by itself, where the packages for it are installed: a hub's attention kernel, a
quantiser, an adapter's base model, a pretrained backbone. Such a checkpoint is refused before transformers sees it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engage_cli.errors import EngageError

ATTENTION = (None, "eager", "sdpa")  # what torch itself has; every other name may fetch a kernel
NO_FAMILIES = ("timm_wrapper", "timm_backbone")  # their weights and code are another package's
# Written by older tokenizers as a note of where they came from; no file of that name is ever opened.
NOTES = ("special_tokens_map_file", "name_or_path", "_name_or_path", "tokenizer_config_file")
ADAPTER = "adapter_config.json"
READ = (  # by transformers; a checkpoint's other JSON files are opened by nobody
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
)


def _is_attention(value: Any) -> bool:
    return all(_is_attention(one) for one in value.values()) if isinstance(value, dict) else value in ATTENTION


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value == {} or value == []


def _is_class_name(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.isidentifier())


# Setting -> (whether its value does no harm, what it would do).
HARMLESS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
        (_is_attention, "could fetch an attention kernel and run it; only eager and sdpa are used here"),
    ),
    **dict.fromkeys(
        ("experts_implementation", "_experts_implementation", "_experts_implementation_internal"),
        (lambda value: value in (None, "eager"), "could fetch a kernel and run it"),
    ),
    **dict.fromkeys(("use_kernels", "_use_kernels", "kernel_config"), (_is_empty, "fetches kernels and runs them")),
    **dict.fromkeys(
        ("quantization_config", "compression_config"),
        (_is_empty, "needs another package to unpack the weights; take the checkpoint that is not quantised"),
    ),
    "transformers_weights": (_is_empty, "names other weights than model.safetensors; give them that name"),
    "gguf_file": (_is_empty, "names weights of another format; convert them to safetensors"),
    "use_pretrained_backbone": (_is_empty, "pulls in another model"),
    "backbone": (_is_empty, "pulls in another model"),
    "custom_pipelines": (_is_empty, "runs code of its own"),
    "model_type": (lambda value: value not in NO_FAMILIES, "is loaded by another package, timm"),
    **dict.fromkeys(
        ("tokenizer_class", "processor_class", "image_processor_type", "feature_extractor_type"),
        (_is_class_name, "is not a name of a class"),
    ),
}


def check_settings(folder: Path) -> None:
    """Raise EngageError for the first setting in the folder's JSON files that does more than describe the checkpoint."""
    if (folder / ADAPTER).exists():
        raise EngageError(
            f"{folder / ADAPTER}: this adapter needs another model; merge it into its model with peft's "
            "merge_and_unload(), save that, and name its folder"
        )
    for path in (folder / name for name in READ if (folder / name).is_file()):
        for name, value in _settings(read_settings(path)):
            fits, harm = HARMLESS.get(name, (None, ""))
            if fits is not None and not fits(value):
                shown = json.dumps(value)[:60]
                raise EngageError(f"{path}: the setting {name} ({shown}) {harm}")
            if name.endswith(("_file", "_files")) and name not in NOTES:
                _check_named_files(path, name, value)


def read_settings(path: Path) -> Mapping[str, object]:
    """Read one JSON object of a checkpoint."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise EngageError(f"{path} cannot be read: {error}") from None
    if not isinstance(settings, dict):
        raise EngageError(f"{path} holds no settings of a checkpoint; save or download it again")
    return settings


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every setting, those of parts too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _check_named_files(path: Path, name: str, value: Any) -> None:
    """Raise EngageError where a setting names a file that exists and lies outside the checkpoint's folder."""
    home = path.parent.resolve()
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str) or not one:
            continue
        for place in (path.parent / one, Path(one)):
            try:
                leaves = place.exists() and not place.resolve().is_relative_to(home)
            except (OSError, ValueError):
                leaves = True  # a name that the system does not take
            if leaves and not _is_link_of_cache(path.parent, one):
                raise EngageError(f"{path}: the setting {name} ('{one[:60]}') names a file outside {path.parent}")


def _is_link_of_cache(folder: Path, name: str) -> bool:
    """Whether a bare name stands in the folder itself, as a snapshot of the hub's cache has its links."""
    return "/" not in name and "\\" not in name and (folder / name).exists()
