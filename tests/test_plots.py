"""A training's curves: what is in the files, not how they were made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pytest
from PIL import Image

from engage_cli.plots._training_curves import BEST, INK, TRAIN, VALIDATION, draw_history

pytestmark = pytest.mark.usefixtures("pixels")

SIZE = (1200, 675)


def history_of(kind: str, primary: list[float], *, loss: dict[int, Any] | None = None) -> list[dict[str, Any]]:
    """One line an epoch; `loss` replaces validation losses by place."""
    lines = []
    for place, score in enumerate(primary):
        scores = (
            {"r2": score} if kind == "value" else {"kappa": score, "accuracy": 0.3 + score, "majority_lift": 0.1 + score}
        )
        losses = {
            "train_loss": 0.5 + 0.5 / (place + 1),
            "validation_loss": (loss or {}).get(place, 0.8 + 0.3 / (place + 1)),
        }
        lines.append({"epoch": place + 1, "step": 10 * place + 10, **losses, "validation": scores})
    return lines


def draw(folder: Path, kind: str, lines: list[dict[str, Any]], title: str = "a title") -> Path:
    draw_history(folder, kind, lines, title=title)
    return folder / "plots"


def places(path: Path, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the pixels of a colour, below title and legend."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == SIZE
        pixels = np.asarray(image.convert("RGB"))
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    y, x = np.nonzero((pixels == wanted).all(axis=2))
    return x[y > 75], y[y > 75]


@pytest.mark.parametrize(
    ("kind", "names"), [("value", ["loss.png", "r2.png"]), ("classes", ["accuracy.png", "kappa.png", "loss.png"])]
)
@pytest.mark.parametrize("num", [1, 500])
def test_files_of_a_kind(kind: str, names: list[str], num: int, tmp_path: Path) -> None:
    plots = draw(tmp_path, kind, history_of(kind, np.linspace(0.1, 0.4, num).tolist()))
    assert sorted(path.name for path in plots.iterdir()) == names  # no file beside them
    assert len(places(plots / "loss.png", TRAIN)[0]) > 20
    assert len(places(plots / "loss.png", VALIDATION)[0]) > 20
    assert len(places(plots / names[-1 if kind == "value" else 1], BEST)[0]) > 50
    if num > 1:
        assert len(places(plots / names[0], VALIDATION)[0]) > 500


def test_the_same_history_is_the_same_bytes(tmp_path: Path) -> None:
    first, second = (draw(tmp_path / name, "value", history_of("value", [0.1, 0.3, 0.2])) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
        assert b"matplotlib" not in path.read_bytes()  # no version, no date


def test_a_dark_style_of_this_machine_does_not_matter(tmp_path: Path) -> None:
    with matplotlib.style.context("dark_background"):
        path = draw(tmp_path, "value", history_of("value", [0.1, 0.3, 0.2])) / "loss.png"
    with Image.open(path) as image:
        shares = np.bincount(np.asarray(image.convert("L")).ravel(), minlength=256) / (SIZE[0] * SIZE[1])
    assert shares[255] > 0.9
    assert shares[:32].sum() == 0  # the darkest is ink, #333333


def test_the_best_epoch_is_marked_where_it_is(tmp_path: Path) -> None:
    """The marker sits on the curve's highest point, and accuracy's at the best epoch by kappa."""
    at = []
    for best in (0, 2):
        lines = history_of("classes", [0.3 if place == best else 0.1 for place in range(3)])
        lines[(best + 1) % 3]["validation"]["accuracy"] = 0.9
        lines[(best + 1) % 3]["validation"]["majority_lift"] = 0.7
        plots = draw(tmp_path / str(best), "classes", lines)
        x, y = places(plots / "kappa.png", BEST)
        at.append(np.median(x))
        assert np.median(x) == pytest.approx(np.median(places(plots / "accuracy.png", BEST)[0]), abs=40)
        assert np.median(y) < places(plots / "kappa.png", VALIDATION)[1].min() + 12
    assert at[1] - at[0] > 500


def test_majority_class_is_a_dashed_line(tmp_path: Path) -> None:
    plots = draw(tmp_path, "classes", history_of("classes", [0.1, 0.3, 0.2]))
    x, y = places(plots / "accuracy.png", INK)
    row = np.bincount(y).argmax()
    dashes = np.sort(x[y == row])
    assert np.diff(dashes).max() > 5  # gaps
    assert dashes[-1] - dashes[0] > 900  # from side to side
    assert row > places(plots / "accuracy.png", VALIDATION)[1].max()  # 0.2 lies under 0.4 to 0.6


def test_losses_that_are_not_finite_are_gaps_with_a_mark(tmp_path: Path) -> None:
    lost = {place: (math.nan, math.inf, None)[place % 3] for place in range(10, 20)}
    for losses in ({}, lost):
        plots = draw(tmp_path, "value", history_of("value", [0.1] * 30, loss=losses))
        x, y = places(plots / "loss.png", VALIDATION)
        middle = y[(x > SIZE[0] * 0.42) & (x < SIZE[0] * 0.6)]
        assert (middle > 200).any() == (not losses)  # the curve
        assert (middle < 120).any() == bool(losses)  # marks along the upper edge


def test_no_score_is_finite(tmp_path: Path) -> None:
    plots = draw(tmp_path, "value", history_of("value", [math.nan] * 3, loss=dict.fromkeys(range(3), math.nan)))
    assert len(places(plots / "r2.png", BEST)[0]) == 0
    assert len(places(plots / "loss.png", TRAIN)[0]) > 100


def test_one_bad_epoch_does_not_flatten_the_others(tmp_path: Path) -> None:
    scores = [-52.0, 0.1, 0.15, 0.2, 0.22, 0.25]
    x, y = places(draw(tmp_path, "value", history_of("value", scores)) / "r2.png", VALIDATION)
    assert y[x > np.median(x)].max() - y[x > np.median(x)].min() > 150


def test_titles_too_long_or_in_other_scripts(tmp_path: Path) -> None:
    """What the font cannot write is left out, as if there were no title; and nothing warns."""
    lines = history_of("value", [0.1, 0.2])
    for name, title in (("none", ""), ("other", "标题"), ("long", "word " * 60), ("cut", "word " * 15 + "word…")):
        draw_history(tmp_path / name, "value", lines, title=title)
    none, other, long, cut = (
        (tmp_path / name / "plots" / "r2.png").read_bytes() for name in ("none", "other", "long", "cut")
    )
    assert none == other
    assert long == cut
    assert none != long


def test_no_epoch_writes_nothing(tmp_path: Path) -> None:
    draw_history(tmp_path, "value", [])
    assert list(tmp_path.iterdir()) == []
