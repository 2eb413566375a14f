"""Towers give what plain transformers code gives, on tiny checkpoints of the real classes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from engage_cli.config.general import RESIZES
from engage_cli.embeddings.pipeline import Pipeline
from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders.encoder import Encoder
from engage_cli.encoders.preprocessing import Pixels, read_recipe
from engage_cli.encoders.text import TextTower
from engage_cli.encoders.vision import VisionTower
from engage_cli.errors import EngageError, WrongCallError
from tests.test_images import encoded

VISION = ("clip", "siglip", "siglip2", "vit", "dinov2", "registers")
TEXT = ("clip", "siglip", "siglip2", "bert", "roberta", "deberta")
TWO_SIDED = ("clip", "siglip", "siglip2")


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Something with the smoothness of a photograph; noise has no neighbours to interpolate."""
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


IMAGES = [photo(60, 40), photo(41, 97, 1), photo(200, 120, 2), photo(33, 33, 3)]
TEXTS = ["the best pizza ever", "cat", "you must try this car of the mountain", "日本 語 ☃ cat"]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def plain_image_vectors(family: str, folder: str) -> np.ndarray:
    """What the documentation of transformers says, one image at a time."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    vectors = []
    with torch.inference_mode():
        for image in IMAGES:
            inputs = processor(images=image, return_tensors="pt")
            if family in TWO_SIDED:
                vectors.append(model.get_image_features(**inputs).pooler_output)
            else:
                vectors.append(model(**inputs).last_hidden_state[:, 0])
    return torch.cat(vectors).numpy()


def plain_text_vectors(family: str, folder: str) -> np.ndarray:
    """One text at a time, so that nothing but what the checkpoint wants is padded."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    vectors = []
    with torch.inference_mode():
        for text in TEXTS:
            if family in ("siglip", "siglip2"):
                ids = tokenizer(text, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
                vectors.append(model.get_text_features(input_ids=ids["input_ids"]).pooler_output)
            elif family == "clip":
                vectors.append(model.get_text_features(**tokenizer(text, return_tensors="pt")).pooler_output)
            else:
                tokens = model(**tokenizer(text, return_tensors="pt")).last_hidden_state
                vectors.append(tokens[:, 0] if family == "roberta" else tokens.mean(dim=1))  # as 1_Pooling says
    return torch.cat(vectors).numpy()


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.999)])
@pytest.mark.parametrize("family", VISION)
def test_vision_equals_plain_code(family: str, precision: str, least: float, checkpoints: dict[str, str]) -> None:
    encoder = Encoder("vision", checkpoints[family], precision=precision, dtype="fp32")
    contents = [lambda image=image: encoded(image, "PNG") for image in IMAGES]
    found = Pipeline(encoder, batch_size=3).encode(contents).pooled
    assert cosines(found, plain_image_vectors(family, checkpoints[family])).min() >= least
    assert found.shape == (len(IMAGES), encoder.tower.pooled_dim)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.9999), ("bf16", 0.999)])
@pytest.mark.parametrize("family", TEXT)
def test_text_equals_plain_code(family: str, precision: str, least: float, checkpoints: dict[str, str]) -> None:
    encoder = Encoder("text", checkpoints[family], precision=precision, dtype="fp32")
    found = Pipeline(encoder, batch_size=3).encode(TEXTS).pooled
    assert cosines(found, plain_text_vectors(family, checkpoints[family])).min() >= least
    assert found.shape == (len(TEXTS), encoder.tower.pooled_dim)


@pytest.mark.parametrize("family", VISION)
def test_pixels_equal_the_processors(family: str, checkpoints: dict[str, str]) -> None:
    """Within two steps of 255 in a few pixels, which resizing a part of an image rounds otherwise; most are equal."""
    pixels = Pixels(Path(checkpoints[family]))
    processor = transformers.AutoImageProcessor.from_pretrained(checkpoints[family], backend="pil")
    assert (pixels.recipe is None) == (family == "siglip2")
    for image in IMAGES:
        wanted = processor(images=[image], return_tensors="pt")["pixel_values"]
        found = pixels.normalise(pixels.prepare([image])["pixel_values"], torch.float32)
        assert found.shape == wanted.shape
        step = 0 if pixels.recipe is None else pixels.recipe.scale / min(pixels.recipe.std)
        assert (found - wanted).abs().max() <= 2 * step + 1e-5
        assert ((found - wanted).abs() < 1e-5).float().mean() > 0.99


@pytest.mark.parametrize("family", TEXT)
def test_token_ids_equal_the_tokenizers(family: str, checkpoints: dict[str, str]) -> None:
    tower = TextTower(find_checkpoint("text", checkpoints[family]))
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints[family])
    texts = [*TEXTS, "pizza " * 300]
    padding = "max_length" if family in ("siglip", "siglip2") else "longest"
    wanted = tokenizer(
        texts,
        padding=padding,
        truncation=True,
        max_length=tower.max_tokens,
        return_attention_mask=True,
        return_tensors="pt",
    )
    found = tower.prepare(texts)
    for name in ("input_ids", "attention_mask"):
        torch.testing.assert_close(found[name], wanted[name], atol=0, rtol=0)
    tokenized = tower.tokenize(texts)
    assert (tokenized.num_cut > 0).tolist() == [False] * len(TEXTS) + [True]
    if family != "siglip2":  # its tokenizer splits as Gemma's does, which the tiny vocabulary is not made for
        assert tokenized.num_unknown[:3].tolist() == [0, 0, 0]
        assert tokenized.num_unknown[3] >= 3


@pytest.mark.parametrize(("key", "value"), [("do_pad", True), ("size", {"longest_edge": 40}), ("do_normalize", False)])
def test_a_processor_that_does_more_is_called_itself(
    key: str, value: object, checkpoints: dict[str, str], tmp_path: Path
) -> None:
    processor = transformers.AutoImageProcessor.from_pretrained(checkpoints["vit"], backend="pil")
    assert read_recipe(processor) is not None
    settings = processor.to_dict() | {key: value}

    class Other:
        def to_dict(self) -> dict[str, object]:
            return settings

    assert read_recipe(Other()) is None


def test_a_processor_with_other_pixels_is_called_itself(
    checkpoints: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its settings say: the probe images decide."""
    monkeypatch.setattr(Pixels, "_by_processor", lambda self, images: {"pixel_values": torch.zeros(len(images), 3, 32, 32)})
    assert Pixels(Path(checkpoints["vit"])).recipe is None


@pytest.mark.parametrize("family", ["vit", "dinov2", "registers", "clip", "siglip", "siglip2"])
def test_regions_are_means_of_the_patches_in_them(family: str, checkpoints: dict[str, str]) -> None:
    encoder = Encoder("vision", checkpoints[family], precision="fp32", tokens=4)
    tower = encoder.tower
    assert isinstance(tower, VisionTower)
    prepared = tower.prepare([photo(64, 64)])
    with torch.inference_mode():
        tokens = tower(**prepared)
        few = tower.few(tokens, 4, **prepared)
    patches = tokens.values[:, -4:]  # a 32 x 32 image has 2 x 2 patches of 16
    if family == "siglip2":  # 4 x 4 patches
        patches = tokens.values.reshape(1, 2, 2, 2, 2, -1).mean(dim=(2, 4)).flatten(1, 2)
    torch.testing.assert_close(few.values, patches, atol=1e-6, rtol=1e-5)
    assert few.mask.all()


def test_regions_keep_the_order_of_rows() -> None:
    from engage_cli.encoders._pooling import region_grid, regions_of

    patches = torch.arange(24.0).view(1, 24, 1)  # 4 rows of 6
    assert regions_of(patches, (4, 6), 6).flatten().tolist() == [3.5, 5.5, 7.5, 15.5, 17.5, 19.5]
    assert [region_grid(n) for n in (1, 2, 4, 6, 8, 9, 16)] == [(1, 1), (1, 2), (2, 2), (2, 3), (2, 4), (3, 3), (4, 4)]
    with pytest.raises(WrongCallError, match="--tokens 7: 7 regions cannot form a grid"):
        region_grid(7)


def test_words_are_the_first_tokens_with_their_mask(checkpoints: dict[str, str]) -> None:
    encoder = Encoder("text", checkpoints["bert"], precision="fp32", dtype="fp32", tokens=5)
    result = Pipeline(encoder).encode(TEXTS)
    assert result.tokens is not None
    assert result.token_mask is not None
    assert result.tokens.shape == (len(TEXTS), 5, 32)
    assert result.token_mask.sum(axis=1).tolist() == [5, 3, 5, 5]  # "[CLS] cat [SEP]"
    assert not result.tokens[1, 3:].any()
    np.testing.assert_allclose(result.tokens[1, :3].mean(axis=0), result.pooled[1], atol=1e-5)


@pytest.mark.parametrize(
    ("family", "side", "pool", "wanted"),
    [
        ("vit", "vision", "checkpoint", "cls"),
        ("dinov2", "vision", "mean", "mean"),
        ("clip", "vision", "checkpoint", "projected"),
        ("clip", "vision", "cls", "cls"),
        ("siglip", "vision", "checkpoint", "map"),
        ("siglip2", "vision", "mean", "mean"),
        ("siglip", "text", "checkpoint", "projected"),
        ("clip", "text", "cls", "cls"),
        ("bert", "text", "checkpoint", "mean"),
        ("roberta", "text", "checkpoint", "cls"),
        ("roberta", "text", "mean", "mean"),
    ],
)
def test_pooling(family: str, side: str, pool: str, wanted: str, checkpoints: dict[str, str]) -> None:
    encoder = Encoder(side, checkpoints[family], pool=pool, precision="fp32", dtype="fp32")
    assert encoder.pooling == wanted
    contents = [lambda image=image: encoded(image, "PNG") for image in IMAGES] if side == "vision" else TEXTS
    result = Pipeline(encoder).encode(contents)
    assert result.pooled.shape[1] == encoder.tower.pooled_dim
    if pool != "checkpoint" and wanted != "projected":
        model = transformers.AutoModel.from_pretrained(checkpoints[family], dtype=torch.float32).eval()
        if (side, pool, family) == ("vision", "mean", "dinov2"):
            pixels = transformers.AutoImageProcessor.from_pretrained(checkpoints[family], backend="pil")
            with torch.inference_mode():
                tokens = model(**pixels(images=IMAGES, return_tensors="pt")).last_hidden_state.mean(dim=1)
            assert cosines(result.pooled, tokens.numpy()).min() > 0.9999


@pytest.mark.parametrize("family", ["vit", "dinov2", "clip", "siglip", "siglip2"])
def test_depths_of_a_image(family: str, checkpoints: dict[str, str]) -> None:
    """Its own pooling first; then what the patches are on their way, as transformers hands the layers out."""
    plain, deep = (Encoder("vision", checkpoints[family], pool=pool, precision="fp32", dtype="fp32") for pool in POOLS)
    contents = [lambda image=image: encoded(image, "PNG") for image in IMAGES]
    own, found = Pipeline(plain).encode(contents).pooled, Pipeline(deep).encode(contents).pooled
    assert deep.pooling == f"{plain.pooling}+depths"
    assert deep.tower.widths == (own.shape[1], *(deep.tower.dim,) * 3)
    np.testing.assert_allclose(found[:, : own.shape[1]], own, atol=1e-5)
    prepared = deep.tower.prepare(IMAGES[:1])
    pixels = deep.tower.pixels.normalise(prepared.pop("pixel_values"), torch.float32)
    with torch.inference_mode():
        layers = deep.tower.model(pixel_values=pixels, **prepared, output_hidden_states=True).hidden_states
    first = 1 if family in ("vit", "dinov2", "clip") else 0
    real = prepared["pixel_attention_mask"][0].bool() if prepared else slice(None)
    tokens = [layer[0, first:][real] if not prepared else layer[0][real] for layer in layers]
    wanted = torch.cat([_at(tokens, 1).std(dim=0, correction=0), _at(tokens, 2).mean(dim=0), _at(tokens, 3).mean(dim=0)])
    np.testing.assert_allclose(found[0, own.shape[1] :], wanted.numpy(), atol=2e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta", "clip", "siglip"])
def test_depths_of_a_text(family: str, checkpoints: dict[str, str]) -> None:
    plain, deep = (Encoder("text", checkpoints[family], pool=pool, precision="fp32", dtype="fp32") for pool in POOLS)
    own, found = Pipeline(plain).encode(TEXTS).pooled, Pipeline(deep).encode(TEXTS).pooled
    np.testing.assert_allclose(found[:, : own.shape[1]], own, atol=1e-5)
    alone = Pipeline(deep).encode(TEXTS[1:2]).pooled[0]
    np.testing.assert_allclose(found[1], alone, atol=1e-4)  # padding beside longer texts does not count
    prepared = deep.tower.prepare(TEXTS[1:2])
    masks = {} if family == "siglip" else {"attention_mask": prepared["attention_mask"]}
    with torch.inference_mode():
        layers = deep.tower.model(prepared["input_ids"], **masks, output_hidden_states=True).hidden_states
    tokens = [layer[0][prepared["attention_mask"][0].bool()] for layer in layers]
    wanted = torch.cat([_at(tokens, 1).std(dim=0, correction=0), _at(tokens, 2).mean(dim=0), _at(tokens, 3).mean(dim=0)])
    np.testing.assert_allclose(alone[own.shape[1] :], wanted.numpy(), atol=2e-4)


@pytest.mark.parametrize("family", ["dinov2", "clip"])
def test_the_whole_image_is_pressed_into_the_square(family: str, checkpoints: dict[str, str]) -> None:
    """What lies at the sides of a wide image counts, and is what the tower sees of the image resized by hand."""
    wide = photo(320, 120)
    changed = wide.copy()
    changed.paste((255, 0, 0), (0, 0, 30, 120))
    own, whole = (Encoder("vision", checkpoints[family], resize=resize, precision="fp32") for resize in RESIZES)
    files = [lambda image=image: encoded(image, "PNG") for image in (wide, changed)]
    cut, seen = (Pipeline(encoder).encode(files).pooled.astype(np.float32) for encoder in (own, whole))
    np.testing.assert_array_equal(cut[0], cut[1])  # the sides are cut off
    assert np.abs(seen[0] - seen[1]).max() > 1e-3
    recipe = whole.tower.pixels.recipe
    height, width = recipe.size
    by_hand = np.asarray(wide.resize((width, height), Image.Resampling(recipe.resample)))
    np.testing.assert_array_equal(whole.tower.prepare([wide])["pixel_values"][0].numpy(), by_hand)
    assert own.record != whole.record


POOLS = ("checkpoint", "depths")


def _at(tokens: list[torch.Tensor], quarters: int) -> torch.Tensor:
    return tokens[-(-(len(tokens) - 1) * quarters // 4)]


@pytest.mark.parametrize(
    ("family", "side", "pool"), [("vit", "vision", "map"), ("siglip", "vision", "cls"), ("bert", "text", "map")]
)
def test_pooling_that_a_checkpoint_has_not(family: str, side: str, pool: str, checkpoints: dict[str, str]) -> None:
    with pytest.raises(EngageError, match=rf"--pool {pool}: the {side} encoder .* has no"):
        Encoder(side, checkpoints[family], pool=pool)


def test_shared_space_is_that_of_one_two_tower_checkpoint(checkpoints: dict[str, str]) -> None:
    clip = [Encoder(side, checkpoints["clip"]).shared_space for side in ("vision", "text")]
    assert clip[0] == clip[1] is not None
    assert Encoder("vision", checkpoints["vit"]).shared_space is None
    assert Encoder("vision", checkpoints["clip"], pool="mean").shared_space is None
    deep = [Encoder(side, checkpoints["clip"], pool="depths") for side in ("vision", "text")]
    assert [one.shared_space for one in deep] == clip
    assert deep[0].tower.widths[0] == deep[1].tower.widths[0]


def test_the_record_names_all_that_decides(checkpoints: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    shutil.copytree(checkpoints["vit"], folder)
    records = [Encoder("vision", str(folder), precision="fp32").record]
    changes: list[dict[str, Any]] = [{"precision": "bf16"}, {"pool": "mean"}, {"pool": "depths"}, {"resize": "squash"}]
    for options in (*changes, {"tokens": 4}, {"dtype": "fp32"}):
        records.append(Encoder("vision", str(folder), **({"precision": "fp32"} | options)).record)
    settings = folder / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace('"resample": 3', '"resample": 2'))
    find_checkpoint.cache_clear()
    records.append(Encoder("vision", str(folder), precision="fp32").record)
    assert len({str(record) for record in records}) == 8


def test_float32_is_float32_on_every_processor(checkpoints: dict[str, str]) -> None:
    assert Encoder("vision", checkpoints["vit"], precision="fp32").tower  # loading sets torch's precision
    a, b = torch.randn(256, 384, generator=torch.Generator().manual_seed(0)), torch.ones(384, 256)
    assert ((a @ b).double() - a.double() @ b.double()).abs().max() < 1e-3


def test_a_checkpoint_without_its_pooler_loads(checkpoints: dict[str, str], tmp_path: Path) -> None:
    """BertModel saved by sentence-transformers often lacks the pooler that nobody reads."""
    transformers.ElectraModel(transformers.ElectraConfig(vocab_size=32, embedding_size=32, hidden_size=32,
        num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)).save_pretrained(tmp_path)  # fmt: skip
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(checkpoints["bert"]) / name, tmp_path)
    assert Pipeline(Encoder("text", str(tmp_path))).encode(["cat"]).pooled.shape == (1, 32)


@pytest.mark.parametrize("name", ["nonsense", "./nowhere", "minilm", "a/b/c"])
def test_unknown_vision_encoders(name: str) -> None:
    with pytest.raises(WrongCallError, match=r"unknown vision encoder .*dinov2-small, siglip"):
        find_checkpoint("vision", name)


def test_unreachable_hub_names_the_ways_out() -> None:
    with pytest.raises(EngageError, match=r"hub cannot be reached .*dinov2-small, minilm.*local folder"):
        find_checkpoint("vision", "google/vit-base-patch16-224")


def test_folders_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(EngageError, match=r"no config\.json"):
        find_checkpoint("vision", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngageError, match="no weights"):
        find_checkpoint("vision", str(tmp_path))


def test_a_tower_is_not_loaded_again_for_its_widths(checkpoints: dict[str, str]) -> None:
    first, second = (Encoder("text", checkpoints["bert"], pool="depths") for _ in range(2))
    assert first.widths == first.tower.widths == second.widths
    assert "_tower" not in vars(second)
