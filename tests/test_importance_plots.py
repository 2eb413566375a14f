"""The plots of importance: what is in the images, and that all of it is inside."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.style
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from engage_cli.models.boosting.shap import Attribution, Share
from engage_cli.plots._style import BLUE, DPI, INK, LIGHT, ORANGE, font, readable, shorten, width_of, wrap
from engage_cli.plots.importance import (
    COLOURS,
    NO_RANK,
    draw_importance,
    make_importance_figure,
    make_shap_figure,
)

pytestmark = pytest.mark.usefixtures("pixels")

MAKERS = (make_importance_figure, make_shap_figure)
BAR, STRIP, WIDTH = 38, 54, 1500
MARK = (
    "LEAKY: likes, shares are known only after a post is published; "
    "what is drawn here says nothing about what is known before"
)
EXOTIC = (
    "title_topic_" + "_".join(["minecraft", "hardcore", "survival", "episode", "part", "two"]),
    "W" * 300,
    "title_topic_标题_news_今日",
    "标题",
    "",
    "a\nb\tc\x00d\ud800e",
    r"$\frac{1}{2$_of_$x^2$",
    "смотреть_обзор",
    "مرحبا_بالعالم",
    "👩‍👩‍👧_family_🇩🇪",
    "zalgo_" + "e\u0301\u0317\u0489" * 20,
    "\u202eright to left\u202c",
    "﷽" * 20,
)


def attribution_of(
    groups: int = 3, features: int = 5, shown: int = 2, rows: int = 40, names: tuple[str, ...] = (), size: float = 1.0
) -> Attribution:
    """Importances fall from `size` in steps; feature n belongs to group n modulo their number."""
    titles = [f"group_{place}" for place in range(groups)]
    labels = [names[place] if place < len(names) else f"feature_number_{place}" for place in range(features)]
    values = np.random.default_rng(5).normal(size=(rows, shown))
    return Attribution(
        loss="RMSE",
        unit="log1p(views)",
        rows=rows,
        groups=tuple(
            Share(name=name, group=name, loss_change=size / (n + 1), mean_abs_shap=size / (n + 2))
            for n, name in enumerate(titles)
        ),
        features=tuple(
            Share(name=name, group=titles[n % groups], loss_change=size / (n + 1), mean_abs_shap=size / (n + 2))
            for n, name in enumerate(labels)
        ),
        shown=tuple(labels[:shown]),
        contributions=size * values,
        ranks=values.argsort(0).argsort(0) / max(1, rows - 1),
    )


def drawn(figure: Figure) -> Figure:
    """Lay it out, as writing it does; a glyph that the font lacks would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        FigureCanvasAgg(figure).draw()
    return figure


def texts_of(artist: Artist) -> list[Text]:
    """Return what is drawn: nothing within what is hidden, no tick beyond its axis."""
    if not artist.get_visible():
        return []
    if isinstance(artist, Text):
        return [artist] if artist.get_text() else []
    parts = artist.get_children()
    if isinstance(artist, Axis):
        low, high = sorted(artist.get_view_interval())
        parts = [part for part in parts if not isinstance(part, Tick) or low <= part.get_loc() <= high]
    return [text for part in parts for text in texts_of(part)]


def boxes_of(texts: list[Text]) -> list[Bbox]:
    return [text.get_window_extent() for text in texts]


def words_of(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts_of(figure))


def names_of(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def assert_readable(figure: Figure) -> None:
    """Every text lies inside the figure, and no two touch."""
    texts = texts_of(figure)
    boxes = boxes_of(texts)
    assert len(texts) > 8
    for text, box in zip(texts, boxes, strict=True):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (first, one), (second, other) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not one.overlaps(other), (first, second)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("groups", "features", "shown", "rows"),
    [(1, 1, 1, 1), (1, 1, 0, 3), (3, 0, 0, 9), (12, 300, 15, 400), (14, 20, 15, 2500)],
)
@pytest.mark.parametrize("mark", ["", MARK])
def test_all_text_is_inside_and_apart(make, groups: int, features: int, shown: int, rows: int, mark: str) -> None:
    figure = make(attribution_of(groups, features, shown, rows), title="a title", mark=mark)
    assert_readable(drawn(figure))


@pytest.mark.parametrize("make", MAKERS)
def test_long_and_exotic_names(make) -> None:
    why = attribution_of(3, len(EXOTIC), len(EXOTIC), names=EXOTIC)
    why = replace(
        why,
        loss="标题 $loss$ " * 30,
        unit="log-odds of the next higher class",
        groups=tuple(replace(share, name=name) for share, name in zip(why.groups, EXOTIC, strict=False)),
        features=tuple(replace(share, group=EXOTIC[-1 - n]) for n, share in enumerate(why.features)),
    )
    figure = make(why, title="W" * 79, mark="W" * 500 + " 标题 " + MARK)
    assert_readable(drawn(figure))
    names = names_of(figure.axes[1])
    assert names[0].startswith("title topic minecraft ")
    assert names[0].endswith(" part two")
    assert "…" in names[0]
    assert names[1:4] == [names[1], "title topic … news …", "…"]
    assert set(names[1]) == {"W", "…"}
    assert names[5:8] == ["a b cde", r"$\frac{1}{2$ of $x^2$", "смотреть обзор"]


def test_pixels_grow_with_rows(tmp_path: Path) -> None:
    def heights(why: Attribution, **words: str) -> np.ndarray:
        return np.array([round(make(why, **words).get_figheight() * DPI) for make in MAKERS])

    why = attribution_of(3, 5, 2)
    first = heights(why)
    draw_importance(tmp_path, why)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["importance.png", "shap.png"]
    for name, height in zip(("importance.png", "shap.png"), first, strict=True):
        with Image.open(tmp_path / "plots" / name) as image:
            assert (image.format, image.width, image.height) == ("PNG", WIDTH, height)
    assert first.tolist() == [52 + 2 * 114 + 8 * BAR, 52 + 2 * 114 + 3 * BAR + 2 * STRIP + 50]
    assert (heights(attribution_of(5, 5, 2)) - first).tolist() == [2 * BAR, 2 * BAR]
    assert (heights(attribution_of(3, 9, 5)) - first).tolist() == [4 * BAR, 3 * STRIP]
    assert (heights(attribution_of(3, 800, 2)) - first).tolist() == [15 * BAR, 0]  # 20 features are drawn
    assert (heights(why, title="a title") - first).tolist() == [44, 44]
    one, two = heights(why, mark="LEAKY: likes"), heights(why, mark=MARK)
    assert (one - first).tolist() == [76, 76]
    assert (two - one).tolist() == [30, 30]


@pytest.mark.parametrize("make", MAKERS)
def test_rows_are_as_high_as_said(make) -> None:
    """What is around a panel takes the room that is reserved for it, and no row pays."""
    for groups, features, shown in ((1, 1, 1), (12, 300, 15)):
        upper, lower = drawn(make(attribution_of(groups, features, shown), title="a title", mark=MARK)).axes[:2]
        assert upper.bbox.height / groups == pytest.approx(BAR, abs=5)
        row = (
            (lower.bbox.height / min(20, features), BAR)
            if make is make_importance_figure
            else (lower.bbox.height / shown, STRIP)
        )
        assert row[0] == pytest.approx(row[1], abs=5)


def test_the_same_attribution_is_the_same_bytes(tmp_path: Path) -> None:
    for name, mark in (("a", ""), ("b", ""), ("c", MARK)):
        draw_importance(tmp_path / name, attribution_of(rows=2500), title="a title", mark=mark)
    with matplotlib.style.context("dark_background"):
        draw_importance(tmp_path / "d", attribution_of(rows=2500), title="a title")
    for path in (tmp_path / "a" / "plots").iterdir():
        first, same, marked, dark = ((tmp_path / name / "plots" / path.name).read_bytes() for name in "abcd")
        assert first == same == dark
        assert first != marked
        assert b"matplotlib" not in first  # no version, no date


@pytest.mark.parametrize("make", MAKERS)
def test_mark_is_a_dark_text_on_a_light_box(make) -> None:
    figure = drawn(make(attribution_of(), title="a title", mark=MARK))
    lines = [text for text in figure.texts if text.get_text() in MARK]
    assert " ".join(line.get_text() for line in lines) == MARK
    assert len(lines) == 2
    (box,) = (part for part in figure.get_children() if isinstance(part, Rectangle) and part.get_height() < 1)
    assert to_hex(box.get_facecolor()).upper() == LIGHT.tint
    extent = box.get_window_extent()
    for line in boxes_of(lines):
        assert extent.x0 < line.x0 < line.x1 < extent.x1
        assert extent.y0 < line.y0 < line.y1 < extent.y1
    assert luminance(np.array([to_rgb(LIGHT.tint)]))[0] > 5 * luminance(np.array([to_rgb(INK)]))[0]
    assert "LEAKY" not in words_of(make(attribution_of(), title="a title"))


def to_rgb(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(colours: np.ndarray) -> np.ndarray:
    """Of sRGB, as WCAG defines it."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_survive_grey() -> None:
    light = luminance(COLOURS(np.arange(COLOURS.N))[:, :3])
    assert (np.diff(light) > 0).all()
    assert light[0] < 0.05
    assert 0.5 < light[-1] < 0.65  # white paper is 1


def test_bars_are_what_is_given() -> None:
    why = attribution_of(3, 30, 2)
    groups = (*why.groups[:2], replace(why.groups[2], loss_change=-0.25))
    upper, lower, side = drawn(make_importance_figure(replace(why, groups=groups))).axes
    assert [bar.get_width() for bar in upper.patches] == [1, 0.5, -0.25]
    assert [to_hex(bar.get_facecolor()).upper() for bar in upper.patches] == [BLUE, BLUE, ORANGE]
    assert [text.get_text() for text in upper.texts] == ["1.00", "0.50", "−0.25"]
    assert upper.get_xlim()[0] < -0.25
    assert upper.transData.transform((0, 0))[1] > upper.transData.transform((0, 2))[1]  # the first is at the top
    assert names_of(upper) == ["group 0", "group 1", "group 2"]
    assert [bar.get_width() for bar in lower.patches] == [1 / n for n in range(1, 21)]
    assert names_of(lower) == [f"feature number {n}" for n in range(20)]
    assert names_of(side) == [f"group {n % 3}" for n in range(20)]
    assert upper.get_xlabel() == lower.get_xlabel() == "rise of the RMSE without it"
    tops = [[box.y0 for box in boxes_of(axes.get_yticklabels())] for axes in (lower, side)]
    assert tops[0] == pytest.approx(tops[1], abs=4)


@pytest.mark.parametrize(
    ("size", "texts"),
    [
        (0.0, ["0", "0", "0"]),
        (1e-9, ["1.00e−09", "5.00e−10", "3.33e−10"]),
        (0.0123456, ["0.0123", "0.0062", "0.0041"]),
        (12345.0, ["12345", "6172", "4115"]),
        (1e9, ["1.00e+09", "5.00e+08", "3.33e+08"]),
        (math.inf, ["not finite"] * 3),
        (math.nan, ["not finite"] * 3),
    ],
)
def test_numbers_of_any_size(size: float, texts: list[str]) -> None:
    figure = drawn(make_importance_figure(replace(attribution_of(size=size), contributions=np.zeros((40, 2)))))
    assert [text.get_text() for text in figure.axes[0].texts] == texts
    assert_readable(figure)


def test_small_negative_importances_are_no_minus_zero() -> None:
    why = attribution_of(2)
    figure = make_importance_figure(replace(why, groups=(why.groups[0], replace(why.groups[1], loss_change=-1e-9))))
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.00"]


def test_points_lie_at_their_contributions() -> None:
    why = attribution_of(3, 5, 3, rows=500)
    why.ranks[:, 2] = np.nan
    why.ranks[:100, 1] = np.nan
    figure = drawn(make_shap_figure(why))
    strips = figure.axes[1]
    found = [part for part in strips.collections if len(part.get_offsets())]
    assert [len(part.get_offsets()) for part in found] == [500, 400, 100, 500]
    for row, parts in enumerate((found[:1], found[1:3], found[3:])):
        x, y = np.concatenate([np.asarray(part.get_offsets()) for part in parts]).T
        assert np.sort(x) == pytest.approx(np.sort(why.contributions[:, row]))
        assert np.abs(y - row).max() <= 0.4 + 1e-9
        dense = np.abs(x - np.median(x)) < np.quantile(np.abs(x - np.median(x)), 0.3)
        assert np.abs(y - row)[dense].mean() > 2 * np.abs(y - row)[np.argsort(np.abs(x))[-20:]].mean()
    ranks = dict(zip(why.contributions[:, 0], why.ranks[:, 0], strict=True))
    (first, *_) = found
    assert first.get_array().tolist() == [ranks[x] for x in first.get_offsets()[:, 0]]
    assert first.get_clim() == (0, 1)
    crosses, dots = found[2].get_paths()[0], found[0].get_paths()[0]
    assert len(crosses.vertices) == 4  # two strokes
    assert len(dots.vertices) > 10
    assert to_hex(found[3].get_edgecolor()[0]).upper() == NO_RANK
    words = words_of(figure)
    for text in ("low", "high value of the feature", "a category, or no value", "the model's view, not a cause"):
        assert text in words
    assert strips.get_xlabel() == "contribution, log1p(views)"
    assert "a category" not in words_of(make_shap_figure(attribution_of()))


def test_of_many_posts_some_points_are_drawn() -> None:
    figure = make_shap_figure(attribution_of(rows=30_000))
    assert [len(part.get_offsets()) for part in figure.axes[1].collections][:3:2] == [2000, 2000]
    assert "of 30,000 posts: the model's view, not a cause; points of 2,000 posts" in words_of(figure)


def test_groups_of_shap_stand_in_their_own_order() -> None:
    why = attribution_of(3)
    groups = tuple(replace(share, mean_abs_shap=n) for n, share in enumerate(why.groups))
    upper = make_shap_figure(replace(why, groups=groups)).axes[0]
    assert [bar.get_width() for bar in upper.patches] == [2, 1, 0]
    assert names_of(upper) == ["group 2", "group 1", "group 0"]


def test_nothing_shown_leaves_the_groups() -> None:
    figure = drawn(make_shap_figure(attribution_of(3, 5, 0)))
    assert len(figure.axes) == 1
    assert "low" not in words_of(figure)


def test_zeros_everywhere() -> None:
    for make in MAKERS:
        figure = drawn(make(attribution_of(size=0.0)))
        assert_readable(figure)
    assert np.unique(figure.axes[1].collections[0].get_offsets()[:, 0]).tolist() == [0]


def test_text_of_a_width() -> None:
    small, bold = font(9), font(10, "bold")
    assert shorten("short", 3, small) == "short"
    for text in ("a_" * 30, "W" * 5000, "i" * 150):
        cut = shorten(text, 1, small)
        assert 0.8 < width_of(cut, small) <= 1
        assert cut.count("…") == 1
        assert (cut[0], cut[-1]) == (text[0], text[-1])
    lines = wrap(MARK + " " + "W" * 100, 4, bold)
    assert all(width_of(line, bold) <= 4 for line in lines)
    assert "".join(lines).replace(" ", "") == (MARK + "W" * 100).replace(" ", "")
    assert wrap("", 4, bold) == []
    assert readable("  a\n b\u200b 标 题 c ") == "a b … c"
