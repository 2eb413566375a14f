"""Towers give what plain transformers code gives, on tiny checkpoints of the real classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from engage_cli.core.encoders.checkpoints import find_checkpoint
from engage_cli.core.encoders.encode import Encoder
from engage_cli.core.encoders.text import TextTower
from engage_cli.core.encoders.vision import VisionTower
from engage_cli.core.errors import EngageError, WrongCallError
from tests.test_images import encoded

VISION, TEXT = ("clip", "siglip", "vit", "dinov2"), ("clip", "siglip", "bert", "deberta")
IMAGES = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (40 + i, 60, 3), dtype=np.uint8)) for i in range(3)]
TEXTS = ["the best pizza ever", "cat", "you must try this car of the mountain"]


@pytest.mark.parametrize("family", VISION)
def test_vision_equals_plain_code(family: str, checkpoints: dict[str, str]) -> None:
    folder = checkpoints[family]
    tower = VisionTower(find_checkpoint("vision", folder))
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=IMAGES, return_tensors="pt")["pixel_values"]
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        if family in ("clip", "siglip"):
            expected = model.get_image_features(pixel_values=pixels).pooler_output
        else:
            expected = model(pixel_values=pixels).last_hidden_state[:, 0]
        prepared = tower.prepare(IMAGES)
        tokens = tower(**prepared)
        torch.testing.assert_close(prepared["pixel_values"], pixels)
        torch.testing.assert_close(tower.pool(tokens), expected, atol=1e-5, rtol=1e-4)
    assert tokens.values.shape[-1] == tower.dim
    assert expected.shape[-1] == tower.pooled_dim


@pytest.mark.parametrize("family", TEXT)
def test_text_equals_plain_code(family: str, checkpoints: dict[str, str]) -> None:
    folder = checkpoints[family]
    tower = TextTower(find_checkpoint("text", folder))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        if family == "siglip":
            ids = tokenizer(TEXTS, padding="max_length", max_length=64, truncation=True, return_tensors="pt")["input_ids"]
            expected = model.get_text_features(input_ids=ids).pooler_output
        elif family == "clip":
            expected = model.get_text_features(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output
        else:  # one by one: the mean over real tokens needs no mask then
            alone = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(dim=1) for text in TEXTS]
            expected = torch.cat(alone)
        found = tower.pool(tower(**tower.prepare(TEXTS)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert found.shape[-1] == tower.pooled_dim


def test_text_is_cut_at_the_window_and_counted(checkpoints: dict[str, str]) -> None:
    encoder = Encoder("text", checkpoints["clip"])
    result = encoder.encode_texts(["cat", "pizza " * 40])
    assert result.num_cut == 1
    assert encoder.tower.prepare(["pizza " * 40])["input_ids"].shape[1] == 16


def test_rows_stay_in_order_with_bad_images_between(checkpoints: dict[str, str]) -> None:
    encoder = Encoder("vision", checkpoints["vit"], batch_size=2)
    good = [encoded(image) for image in IMAGES]
    files = [good[0], b"no image", good[1], None, good[2]]
    result = encoder.encode_images(files)
    assert result.problems == ["", "not an image", "", "missing", ""]
    np.testing.assert_allclose(result.vectors[[0, 2, 4]], encoder.encode_images(good).vectors, atol=1e-5)
    np.testing.assert_allclose(result.vectors[1], result.vectors[3], atol=1e-6)


def test_texts_come_back_in_their_order(checkpoints: dict[str, str]) -> None:
    encoder = Encoder("text", checkpoints["bert"], batch_size=2)
    together = encoder.encode_texts(TEXTS).vectors
    alone = np.concatenate([encoder.encode_texts([text]).vectors for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_shared_space_is_that_of_one_two_tower_checkpoint(checkpoints: dict[str, str]) -> None:
    clip = [Encoder(side, checkpoints["clip"]).shared_space for side in ("vision", "text")]
    assert clip[0] == clip[1] is not None
    assert Encoder("vision", checkpoints["vit"]).shared_space is None


def test_float32_is_float32_on_every_processor(checkpoints: dict[str, str]) -> None:
    Encoder("vision", checkpoints["vit"], precision="fp32").encode_images([None])  # loading sets torch's precision
    a, b = torch.randn(256, 384, generator=torch.Generator().manual_seed(0)), torch.ones(384, 256)
    assert ((a @ b).double() - a.double() @ b.double()).abs().max() < 1e-3


def test_half_precision_stays_near(checkpoints: dict[str, str]) -> None:
    exact = Encoder("vision", checkpoints["vit"], precision="fp32").encode_images([encoded(i) for i in IMAGES]).vectors
    half = Encoder("vision", checkpoints["vit"], precision="bf16").encode_images([encoded(i) for i in IMAGES]).vectors
    cosines = (exact * half).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert cosines.min() > 0.999


@pytest.mark.parametrize("name", ["nonsense", "./nowhere", "minilm", "a/b/c"])
def test_unknown_vision_encoders(name: str) -> None:
    with pytest.raises(WrongCallError, match=r"unknown vision encoder .*dinov2-small, siglip"):
        find_checkpoint("vision", name)


def test_unreachable_hub_names_the_ways_out() -> None:
    with pytest.raises(EngageError, match=r"hub cannot be reached .*dinov2-small, minilm.*local folder"):
        find_checkpoint("vision", "google/vit-base-patch16-224")


def test_folders_that_are_no_checkpoint(tmp_path: object) -> None:
    with pytest.raises(EngageError, match=r"no config\.json"):
        find_checkpoint("vision", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngageError, match="no weights"):
        find_checkpoint("vision", str(tmp_path))
