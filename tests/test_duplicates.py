"""Copies of an image are found whatever was done to their file; different images are not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from engage_cli.data.duplicates import find_groups, normalise_titles
from engage_cli.images.decode import decode, decode_grey
from engage_cli.images.phash import DECODED_SIDE, MOST_BITS, MOST_LOW_BITS, near_pairs, perceptual_hash
from tests.sources import encoded, picture

CHANGES = {
    "re-encoded": lambda image: encoded(image, quality=30),
    "as webp": lambda image: encoded(image, "WEBP", quality=60),
    "half the size": lambda image: encoded(image.resize((image.width // 2, image.height // 2))),
    "twice the size": lambda image: encoded(image.resize((image.width * 2, image.height * 2))),
    "squeezed": lambda image: encoded(image.resize((image.height, image.height))),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.15)),
    "rotated by EXIF": lambda image: _rotated_by_exif(image),
}


def _rotated_by_exif(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns it by 90 degrees clockwise
    return encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def hash_of(data: bytes) -> bytes:
    return perceptual_hash(decode_grey(data, DECODED_SIDE))


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_of_one_image_are_near(change: str) -> None:
    for seed in range(20):
        image = picture(seed, (320, 224))
        pair = [hash_of(encoded(image, "PNG")), hash_of(CHANGES[change](image))]
        assert len(near_pairs(pair)) == 1, seed


def test_different_images_are_far() -> None:
    hashes = [hash_of(encoded(picture(seed))) for seed in range(300)]
    assert len(set(hashes)) == 300
    assert near_pairs(hashes).size == 0


def test_plain_images_are_no_copies_of_each_other() -> None:
    assert {perceptual_hash(Image.new("L", (64, 64), grey)) for grey in (0, 128, 255)} == {b""}


def test_a_reduced_decode_hashes_like_a_full_one() -> None:
    data = encoded(picture(5, (1600, 1200)))
    pair = [hash_of(data), perceptual_hash(decode(data))]
    assert np.bitwise_count(np.frombuffer(pair[0], np.uint8) ^ np.frombuffer(pair[1], np.uint8)).sum() <= 4


def test_near_pairs_equal_the_comparison_of_all() -> None:
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32) for _ in range(200)]
    for number in range(100):  # copies with up to 9 bits flipped, low ones among them
        bits = np.unpackbits(np.frombuffer(hashes[number], np.uint8))
        bits[rng.choice(256, rng.integers(1, 10), replace=False)] ^= 1
        hashes.append(np.packbits(bits).tobytes())
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), 32), axis=1)
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if (bits[i] != bits[j]).sum() <= MOST_BITS and (bits[i, :64] != bits[j, :64]).sum() <= MOST_LOW_BITS
    }
    assert len(expected) > 50
    assert set(map(tuple, near_pairs(hashes).tolist())) == expected


def test_groups_chain_through_image_and_title() -> None:
    posts = pd.DataFrame(
        {
            "id": ["b", "a", "c", "d", "e", "f"],
            "title": ["Wow!!", "wow", "other", "third", "", ""],
            "image_hash": ["1", "2", "2", "3", "", ""],
        }
    )
    assert find_groups(posts).tolist() == ["a", "a", "a", "d", "e", "f"]
    near = [hash_of(encoded(picture(1))), hash_of(encoded(picture(1), quality=40))]
    hashes = [b"", b"", b"", near[0], near[1], b""]
    assert find_groups(posts, hashes).tolist() == ["a", "a", "a", "d", "d", "f"]


@pytest.mark.parametrize(
    ("title", "same"),
    [
        ("Wow!!", "wow"),
        ("ＷＯＷ", "wow"),
        ("wo\u200bw", "wow"),
        ("  Two\u00a0 words ", "two words"),
        ("😱😱", ""),
        ("ÉTÉ été", "été été"),
        ("שלום!", "שלום"),
    ],
)
def test_titles_that_read_the_same(title: str, same: str) -> None:
    assert normalise_titles(pd.Series([title])) == [same]
