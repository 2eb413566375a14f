"""The nearest training posts are the nearest, and a post is far only where it is like none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from engage_cli.errors import EngageError
from engage_cli.uncertainty import neighbours
from engage_cli.uncertainty.neighbours import (
    NAMES_FILE,
    VECTORS_FILE,
    choose_posts,
    fit_neighbours,
    load_names,
    load_neighbours,
)

WIDTHS = {"image": 24, "title": 16, "context": 8}


def draw(num: int, seed: int, widths: dict[str, int] = WIDTHS) -> dict[str, np.ndarray]:
    """Posts of one distribution; the last two numbers of each block are always 0."""
    random = np.random.default_rng(seed)
    found = {name: random.normal(size=(num, width)).astype(np.float32) for name, width in widths.items()}
    for block in found.values():
        block[:, -2:] = 0
    return found


def of_length_1(vectors: dict[str, np.ndarray], kind: type) -> np.ndarray:
    blocks = [block / np.linalg.norm(block, axis=1, keepdims=True) for block in vectors.values()]
    return np.concatenate([block.astype(kind).astype(np.float64) for block in blocks], axis=1)


@pytest.mark.parametrize("at_once", [neighbours.MOST_AT_ONCE, 1000])
@pytest.mark.parametrize("num", [300, 5, 3, 1])
def test_nearest_is_what_scipy_finds(num: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST_AT_ONCE", at_once)
    train, asked = draw(num, 0), draw(40, 1)
    found = fit_neighbours(train, np.zeros(num), asked)
    places, distances = found.nearest(asked)
    expected = cdist(of_length_1(asked, np.float32), of_length_1(train, np.float16))
    order = expected.argsort(axis=1)[:, :5]
    assert places.tolist() == order.tolist()
    assert distances == pytest.approx(np.take_along_axis(expected, order, axis=1), abs=1e-5)
    assert found.distance(asked) == pytest.approx(np.take_along_axis(expected, order, axis=1).mean(axis=1), abs=1e-5)
    assert found.nearest({name: block[:0] for name, block in asked.items()})[0].shape == (0, min(5, num))


def test_the_length_of_a_vector_does_not_count_and_a_training_post_is_nearest_to_itself() -> None:
    train = draw(100, 2)
    found = fit_neighbours(train, np.zeros(100), draw(50, 3))
    places, distances = found.nearest({name: 100 * block[:7] for name, block in train.items()})
    assert places[:, 0].tolist() == list(range(7))
    assert distances[:, 0].max() < neighbours.BLUR < distances[:, 1].min()


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_one_in_a_hundred_usual_posts_is_far(blocks: int) -> None:
    """Whatever the number of blocks in which it could be."""
    widths = dict(list(WIDTHS.items())[:blocks])
    found = fit_neighbours(draw(800, 4, widths), np.zeros(800), draw(4000, 5, widths))
    far = found.far(draw(6000, 6, widths))
    assert list(far) == list(widths)
    assert np.any(list(far.values()), axis=0).mean() == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("strange", WIDTHS)
def test_a_post_that_is_strange_in_one_block_is_far_in_that_block_alone(strange: str) -> None:
    train, validation, asked = draw(500, 7), draw(500, 8), draw(40, 9)
    before = fit_neighbours(train, np.zeros(500), validation).far(asked)
    asked[strange] = np.eye(WIDTHS[strange], dtype=np.float32)[np.full(40, -1)]  # where no post has anything
    after = fit_neighbours(train, np.zeros(500), validation).far(asked)
    assert after[strange].all()
    assert all((after[name] == before[name]).all() for name in WIDTHS if name != strange)
    assert sum(int(far.sum()) for name, far in after.items() if name != strange) <= 2


def test_an_empty_text_is_far_from_nothing() -> None:
    train, validation, asked = draw(200, 10), draw(200, 11), draw(3, 12)
    asked["title"][:] = 0
    found = fit_neighbours(train, np.zeros(200), validation)
    assert found.spaces["title"].distance(asked["title"]) == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)
    assert not found.far(asked)["title"].any()  # nor is it far: that it is missing is plain to see
    train["title"][:100] = validation["title"][:100] = 0
    half_empty = fit_neighbours(train, np.zeros(200), validation)
    assert half_empty.spaces["title"].distance(asked["title"]).tolist() == [0.0, 0.0, 0.0]
    assert not half_empty.far(asked)["title"].any()
    empty = {name: np.zeros((200, width)) for name, width in WIDTHS.items()}
    none_has_text = fit_neighbours(empty, np.zeros(200), empty)
    assert none_has_text.far(asked)["title"].tolist() == [False, False, False]
    assert none_has_text.far(asked)["image"].tolist() == [True, True, True]


def test_what_all_posts_have_alike_is_never_far() -> None:
    """One and the same description, encoded again: its last digits differ, and the usual distance is about 0."""
    random = np.random.default_rng(13)
    one = random.normal(size=(1, 384)).astype(np.float32)
    found = fit_neighbours({"context": one.repeat(200, axis=0)}, np.zeros(200), {"context": one.repeat(100, axis=0)})
    again = one * (1 + 1e-3 * random.normal(size=(300, 384)))
    assert not found.far({"context": again})["context"].any()
    assert found.far({"context": random.normal(size=(20, 384))})["context"].all()


def test_no_more_posts_are_kept_than_there_is_room_for() -> None:
    assert choose_posts(1000, 768).tolist() == list(range(1000))
    some = choose_posts(1000, neighbours.MOST_NUMBERS // 16)
    assert len(some) == 16
    assert (np.diff(some) > 0).all()
    assert 0 <= some[0] < 400
    assert 600 < some[-1] < 1000  # from all over
    assert some.tolist() == choose_posts(1000, neighbours.MOST_NUMBERS // 16).tolist()
    assert some.tolist() != choose_posts(1000, neighbours.MOST_NUMBERS // 16, seed=1).tolist()
    assert len(choose_posts(1000, 10 * neighbours.MOST_NUMBERS)) == 1


@pytest.mark.parametrize("num", [1, 20, 99])
def test_fewer_than_100_posts_call_none_far(num: int) -> None:
    """That a post is farther than 99 of 100 others needs 100 others."""
    strange = {name: np.eye(width, dtype=np.float32)[np.full(5, -1)] for name, width in WIDTHS.items()}
    found = fit_neighbours(draw(300, 0), np.zeros(300), draw(num, 1))
    assert not np.any(list(found.far(strange).values()))
    enough = fit_neighbours(draw(300, 0), np.zeros(300), draw(100, 1))
    assert np.all(list(enough.far(strange).values()))


def saved(folder: Path) -> neighbours.Neighbours:
    train = {name: np.asfortranarray(block) for name, block in draw(30, 14).items()}
    found = fit_neighbours(train, np.arange(30.0), draw(20, 15))
    posts = pd.DataFrame({"id": [f"p{n}" for n in range(30)], "image": "a.jpg", "title": "a title", "views": 1})
    found.save(folder, posts)
    return found


def test_saved_and_loaded_they_are_the_same(tmp_path: Path) -> None:
    with pytest.raises(EngageError, match="damaged"):
        load_neighbours(tmp_path / VECTORS_FILE)
    found = saved(tmp_path)
    back = load_neighbours(tmp_path / VECTORS_FILE)
    asked = draw(10, 16)
    for ours, theirs in zip(found.nearest(asked), back.nearest(asked), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-5)
    assert {name: far.tolist() for name, far in found.far(asked).items()} == {
        name: far.tolist() for name, far in back.far(asked).items()
    }
    assert back.scores.tolist() == list(range(30))
    assert load_names(tmp_path / NAMES_FILE, 30).columns.tolist() == ["id", "image", "title"]  # nothing of what they earned
    assert load_names(tmp_path / NAMES_FILE, 30)["id"].iloc[[0, 29]].tolist() == ["p0", "p29"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAMES_FILE, VECTORS_FILE]


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "lacking"])
def test_a_damaged_file_is_one_sentence(damage: str, tmp_path: Path) -> None:
    saved(tmp_path)
    for name in (VECTORS_FILE, NAMES_FILE):
        whole = (tmp_path / name).read_bytes()
        spoiled = {"cut": whole[: len(whole) // 2], "empty": b"", "noise": b"\xff" * 500}.get(damage)
        if spoiled is None:
            spoiled = whole.replace(b"title/usual", b"title/USUAL")
        (tmp_path / name).write_bytes(spoiled)
    with pytest.raises(EngageError, match=r"neighbours.safetensors(: | is damaged or gone \().*; train again$"):
        load_neighbours(tmp_path / VECTORS_FILE)
    if damage != "lacking":
        with pytest.raises(EngageError, match=r"neighbours.parquet is damaged \(.*\); train again$"):
            load_names(tmp_path / NAMES_FILE, 30)


def test_names_that_are_gone_are_told(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / NAMES_FILE).unlink()
    with pytest.raises(EngageError, match=r"neighbours\.parquet is damaged"):
        load_names(tmp_path / NAMES_FILE, 30)
