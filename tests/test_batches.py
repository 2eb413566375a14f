"""Which posts stand in which batch, and what a batch of images and texts holds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engage_cli.encoders._checkpoints import find_checkpoint
from engage_cli.encoders.text import TextTower
from engage_cli.encoders.vision import VisionTower
from engage_cli.images.decode import digest_of
from engage_cli.models.neural.training.batches import Cut, Order
from engage_cli.models.neural.training.image_text_batches import Augmentation, Contents, LiveBatches
from engage_cli.steps.inputs.contents import FileImages, GivenImages

CPU = torch.device("cpu")


def orders(num: int, batch_size: int, num_ranks: int, **more: object) -> list[Order]:
    return [Order(num, Cut(batch_size=batch_size, rank=r, num_ranks=num_ranks, seed=0), **more) for r in range(num_ranks)]


@pytest.mark.parametrize("num", [1, 7, 32, 33, 45])
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@pytest.mark.parametrize("by_length", [False, True])
def test_ranks_share_the_batches_of_one_process(num: int, num_ranks: int, by_length: bool) -> None:
    lengths = np.arange(num) % 13 if by_length else None
    one = Order(num, Cut(batch_size=4 * num_ranks, seed=0), lengths=lengths)
    ranks = orders(num, 4, num_ranks, lengths=lengths)
    assert all(order.sizes == one.sizes for order in ranks)
    assert sum(one.sizes) == num
    for whole, *parts in zip(one.batches(3), *(order.batches(3) for order in ranks), strict=True):
        counted = [rows[:counts] for rows, counts in parts]
        assert np.concatenate(counted).tolist() == whole[0].tolist()
        assert all(len(rows) for rows, _ in parts)  # a rank without posts has one that does not count
    assert sorted(row for rows, _ in one.batches(3) for row in rows) == list(range(num))


def test_epochs_differ_and_come_again() -> None:
    order = Order(40, Cut(batch_size=8, seed=1))
    first, second = (np.concatenate([rows for rows, _ in order.batches(number)]) for number in (0, 1))
    assert first.tolist() != second.tolist()
    assert np.concatenate([rows for rows, _ in order.batches(0)]).tolist() == first.tolist()
    other = Order(40, Cut(batch_size=8, seed=2))
    assert np.concatenate([rows for rows, _ in other.batches(0)]).tolist() != first.tolist()


def test_batches_by_length_need_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 2000)
    padding = {}
    for name, given in (("shuffled", None), ("by length", lengths)):
        padded = sum(
            len(rows) * lengths[rows].max() for rows, _ in Order(2000, Cut(batch_size=16, seed=0), lengths=given).batches(0)
        )
        padding[name] = padded / lengths.sum() - 1
    assert padding["by length"] < 0.1
    assert padding["shuffled"] > 0.7


def test_validation_is_cut_into_stretches_of_ranks() -> None:
    rows = []
    for rank in range(3):
        order = Order(10, Cut(batch_size=2, rank=rank, num_ranks=3))
        mine = [part.tolist() for part, _ in order.batches(0)]
        assert [len(part) for part in mine] == order.sizes
        rows += mine
    assert rows == [[0, 1], [2, 3], [4, 5], [6], [7, 8], [9]]


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def towers(checkpoints: dict[str, str]) -> dict[str, torch.nn.Module]:
    vision, text = find_checkpoint("vision", checkpoints["vit"]), find_checkpoint("text", checkpoints["bert"])
    return {"vision": VisionTower(vision), "text": TextTower(text)}


IMAGES = [jpeg((200, 0, 0)), jpeg((0, 200, 0))[:300], None, b"no image", jpeg((0, 0, 200))]
TEXTS = {"title": ["best pizza", "", "cat", "a cat of the best mountain", "car"], "context": ["", "", "food", "", ""]}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_an_absent_one(towers: dict[str, torch.nn.Module], workers: int) -> None:
    contents = Contents(GivenImages(IMAGES), TEXTS)
    blocks = ["image", "title", "context"]
    batches = LiveBatches(towers, blocks, contents, torch.arange(5.0), Cut(batch_size=2), device=CPU, workers=workers)
    seen = {}
    for batch in batches.epoch(0):
        assert batch.wanted.tolist() == batch.rows.tolist()
        for place, row in enumerate(batch.rows.tolist()):
            pixels = batch.blocks["image"].prepared["pixel_values"][place]
            present = [bool(batch.blocks[name].present[place]) for name in blocks]
            ids = batch.blocks["title"].prepared["input_ids"][place].tolist()
            seen[row] = (present, pixels[16, 16].tolist(), [token for token in ids if token])
    assert [seen[row][0] for row in range(5)] == [
        [True, True, False],
        [False, False, False],
        [False, True, True],
        [False, True, False],
        [True, True, False],
    ]
    assert seen[0][1][0] > 190 > 20 > seen[0][1][2]
    assert seen[1][1] == seen[2][1] == seen[3][1] == [128, 128, 128]
    wanted = towers["text"].tokenize(["a cat of the best mountain"]).ids[0]
    assert seen[3][2] == wanted
    assert [rows.tolist() for rows, _ in batches.order.batches(0)] == [[3, 0], [1, 2], [4]]  # the longest first


def test_an_epoch_starts_where_it_was_left(towers: dict[str, torch.nn.Module]) -> None:
    contents = Contents(GivenImages([IMAGES[0]] * 9), {"title": [f"cat {n}" for n in range(9)]})
    batches = LiveBatches(
        towers, ["image", "title"], contents, torch.arange(9.0), Cut(batch_size=2, seed=0), device=CPU, workers=0
    )
    whole = [batch.rows.tolist() for batch in batches.epoch(2)]
    assert [batch.rows.tolist() for batch in batches.epoch(2, start=3)] == whole[3:]
    assert batches.sizes == [2, 2, 2, 2, 1]


def test_a_file_that_went_away_is_an_absent_image(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_bytes(IMAGES[0])
    same = digest_of(IMAGES[0])
    places = [(tmp_path, "there.jpg", same), (tmp_path, "gone.jpg", same), None, (tmp_path, "../there.jpg", same)]
    images = FileImages(places)
    assert [images.read(row) is None for row in range(4)] == [False, True, True, True]


def test_augmentation_by_value() -> None:
    picture = Image.new("RGB", (100, 60))
    picture.putpixel((0, 0), (255, 0, 0))
    rng = np.random.default_rng(0)
    assert Augmentation()(picture, rng) is picture
    flipped = [Augmentation(flip=True)(picture, rng).getpixel((99, 0)) == (255, 0, 0) for _ in range(200)]
    assert 70 < sum(flipped) < 130
    cut = [Augmentation(crop=0.5)(picture, rng) for _ in range(50)]
    areas = [image.width * image.height / 6000 for image in cut]
    assert 0.48 < min(areas) < 0.7 < 0.9 < max(areas) <= 1
    assert all(abs(image.width / image.height - 100 / 60) < 0.06 for image in cut)


def test_augmentation_depends_on_seed_epoch_and_post_alone(towers: dict[str, torch.nn.Module]) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8).repeat(2, 0).repeat(2, 1))
    out = io.BytesIO()
    noise.save(out, "PNG")

    def pixels(seed: int, epoch: int, workers: int, batch_size: int) -> dict[int, torch.Tensor]:
        batches = LiveBatches(
            towers,
            ["image"],
            Contents(GivenImages([out.getvalue()] * 6), {}),
            torch.zeros(6),
            Cut(batch_size=batch_size, seed=seed),
            device=CPU,
            augmentation=Augmentation(flip=True, crop=0.3),
            workers=workers,
        )
        return {
            int(row): batch.blocks["image"].prepared["pixel_values"][place]
            for batch in batches.epoch(epoch)
            for place, row in enumerate(batch.rows)
        }

    one, again, other = pixels(0, 1, 0, 2), pixels(0, 1, 1, 3), pixels(0, 2, 0, 2)
    assert all(torch.equal(one[row], again[row]) for row in range(6))
    assert not any(torch.equal(one[row], other[row]) for row in range(6))
    assert not torch.equal(one[0], one[1])
