"""Hand-crafted features by value, and what every one of them must have."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from engage_cli.features.handcrafted import (
    DESCRIPTION_FEATURES,
    IMAGE_FEATURES,
    TITLE_CATEGORIES,
    TITLE_FEATURES,
    meaning_of,
    measure_file,
    measure_image,
    measure_texts,
)
from engage_cli.features.handcrafted.image import HUES, LoadedImage
from engage_cli.features.handcrafted.text import script
from engage_cli.registry import Registry

TABLES = (TITLE_FEATURES, TITLE_CATEGORIES, DESCRIPTION_FEATURES, IMAGE_FEATURES)


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in TABLES for name in table])
def test_every_feature_says_what_it_is_and_its_unit(table: Registry, name: str) -> None:
    assert re.fullmatch(r"[A-Z][^\[]+ \[[^\]]+\](;.*)?", meaning_of(table, name)), meaning_of(table, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"title_characters": 0, "title_words": 0, "title_word_length": 0, "title_capital_share": 0, "title_emoji": 0}),
        (
            "I BUILT a house!! in 24 hours?",
            {
                "title_characters": 30,
                "title_words": 7,
                "title_capital_share": 6 / 19,
                "title_capital_words": 1,
                "title_digits": 2,
                "title_exclamation_marks": 2,
                "title_question_marks": 1,
            },
        ),
        ("don't stop", {"title_words": 2, "title_word_length": 4.5}),
        ("Trailer [4K] | “Dune” (official) - part 2", {"title_brackets": 2, "title_quotes": 2, "title_separators": 2}),
        ("state-of-the-art: a review", {"title_separators": 1}),
        ("family 👨‍👩‍👧 flag 🇫🇷🇩🇪 hand 👍🏽 heart ❤️ #fun #x #", {"title_emoji": 5, "title_hashtags": 2}),
        ("今天吃什么？", {"title_words": 1, "title_question_marks": 1, "title_characters": 6}),
    ],
)
def test_titles(text: str, expected: dict[str, float]) -> None:
    found = measure_texts(pd.Series([text]), TITLE_FEATURES).iloc[0]
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_descriptions() -> None:
    text = "See https://a.b/c and WWW.d.e\n\n#one two\n"
    found = measure_texts(pd.Series([text]), DESCRIPTION_FEATURES).iloc[0]
    assert found["description_links"] == 2
    assert found["description_lines"] == 2
    assert found["description_hashtags"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello мир", "Latin"), ("Привет world мир", "Cyrillic"), ("今天吃什么", "Han"), ("今日は何を食べる", "Japanese"),
        ("カタカナ", "Japanese"), ("안녕하세요", "Korean"), ("مرحبا", "Arabic"), ("नमस्ते", "Devanagari"), ("24 !!", "none"),
        ("", "none"), ("ქართული", "other"),
    ],
)  # fmt: skip
def test_scripts(text: str, expected: str) -> None:
    assert script(text) == expected


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def measure(image: Image.Image) -> dict[str, float]:
    return dict(zip(IMAGE_FEATURES, measure_image(LoadedImage(encode(image))).tolist(), strict=True))


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ((255, 0, 0), "red"), ((255, 128, 0), "orange"), ((240, 230, 20), "yellow"), ((0, 200, 0), "green"),
        ((0, 220, 220), "cyan"), ((20, 60, 255), "blue"), ((150, 20, 255), "purple"), ((255, 20, 160), "pink"),
        ((250, 0, 20), "red"),
    ],
)  # fmt: skip
def test_a_plain_cover_is_all_of_its_colour(colour: tuple[int, int, int], name: str) -> None:
    found = measure(Image.new("RGB", (320, 180), colour))
    shares = {hue: found[f"image_{hue}"] for hue in HUES}
    assert shares == pytest.approx({hue: float(hue == name) for hue in HUES})
    for plain in ("image_entropy", "image_contrast", "image_edge_density", "image_sharpness", "image_lettering"):
        assert found[plain] == pytest.approx(0, abs=1e-6), plain
    assert found["image_brightness"] == pytest.approx(np.dot(colour, [0.299, 0.587, 0.114]) / 255, abs=1e-5)
    assert found["image_warmth"] == pytest.approx((colour[0] - colour[2]) / 255, abs=1e-5)


def test_black_white_and_grey() -> None:
    image = Image.new("RGB", (200, 100), "white")
    image.paste("black", (0, 0, 50, 100))
    found = measure(image)
    assert found["image_black"] == pytest.approx(0.25, abs=0.01)
    assert found["image_white"] == pytest.approx(0.75, abs=0.01)
    assert found["image_contrast"] == pytest.approx(np.sqrt(0.25 * 0.75), abs=0.01)
    assert found["image_entropy"] == pytest.approx(-(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75)), abs=0.02)
    assert found["image_saturation"] == found["image_colourfulness"] == 0
    assert [found[name] for name in ("image_width", "image_height", "image_aspect")] == [200, 100, 2]


def test_colourfulness_is_that_of_hasler_and_susstrunk() -> None:
    image = Image.new("RGB", (200, 100), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 100, 100))  # rg: 1 and 0; yb: 0.5 and -1
    spread = np.hypot(0.5, 0.75)
    assert measure(image)["image_colourfulness"] == pytest.approx(spread + 0.3 * np.hypot(0.5, -0.25), abs=0.01)


def noise(seed: int = 0) -> Image.Image:
    blobs = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((320, 180), Image.Resampling.BICUBIC)


def test_blur_takes_sharpness_and_edges() -> None:
    random = np.random.default_rng(1).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    sharp = Image.fromarray(random)
    blurred = sharp.filter(ImageFilter.GaussianBlur(3))
    assert measure(sharp)["image_sharpness"] > 5 * measure(blurred)["image_sharpness"]
    assert measure(sharp)["image_edge_density"] > measure(blurred)["image_edge_density"]


def test_lettering_is_seen_and_a_image_has_none() -> None:
    plain = noise()
    lettered = plain.copy()
    draw = ImageDraw.Draw(lettered)
    draw.rectangle((0, 110, 320, 180), fill="black")
    draw.text((8, 118), "GAME HIGHLIGHTS", fill="white", font=ImageFont.load_default(34))
    assert measure(plain)["image_lettering"] < 0.01
    assert 0.08 < measure(lettered)["image_lettering"] < 0.6


def test_a_turned_jpeg_is_measured_as_it_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    found = dict(zip(IMAGE_FEATURES, measure_image(LoadedImage(encode(noise(), "JPEG", exif=exif))), strict=True))
    assert [found[name] for name in ("image_width", "image_height")] == [180, 320]


def test_a_large_jpeg_measures_as_a_small_one() -> None:
    small = measure_image(LoadedImage(encode(noise(), "JPEG", quality=95)))
    large = measure_image(LoadedImage(encode(noise().resize((2560, 1440), Image.Resampling.BICUBIC), "JPEG", quality=95)))
    differences = dict(zip(IMAGE_FEATURES, np.abs(small - large), strict=True))
    assert all(
        gap < 0.05 for name, gap in differences.items() if name not in ("image_width", "image_height", "image_entropy")
    )


def test_a_post_without_a_cover_has_nan_and_a_changed_file_is_told(tmp_path: Path) -> None:
    import hashlib

    assert np.isnan(measure_image(None)).all()
    data = encode(noise())
    (tmp_path / "a.png").write_bytes(data)
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    found = measure_file(tmp_path, "a.png", digest)
    assert found is not None
    assert np.isfinite(found).all()
    (tmp_path / "a.png").write_bytes(data + b"\0")
    assert measure_file(tmp_path, "a.png", digest) is None
