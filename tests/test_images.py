"""Whatever the file is, the answer is an image or a reason."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from engage_cli.images.decode import ImageError, decode, decode_grey, read_bytes, read_size, resolve_inside


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""
    data = bytearray(encoded(Image.new("L", (1, 1))))
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def with_exif(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    return encoded(Image.linear_gradient("L").convert("RGB").resize((64, 48)), kind, exif=exif)


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_are_a_image_or_a_reason(kind: str) -> None:
    """Whatever a decoder raises on damaged files, one of them never ends a run."""
    whole, rng = with_exif(kind), np.random.default_rng(0)
    reasons = set()
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 12)):
            data[place] = rng.integers(0, 256)
        for work in (decode, decode_grey, read_size):
            try:
                work(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
            except ImageError as problem:
                reasons.add(str(problem))
    assert reasons <= {"damaged", "truncated", "not an image", "too many pixels"}
    assert len(reasons) > 1


GOOD = {
    "rgb": (encoded(Image.new("RGB", (4, 3), (255, 0, 0)), "PNG"), (255, 0, 0)),
    "grey": (encoded(Image.new("L", (4, 3), 77)), (77, 77, 77)),
    "palette": (encoded(Image.new("RGB", (4, 3), (0, 0, 255)).convert("P")), (0, 0, 255)),
    "transparent on white": (encoded(Image.new("RGBA", (4, 3), (0, 0, 0, 0))), (255, 255, 255)),
    "cmyk": (encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG"), (255, 255, 255)),
    "webp": (encoded(Image.new("RGB", (4, 3), (0, 255, 0)), "WEBP", lossless=True), (0, 255, 0)),
    "gif": (encoded(Image.new("RGB", (4, 3), (255, 255, 255)), "GIF"), (255, 255, 255)),
}


@pytest.mark.parametrize("name", GOOD)
def test_decodes_to_rgb(name: str) -> None:
    data, colour = GOOD[name]
    image = decode(data)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int)[0, 0] - colour).max() <= 1


def test_sixteen_bit_keeps_its_gradient() -> None:
    values = np.linspace(0, 40_000, 256, dtype=np.uint16).reshape(1, 256)
    grey = np.asarray(decode(encoded(Image.fromarray(values))))[0, :, 0]
    assert grey[0] == 0
    assert grey[-1] == 255
    assert (np.diff(grey.astype(int)) >= 0).all()


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)).size == (20, 40)


BAD = {
    "not an image": b"this is text",
    "truncated": encoded(Image.effect_noise((64, 64), 80), "JPEG")[:-900],
    "too many pixels": bomb(),
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_files_have_a_reason(reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(BAD[reason])


def test_header_alone_refuses_a_bomb() -> None:
    with pytest.raises(ImageError, match="too many pixels"):
        read_size(bomb())


def test_reading(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="empty file"):
        read_bytes(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="no such file"):
        read_bytes(tmp_path / "absent.jpg")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg", "link.jpg", "..", "way/secret.jpg"])
def test_no_path_leaves_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "way").symlink_to(tmp_path)
    with pytest.raises(ImageError, match="leaves the image folder"):
        resolve_inside(folder, name)
    assert resolve_inside(folder, "a/b.jpg") == folder.resolve() / "a" / "b.jpg"


def test_a_link_within_the_folder_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "there.jpg").write_bytes(b"x")
    (tmp_path / "images").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "link.jpg").symlink_to("there.jpg")
    monkeypatch.chdir(tmp_path)
    for name in ("there.jpg", "link.jpg"):
        assert resolve_inside(Path("images"), name) == (tmp_path / "real" / "there.jpg").resolve()
