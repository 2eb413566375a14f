"""Checkpoints of strangers: every file that is loaded is known, stays in its folder, and runs or fetches nothing."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from safetensors.torch import load_file, save_file

from engage_cli.embeddings.pipeline import Pipeline
from engage_cli.encoders import _checkpoints as checkpoints_module
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders.checkpoint_files import INDEX, WEIGHTS
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_CACHE", str(tmp_path / "cache"))
    find_checkpoint.cache_clear()


@pytest.fixture
def copy(checkpoints: dict[str, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["bert"], tmp_path / "copy"))


def change(path: Path, **settings: Any) -> None:
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**before, **settings}))


def sharded(folder: Path, *names: str) -> None:
    """Move the weights into shards of these names, and write their index."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    places = {}
    for number, name in enumerate(names):
        some = {key: value for place, (key, value) in enumerate(sorted(tensors.items())) if place % len(names) == number}
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(some, folder / name, {"format": "pt"})
        places |= dict.fromkeys(some, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def revision(folder: Path) -> str:
    find_checkpoint.cache_clear()
    return find_checkpoint("text", str(folder)).revision


def test_shards_in_subfolders_are_loaded_and_known(copy: Path, checkpoints: dict[str, str]) -> None:
    whole = Pipeline(Encoder("text", checkpoints["bert"], precision="fp32")).encode(["cat"]).pooled
    sharded(copy, "weights/a.safetensors", "weights/deep/b.safetensors")
    assert (Pipeline(Encoder("text", str(copy), precision="fp32")).encode(["cat"]).pooled == whole).all()
    before = revision(copy)
    shard = copy / "weights" / "deep" / "b.safetensors"
    stat, data = shard.stat(), bytearray(shard.read_bytes())
    data[-1] ^= 1
    with shard.open("r+b") as file:  # in place: the same inode, size and time
        file.write(data)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert revision(copy) != before
    shard.unlink()
    with pytest.raises(EngageError, match=r"names weights/deep/b\.safetensors, which is missing"):
        revision(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS])
def test_every_file_that_changes_is_noticed(file: str, copy: Path) -> None:
    before = revision(copy)
    with (copy / file).open("ab") as stream:
        stream.write(b" ")
    assert revision(copy) != before


@pytest.mark.parametrize(
    "name", ["../stolen.safetensors", "/etc/stolen.safetensors", "a/../../b.safetensors", "a.bin", 7, ""]
)
def test_an_index_never_leaves_the_folder(name: Any, copy: Path) -> None:
    shutil.copy(copy / WEIGHTS, copy.parent / "stolen.safetensors")
    (copy / WEIGHTS).unlink()
    (copy / INDEX).write_text(json.dumps({"weight_map": {"embeddings.weight": name}}))
    with pytest.raises(
        EngageError, match=r"model\.safetensors\.index\.json: weight_map: .* is not a \.safetensors file inside"
    ):
        revision(copy)


@pytest.mark.parametrize("file", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_link_never_leaves_the_folder(file: str, copy: Path) -> None:
    shutil.move(copy / file, copy.parent / "elsewhere")
    (copy / file).symlink_to(copy.parent / "elsewhere")
    with pytest.raises(EngageError, match="is a link that leads out of"):
        revision(copy)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "pytorch_model-00001-of-00002.bin"])
def test_no_pickle_is_opened(file: str, copy: Path, tmp_path: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / file).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(EngageError, match=rf"holds weights as {file}, which could run code .* convert it once: python -c"):
        Encoder("text", str(copy))
    assert not (tmp_path / "ran").exists()


def test_a_pickle_beside_safe_weights_is_not_opened(copy: Path, tmp_path: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    Pipeline(Encoder("text", str(copy))).encode(["cat"])
    assert not (tmp_path / "ran").exists()


KERNEL = "somebody/evil-attention"
HOSTILE = {
    "attention": ("config.json", {"_attn_implementation": KERNEL}),
    "attention by its public name": ("config.json", {"attn_implementation": KERNEL}),
    "attention that falls back on a kernel": ("config.json", {"attn_implementation": "flash_attention_2"}),
    "attention of a part": ("config.json", {"text_config": {"attn_implementation": KERNEL}}),
    "attention by part": ("config.json", {"attn_implementation": {"text_config": KERNEL}}),
    "attention inside": ("config.json", {"_attn_implementation_internal": KERNEL}),
    "experts": ("config.json", {"experts_implementation": KERNEL}),
    "kernels": ("config.json", {"use_kernels": True}),
    "kernel map": ("config.json", {"kernel_config": {"kernel_mapping": {"RMSNorm": f"{KERNEL}:Norm"}}}),
    "quantised": ("config.json", {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}),
    "quantised part": ("config.json", {"text_config": {"quantization_config": {"quant_method": "gptq"}}}),
    "other weights": ("config.json", {"transformers_weights": "adapter_model.bin"}),
    "backbone": ("config.json", {"backbone": "somebody/model", "use_pretrained_backbone": True}),
    "timm": ("config.json", {"model_type": "timm_wrapper", "architecture": "hf-hub:somebody/model"}),
    "class": ("tokenizer_config.json", {"tokenizer_class": "os.system"}),
    "class path": ("tokenizer_config.json", {"tokenizer_class": "../evil"}),
    "gguf": ("tokenizer_config.json", {"gguf_file": "evil.gguf"}),
    "vocabulary": ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
    "tokenizers": ("tokenizer_config.json", {"fast_tokenizer_files": ["/etc/passwd"]}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_settings_that_fetch_or_run_are_refused(case: str, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before transformers sees them; each is a sentence that names file and setting."""
    monkeypatch.setattr(checkpoints_module, "cache_dir", lambda: copy.parent / "cache")
    file, settings = HOSTILE[case]
    change(copy / file, **settings)
    with pytest.raises(EngageError, match=rf"{file}: the setting \w+ \(.*\) ") as error:
        Encoder("text", str(copy))
    assert "\n" not in str(error.value)


def test_harmless_settings_stay_usable(copy: Path, checkpoints: dict[str, str]) -> None:
    whole = Pipeline(Encoder("text", checkpoints["bert"], precision="fp32")).encode(["cat"]).pooled
    change(copy / "config.json", attn_implementation="sdpa", use_kernels=False, quantization_config=None, backbone=None)
    change(copy / "tokenizer_config.json", special_tokens_map_file="/etc/passwd", tokenizer_file=None, name_or_path="x/y")
    assert (Pipeline(Encoder("text", str(copy), precision="fp32")).encode(["cat"]).pooled == whole).all()


def test_code_beside_a_checkpoint_never_runs(copy: Path, tmp_path: Path, checkpoints: dict[str, str]) -> None:
    """`auto_map` is passed over: the family's own class is used."""
    for name in ("modeling_evil", "tokenization_evil", "configuration_evil"):
        (copy / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    names = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "configuration_evil.Evil"}
    change(copy / "config.json", auto_map={**names, "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]})
    change(copy / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]})
    whole = Pipeline(Encoder("text", checkpoints["bert"], precision="fp32")).encode(["cat"]).pooled
    try:
        found = Pipeline(Encoder("text", str(copy), precision="fp32")).encode(["cat"]).pooled
    except EngageError as error:
        found = whole
        assert "\n" not in str(error)  # noqa: PT017
    assert (found == whole).all()
    assert not (tmp_path / "ran").exists()
    assert not [name for name in sys.modules if "evil" in name]


def test_an_adapter_pulls_in_no_other_model(copy: Path) -> None:
    (copy / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "somebody/model", "peft_type": "LORA"})
    )
    with pytest.raises(EngageError, match=r"adapter_config\.json: this adapter needs another model; merge it"):
        Encoder("text", str(copy))


def test_a_distributed_checkpoint_is_refused(copy: Path) -> None:
    shutil.copy(copy / WEIGHTS, copy / "shard-00000-model-00001-of-00001.safetensors")
    with pytest.raises(EngageError, match="holds a distributed training's checkpoint"):
        revision(copy)


def test_kernels_are_not_asked_for_where_the_package_is_there(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `kernels` that would fetch is put in the way: nobody calls it."""
    asked: list[str] = []
    package = types.ModuleType("kernels")
    package.get_kernel = lambda *names, **more: asked.append(str(names))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kernels", package)
    Pipeline(Encoder("text", str(copy))).encode(["cat"])
    assert asked == []


def in_cache(folder: Path, cache: Path, hub_id: str) -> Path:
    """Lay a checkpoint into a hub's cache, as a download does: links to blobs."""
    root = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = root / "snapshots" / ("a" * 40)
    (root / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("a" * 40)
    for number, path in enumerate(sorted(path for path in folder.iterdir() if path.is_file())):
        shutil.copy(path, root / "blobs" / f"{number:040d}")
        (snapshot / path.name).symlink_to(Path("../../blobs") / f"{number:040d}")
    return snapshot


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_a_checkpoint_of_the_hub_is_known_by_its_contents(
    copy: Path, hub: Path, checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = in_cache(copy, hub, "somebody/bert")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *names, **more: str(snapshot))
    whole = Pipeline(Encoder("text", checkpoints["bert"], precision="fp32")).encode(["cat"]).pooled
    assert (Pipeline(Encoder("text", "somebody/bert", precision="fp32")).encode(["cat"]).pooled == whole).all()
    find_checkpoint.cache_clear()
    before = find_checkpoint("text", "somebody/bert").revision
    blob = (snapshot / WEIGHTS).resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    find_checkpoint.cache_clear()
    assert find_checkpoint("text", "somebody/bert").revision != before


def test_a_checkpoint_of_the_hub_with_pickles_alone(copy: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.move(copy / WEIGHTS, copy / "pytorch_model.bin")
    snapshot = in_cache(copy, hub, "somebody/old")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *names, **more: str(snapshot))
    with pytest.raises(EngageError, match=r"has the weights of 'somebody/old' only as pickles.*safetensors/convert"):
        find_checkpoint("text", "somebody/old")
