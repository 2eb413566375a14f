"""A folder of sentence-transformers is used as it says: dense layers, pooling, length and case, in both layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders._pooling import find_pooling
from engage_cli.encoders.encoder import Encoder
from engage_cli.encoders.text import TextTower
from engage_cli.errors import EngageError
from tests.tiny import make_checkpoint

KIND = "sentence_transformers.models."
TEXTS = ["A RIVER and a lamp", "forest", "the quick brown fox jumps over the lazy dog and the moon and the sea"]


def pooling_of(folder: Path, mode: str, width: int) -> None:
    folder.mkdir(exist_ok=True)
    modes = {name: name == mode for name in ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")}
    settings = {"word_embedding_dimension": width, **{f"pooling_mode_{name}": is_on for name, is_on in modes.items()}}
    (folder / "config.json").write_text(json.dumps(settings))


def write_modules(folder: Path, *modules: tuple[str, str]) -> None:
    rows = [{"idx": n, "name": str(n), "path": path, "type": KIND + kind} for n, (kind, path) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(rows))


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    folder = tmp_path / "dense"
    make_checkpoint("bert", folder)
    width = json.loads((folder / "config.json").read_text())["hidden_size"]
    pooling_of(folder / "1_Pooling", "mean_tokens", width)
    (folder / "2_Dense").mkdir()
    settings = {"in_features": width, "out_features": 16, "bias": True}
    settings["activation_function"] = "torch.nn.modules.activation.Tanh"
    (folder / "2_Dense" / "config.json").write_text(json.dumps(settings))
    weights = torch.Generator().manual_seed(0)
    layer = {"linear.weight": torch.randn(16, width, generator=weights), "linear.bias": torch.randn(16, generator=weights)}
    save_file(layer, folder / "2_Dense" / "model.safetensors")
    write_modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 8, "do_lower_case": True}))
    return folder


def vectors_of(folder: Path) -> np.ndarray:
    tower = TextTower(find_checkpoint("text", str(folder)))
    with torch.no_grad():
        return tower.pool(tower(**tower.prepare(TEXTS))).numpy()


def test_vectors_are_those_of_sentence_transformers_itself(dense: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    expected = library.SentenceTransformer(str(dense), device="cpu").encode(TEXTS)
    found = vectors_of(dense)
    assert found.shape == (3, 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_are_the_mean_of_eight_lower_case_tokens_through_the_layer(dense: Path) -> None:
    tower = TextTower(find_checkpoint("text", str(dense)), pool="mean")
    layer = load_file(dense / "2_Dense" / "model.safetensors")
    with torch.no_grad():
        mean = tower.pool(tower(**tower.prepare([text.lower() for text in TEXTS])))
        expected = torch.tanh(mean @ layer["linear.weight"].T + layer["linear.bias"]).numpy()
    assert tower.prepare(TEXTS)["input_ids"].shape[1] <= 8
    np.testing.assert_allclose(vectors_of(dense), expected, atol=1e-6)


def test_dense_layers_length_and_case_belong_to_the_record(dense: Path) -> None:
    before = Encoder("text", str(dense)).record
    assert before["pooling"] == "mean+dense"
    assert before["preprocessing"].startswith("at most 8 tokens, lower case, dense layers ")
    assert Encoder("text", str(dense), pool="depths").pooling == "mean+dense+depths"
    assert Encoder("text", str(dense), pool="mean").pooling == "mean"
    layer = {"linear.weight": torch.zeros(16, 32), "linear.bias": torch.zeros(16)}
    save_file(layer, dense / "2_Dense" / "model.safetensors")
    assert Encoder("text", str(dense)).record["preprocessing"] != before["preprocessing"]


@pytest.mark.parametrize("named", ["legacy", "legacy/0_Transformer"])
def test_the_old_layout(named: str, dense: Path, tmp_path: Path) -> None:
    legacy = tmp_path / "legacy"
    shutil.copytree(dense, legacy / "0_Transformer", ignore=shutil.ignore_patterns("1_Pooling", "2_Dense", "modules.json"))
    pooling_of(legacy / "1_Pooling", "cls_token", 32)
    write_modules(legacy, ("Transformer", "0_Transformer"), ("Pooling", "1_Pooling"))
    (legacy / "config.json").write_text(json.dumps({"__version__": "0.2.0"}))
    checkpoint = find_checkpoint("text", str(tmp_path / named))
    assert find_pooling(checkpoint, "text", "checkpoint") == "cls"
    assert vectors_of(tmp_path / named).shape == (3, 32)


def test_layers_that_are_not_computed_or_lie_elsewhere_are_refused(dense: Path) -> None:
    write_modules(dense, ("Transformer", ""), ("Pooling", "1_Pooling"), ("LSTM", "2_LSTM"))
    with pytest.raises(EngageError, match=r"a layer of the kind LSTM .* give --pool mean or cls"):
        find_pooling(find_checkpoint("text", str(dense)), "text", "checkpoint")
    write_modules(dense, ("Transformer", ""), ("Dense", "../elsewhere"))
    with pytest.raises(EngageError, match="is not a folder beside it"):
        find_pooling(find_checkpoint("text", str(dense)), "text", "checkpoint")
