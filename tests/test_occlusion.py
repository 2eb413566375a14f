"""A cover is covered piece by piece, and each piece's effect is found at its place."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from engage_cli.explain.occlusion import (
    GRID,
    LARGEST_SIDE,
    LEGEND,
    LIFTS,
    LOWERS,
    SHOWN_SIDE,
    WINDOW,
    cell_shares,
    covered,
    draw_overlay,
    name_of,
    windows,
)

CELLS = [(row, column) for row in range(GRID) for column in range(GRID)]


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int64)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3))


def covers(window: tuple[int, int], cell: tuple[int, int]) -> bool:
    return all(start <= place < start + WINDOW for start, place in zip(window, cell, strict=True))


def test_every_cell_is_under_four_windows() -> None:
    counts = Counter(cell for window in windows() for cell in CELLS if covers(window, cell))
    assert counts == dict.fromkeys(CELLS, 4)
    assert len(set(windows())) == len(windows()) == (GRID + WINDOW - 1) ** 2


@pytest.mark.parametrize("cell", CELLS)
def test_a_planted_change_is_found_at_its_cell(cell: tuple[int, int]) -> None:
    shares = cell_shares([3.0 if covers(window, cell) else 0.0 for window in windows()])
    assert shares[cell] == 3.0
    assert np.unravel_index(shares.argmax(), shares.shape) == cell
    assert np.sort(shares.ravel())[-2] <= 1.5
    assert all(shares[other] == 0 for other in CELLS if max(abs(np.subtract(other, cell))) >= WINDOW)


def test_windows_must_all_be_answered() -> None:
    assert cell_shares(np.full(len(windows()), -0.7)) == pytest.approx(-0.7)
    with pytest.raises(ValueError, match="shorter"):
        cell_shares([0.0] * (len(windows()) - 1))


@pytest.mark.parametrize("size", [(60, 60), (37, 101), (6, 6)])
def test_only_the_pixels_of_its_window_are_covered(size: tuple[int, int]) -> None:
    whole, pieces = covered(png(noise(*size)))
    before = pixels_of(whole)
    assert (before == noise(*size)).all()
    mean = before.reshape(-1, 3).mean(axis=0).round()
    row_of, column_of = (
        np.searchsorted([round(length * cell / GRID) for cell in range(1, GRID)], np.arange(length), side="right")
        for length in size
    )
    for (row, column), piece in zip(windows(), pieces, strict=True):
        inside = ((row_of >= row) & (row_of < row + WINDOW))[:, None] & (
            (column_of >= column) & (column_of < column + WINDOW)
        )
        after = pixels_of(piece)
        assert (after[~inside] == before[~inside]).all()
        assert (after[inside] == mean).all()


@pytest.mark.parametrize("cell", [(0, 0), (2, 3), (5, 1)])
def test_from_image_to_shares(cell: tuple[int, int]) -> None:
    """What answers only to the brightness of one place is explained by that place."""
    picture = np.full((60, 90, 3), 20)
    place = np.s_[10 * cell[0] : 10 * cell[0] + 10, 15 * cell[1] : 15 * cell[1] + 15]
    picture[place] = 250
    whole, pieces = covered(png(picture))
    answers = [pixels_of(one)[place].mean() for one in (whole, *pieces)]
    shares = cell_shares([answers[0] - answer for answer in answers[1:]])
    assert np.unravel_index(shares.argmax(), shares.shape) == cell
    assert shares[cell] > 200


@pytest.mark.parametrize("size", [(1, 1), (10, 4000), (4000, 10), (3, 5)])
def test_images_of_odd_shapes(size: tuple[int, int]) -> None:
    data = png(noise(*size))
    whole, pieces = covered(data)
    assert len(pieces) == len(windows())
    assert max(pixels_of(whole).shape) <= LARGEST_SIDE
    assert all(pixels_of(piece).shape == pixels_of(whole).shape for piece in pieces)
    overlay = Image.open(io.BytesIO(draw_overlay(data, np.random.default_rng(1).normal(size=(GRID, GRID)), "some words")))
    overlay.load()
    height = max(1, round(size[0] * SHOWN_SIDE / max(size)))
    assert (overlay.format, overlay.mode, overlay.height) == ("PNG", "RGB", height + LEGEND)
    assert overlay.width >= round(size[1] * SHOWN_SIDE / max(size))


def test_a_large_image_is_asked_about_no_larger_than_encoders_see() -> None:
    assert pixels_of(covered(png(noise(900, 600)))[0]).shape == (LARGEST_SIDE, 299, 3)


def test_the_overlay_is_tinted_where_a_cell_carries_something() -> None:
    grey = np.full((360, 720, 3), 128)
    shares = np.zeros((GRID, GRID))
    shares[1, 1], shares[4, 4] = 2.0, -1.0
    found = pixels_of(draw_overlay(png(grey), shares, "words"))
    assert found.shape == (360 + LEGEND, 720, 3)
    lifting, lowering, untouched = (found[60 * row + 30, 120 * column + 60] for row, column in ((1, 1), (4, 4), (1, 4)))
    assert untouched.tolist() == [128, 128, 128]
    towards = [np.dot(pixel - 128, np.subtract(colour, 128)) for pixel, colour in ((lifting, LIFTS), (lowering, LOWERS))]
    assert min(towards) > 0
    assert np.abs(lifting - 128).max() > np.abs(lowering - 128).max() > 10
    clear = pixels_of(draw_overlay(png(grey), np.zeros((GRID, GRID)), "words"))
    assert (clear[:360] == 128).all()


def test_the_legend_is_whole_beside_a_narrow_image() -> None:
    """Its words take the same pixels below a narrow image as below a wide one."""
    wide, narrow = (
        pixels_of(draw_overlay(png(np.zeros((720, width, 3))), np.zeros((GRID, GRID)), "the model's view; a run")) < 255
        for width in (720, 90)
    )
    assert wide[720:].sum() == narrow[720:].sum()


def test_names_of_places() -> None:
    names = [[name_of(row, column) for column in range(GRID)] for row in range(GRID)]
    assert names[0] == ["top left"] * 2 + ["top"] * 2 + ["top right"] * 2
    assert names[2] == ["left"] * 2 + ["middle"] * 2 + ["right"] * 2
    assert names[5] == ["bottom left"] * 2 + ["bottom"] * 2 + ["bottom right"] * 2
    assert set(Counter(name_of(*cell) for cell in CELLS).values()) == {4}
