"""One bad image never ends a run, and never shifts the rows after it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engage_cli.data.dataset import load_dataset
from engage_cli.images.decode import decode
from tests.calls import answer
from tests.good import NUM
from tests.sources import encoded, picture, write_archive, write_table
from tests.test_images import bomb


def _as_16_bit() -> bytes:
    return encoded(Image.fromarray(np.asarray(picture(9).convert("L")).astype(np.uint16) * 257), "PNG")


def _animated() -> bytes:
    return encoded(picture(8), "GIF", save_all=True, append_images=[picture(7)])


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(6), exif=exif)


# A file -> why it gives no image, or "" where it gives one.
IMAGES: dict[str, tuple[bytes, str]] = {
    "bomb.png": (bomb(), "too many pixels"),
    "truncated.jpg": (encoded(picture(1), quality=95)[:2000], "truncated"),
    "text.jpg": (b"no image", "not an image"),
    "empty.jpg": (b"", "empty file"),
    "cmyk.jpg": (encoded(picture(2).convert("CMYK")), ""),
    "palette.png": (encoded(picture(3).convert("P"), "PNG"), ""),
    "16-bit.png": (_as_16_bit(), ""),
    "animated.gif": (_animated(), ""),
    "turned.jpg": (_turned(), ""),
    "-dash.jpg": (encoded(picture(4)), ""),
    "../outside.jpg": (encoded(picture(5)), "path leaves the image folder"),
    "link.jpg": (b"", "path leaves the image folder"),
    "circle.jpg": (b"", "a link that leads nowhere"),
    "missing.jpg": (b"", "no such file"),
    "": (b"", "no image named"),
}


@pytest.mark.parametrize("level", [[], ["--verify-images"], ["--no-dedupe"]])
def test_images_of_every_kind_and_the_rows_after_them(level: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    names = list(IMAGES) + [f"good{n}.jpg" for n in range(NUM - len(IMAGES))]
    for name, (data, _) in IMAGES.items():
        if name and name not in ("missing.jpg", "link.jpg", "circle.jpg"):
            (folder / name).write_bytes(data)
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "circle.jpg").symlink_to(folder / "circle.jpg")
    for number, name in enumerate(names[len(IMAGES) :]):
        (folder / name).write_bytes(encoded(picture(100 + number)))
    names[3] = str(tmp_path / "outside.jpg")  # an absolute path, in place of the empty file
    path = write_table(tmp_path / "posts.csv", NUM, image=names)
    found = answer("prepare", "--table", path, "--images-dir", folder, "--data", tmp_path / "data", *level)
    posts = load_dataset(tmp_path / "data").posts
    expected = [IMAGES[name][1] if name in IMAGES else "" for name in names]
    expected[3] = "path leaves the image folder"
    if level == ["--no-dedupe"]:  # headers alone: a file that ends early is found when it is embedded
        expected[names.index("truncated.jpg")] = ""
    assert posts["image_problem"].tolist() == expected
    assert found["image_problems"]["path leaves the image folder"] == 3
    problems = list(csv.DictReader((tmp_path / "data" / "problems.csv").open()))
    assert [(row["row"], row["problem"]) for row in problems] == [
        (str(n + 1), f"image: {reason}") for n, reason in enumerate(expected) if reason
    ]


def test_a_16_bit_image_is_not_white() -> None:
    assert 40 < np.asarray(decode(_as_16_bit())).mean() < 215


def test_images_with_a_capital_suffix_are_found_by_id(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for n in range(NUM):
        (tmp_path / "images" / f"p{n}.{'JPG' if n % 2 else 'Jpeg'}").write_bytes(encoded(picture(n)))
    path = write_table(tmp_path / "t.csv", NUM)
    assert (
        answer("prepare", "--table", path, "--images-dir", tmp_path / "images", "--data", tmp_path / "d")["image_problems"]
        == {}
    )


@pytest.mark.parametrize("suffix", ["png", "JPG", "webp"])
def test_images_in_an_archive_are_found_by_id_under_any_suffix(suffix: str, tmp_path: Path) -> None:
    kind = {"png": "PNG", "JPG": "JPEG", "webp": "WEBP"}[suffix]
    members = {f"covers/p{n}.{suffix}": encoded(picture(n), kind) for n in range(NUM)}
    archive = write_archive(tmp_path / "covers.zip", members)
    call = ["prepare", "--table", write_table(tmp_path / "t.csv", NUM), "--images-dir", archive, "--data", tmp_path / "d"]
    assert answer(*call)["image_problems"] == {}
    assert load_dataset(tmp_path / "d").posts["image"].iloc[3] == f"p3.{suffix}"
