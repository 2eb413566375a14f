"""The plots of an evaluation: the numbers in them, and that all text is inside and apart, on light and dark paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image

from engage_cli.evaluation.reliability import Proportion, coverage_by_fifth, miss_bands, reliability
from engage_cli.evaluation.results import Score, Slice
from engage_cli.metrics.metrics import ece
from engage_cli.plots._classification import count_confusions, make_confusion_figure, make_reliability_figure
from engage_cli.plots._regression import make_coverage_figure, make_misses_figure, make_predicted_figure
from engage_cli.plots._style import DARK, LIGHT, Palette
from engage_cli.plots.evaluation import WORDS, draw_evaluation, figures_of, write_plots
from engage_cli.plots.slices import MOST_SLICES, drawn_slices, group_slices, make_slices_figure
from tests.scored import class_score, value_score
from tests.test_importance_plots import EXOTIC, assert_readable, drawn, luminance, names_of, words_of

pytestmark = pytest.mark.usefixtures("pixels")

VALUE_PLOTS, CLASS_PLOTS = ("predicted", "misses", "coverage", "slices"), ("confusion", "reliability", "slices")
SLICE = {"rows": 30, "metrics": {"r2": {"value": 0.2, "low": 0.1, "high": 0.3}}}


def constant(score: Score) -> Score:
    return replace(score, predicted=np.full(score.rows, 9.0), intervals={"80": (np.full(score.rows, 8.0),) * 2})


def one_class(score: Score) -> Score:
    return replace(score, true=np.zeros(score.rows, np.int64), predicted=np.eye(5)[np.zeros(score.rows, np.int64)])


PLAIN = value_score(80, slices=False)
SCORES = {
    "value": value_score(),
    "leaky": value_score(leaky=True, slices=False),
    "many": value_score(5000, slices=False, resamples=0),
    "one row": value_score(1, slices=False),
    "constant": constant(PLAIN),
    "large": replace(PLAIN, predicted=PLAIN.predicted * 1e7, true=PLAIN.true * 1e7, intervals={}),
    "small": replace(PLAIN, predicted=PLAIN.predicted * 1e-7, true=PLAIN.true * 1e-7, intervals={}),
    "endless intervals": replace(PLAIN, intervals={"95": (np.full(80, -np.inf), np.full(80, np.inf))}),
    "classes": class_score(),
    "leaky classes": class_score(300, leaky=True),
    "one row of classes": class_score(1, slices=False),
    "one class": one_class(class_score(300)),
}


@pytest.mark.parametrize(
    ("name", "palette"), [*((name, DARK if "leaky" in name else LIGHT) for name in SCORES), ("many", DARK)]
)
def test_all_text_is_inside_and_apart(name: str, palette: Palette) -> None:
    for make in figures_of(SCORES[name]).values():
        figure = drawn(make(SCORES[name], palette))
        assert_readable(figure)
        assert ("LEAKY" in words_of(figure)) == SCORES[name].leaky
        assert figure.get_facecolor() == to_rgba(palette.paper)


def test_exotic_names_and_a_long_formula() -> None:
    slices = tuple(
        Slice(by=by, name=name, **SLICE) for by in ("tag", EXOTIC[1], "🎈") for name in EXOTIC[: 2 if by != "tag" else 12]
    )
    score = replace(
        value_score(40), name="W" * 300, unit="sum of (x - min) / (max - min) over " + "views, " * 30, slices=slices
    )
    for make in figures_of(score).values():
        assert_readable(drawn(make(score, LIGHT)))
    assert_readable(drawn(make_slices_figure(replace(score, name="/home/标题/", unit="$x_1$"), DARK)))


def test_what_is_drawn_of_what() -> None:
    assert tuple(figures_of(SCORES["value"])) == VALUE_PLOTS
    assert tuple(figures_of(SCORES["classes"])) == tuple(draw_evaluation(SCORES["one class"], dark=True)) == CLASS_PLOTS
    assert tuple(figures_of(value_score(9, slices=False, intervals=False))) == ("predicted", "misses")
    assert {*VALUE_PLOTS, *CLASS_PLOTS, "variants"} == set(WORDS)  # the last of experiments alone: test_experiment_scores


def test_titles_hold_the_figures() -> None:
    score = SCORES["value"]
    r2, spearman = (score.metrics[name]["value"] for name in ("r2", "spearman"))
    assert f"R² {r2:.3f}, Spearman {spearman:.3f}" in words_of(make_predicted_figure(score, LIGHT))
    words = words_of(make_misses_figure(score, LIGHT))
    assert f"Misses: {score.metrics['mae']['value']:.2f} on average" in words
    assert "log1p(views), 600 posts" in words
    assert "regressor-views" in words
    assert f"{SCORES['classes'].metrics['ece']['value']:.3f}" in words_of(make_reliability_figure(SCORES["classes"], LIGHT))


def test_points_and_the_identity() -> None:
    score = SCORES["value"]
    (axes,) = drawn(make_predicted_figure(score, LIGHT)).axes
    (points,) = (part for part in axes.collections if len(part.get_offsets()))
    assert np.allclose(points.get_offsets(), np.column_stack([score.true, score.predicted]))
    (identity,) = axes.lines
    assert tuple(identity.get_xdata()) == tuple(identity.get_ydata()) == axes.get_xlim() == axes.get_ylim()
    assert axes.bbox.width == pytest.approx(axes.bbox.height, rel=0.01)
    many = SCORES["many"]
    axes, bar = drawn(make_predicted_figure(many, LIGHT)).axes
    assert axes.collections[0].get_array().sum() == 5000
    assert bar.get_ylabel() == "posts"


def test_misses_are_true_minus_predicted() -> None:
    score = SCORES["value"]
    left, right = drawn(make_misses_figure(score, LIGHT)).axes
    points = next(part for part in left.collections if len(part.get_offsets()) == score.rows)
    assert np.allclose(points.get_offsets(), np.column_stack([score.predicted, score.true - score.predicted]))
    assert sum(bar.get_width() for bar in right.patches) == score.rows
    assert left.get_ylim() == right.get_ylim()


def test_plots_of_many_rows_are_small_files() -> None:
    drawn_of_it = draw_evaluation(value_score(20_000, slices=False, resamples=0), dark=False)
    assert max(map(len, drawn_of_it.values())) < 300_000


def test_coverage_of_fifths_by_value() -> None:
    predicted = np.arange(100.0)
    inside = np.zeros(100, bool)
    inside[:18] = inside[20:40] = inside[80:85] = True
    low = np.where(inside, -1.0, 1.0)
    found = coverage_by_fifth(np.zeros(100), predicted, low, low + 2)
    assert [(one.name, one.hits, one.rows) for one in found] == [
        ("all", 43, 100),
        ("lowest", 18, 20),
        ("second", 20, 20),
        ("third", 0, 20),
        ("fourth", 0, 20),
        ("highest", 5, 20),
    ]
    same = coverage_by_fifth(np.zeros(7), np.ones(7), np.zeros(7), np.ones(7))  # the edge of an interval is inside
    assert [(one.name, one.hits, one.rows) for one in same] == [("all", 7, 7), ("lowest", 7, 7)]


def test_coverage_is_drawn_where_it_is() -> None:
    score = SCORES["value"]
    (axes,) = drawn(make_coverage_figure(score, LIGHT)).axes
    found = coverage_by_fifth(score.true, score.predicted, *score.intervals["80"])
    assert axes.containers[0].lines[0].get_ydata() == pytest.approx([one.share for one in found])
    assert {line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--" and len(line.get_ydata())} == {
        0.8,
        0.95,
    }
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["all\n600", "lowest\n120"]
    assert axes.get_ylim()[0] < min(one.low for one in found)


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (480, 600, 0.7662, 0.8300)],
)
def test_wilson_by_value(hits: int, rows: int, low: float, high: float) -> None:
    one = Proportion(name="", hits=hits, rows=rows)
    assert (one.low, one.high) == pytest.approx((low, high), abs=1e-4)
    assert one.low <= one.share <= one.high


def test_reliability_sums_to_the_calibration_error() -> None:
    score = SCORES["classes"]
    found = reliability(score.true, score.predicted)
    gaps = sum(one.rows * abs(mean - one.share) for mean, one in found) / score.rows
    assert gaps == pytest.approx(ece(score.true, score.predicted))
    upper, lower = drawn(make_reliability_figure(score, DARK)).axes
    assert sum(bar.get_height() for bar in lower.patches) == score.rows
    assert upper.containers[0].lines[0].get_xdata() == pytest.approx([mean for mean, _ in found])


def test_bands_of_misses() -> None:
    predicted = np.repeat([1.0, 2.0, 3.0], 50)
    misses = np.tile(np.linspace(-1, 1, 50), 3) + predicted
    found = miss_bands(predicted, misses)
    assert [(one.predicted, one.rows) for one in found] == [(1, 50), (2, 50), (3, 50)]
    assert [(one.low, one.median, one.high) for one in found] == [
        pytest.approx((middle - 0.8, middle, middle + 0.8)) for middle in (1, 2, 3)
    ]
    (only,) = miss_bands(np.ones(1000), np.zeros(1000))
    assert only.rows == 1000


def test_confusions_by_value() -> None:
    true = np.array([0, 0, 0, 4])
    counts = count_confusions(true, np.eye(5)[[0, 0, 3, 4]])
    assert counts[0].tolist() == [2, 0, 0, 1, 0]
    assert counts[4, 4] == 1
    assert counts.sum() == 4
    score = replace(SCORES["classes"], true=true, predicted=np.eye(5)[[0, 0, 3, 4]], slices=())
    (axes,) = drawn(make_confusion_figure(score, LIGHT)).axes
    cells = [text.get_text() for text in axes.texts if text.get_text()]
    assert cells[:5] == ["2\n67 %", "0\n0 %", "0\n0 %", "1\n33 %", "0\n0 %"]
    assert cells.count("none") == 3


def test_cells_can_be_read() -> None:
    for palette in (LIGHT, DARK):
        (axes,) = drawn(make_confusion_figure(SCORES["classes"], palette)).axes
        image = axes.images[0]
        for text in axes.texts:
            column, row = text.get_position()
            behind = luminance(image.to_rgba(image.get_array())[row, column, None, :3])[0]
            ink = luminance(np.array([to_rgb(text.get_color())]))[0]
            assert (max(behind, ink) + 0.05) / (min(behind, ink) + 0.05) > 4.5


def test_largest_slices_in_their_groups() -> None:
    slices = [Slice(by="tag", name=f"t{n}", **{**SLICE, "rows": n + 1}) for n in range(20)]
    slices += [Slice(by="month", name="", **SLICE), Slice(by="month", name="few", rows=99, metrics={})]
    slices += [Slice(by="author", name="few", rows=3, metrics={})]
    assert list(group_slices(slices)) == ["tag", "month", "author"]
    score = replace(SCORES["value"], slices=tuple(slices))
    upper, side, lower, _ = drawn(make_slices_figure(score, LIGHT)).axes
    assert names_of(upper) == [f"t{n}" for n in range(20 - MOST_SLICES, 20)]  # in the order that they have
    assert names_of(side)[0] == "0.20, 9 posts"
    assert names_of(lower) == ["(none)"]
    assert upper.get_xlim() == lower.get_xlim()
    assert "slices" not in figures_of(replace(score, slices=tuple(slices[-2:])))
    same = [replace(one, rows=7) for one in slices[:20]]
    assert len(drawn_slices(replace(score, slices=tuple(same)))["tag"]) == MOST_SLICES


def test_a_slice_far_below_flattens_no_other() -> None:
    far = {"rows": 3, "metrics": {"r2": {"value": -52.0, "low": -90.0, "high": -3.0}}}
    slices = (Slice(by="tag", name="good", **SLICE), Slice(by="tag", name="bad", **far))
    axes, side = drawn(make_slices_figure(replace(SCORES["value"], slices=slices), LIGHT)).axes
    assert axes.get_xlim()[1] - axes.get_xlim()[0] < 2.5
    assert [line.get_marker() for line in axes.lines if line.get_marker() in "o<>"] == ["o", "<"]
    assert names_of(side) == ["0.20, 30 posts", "−52.00, 3 posts"]


def test_files(tmp_path: Path) -> None:
    old = tmp_path / "plots" / "evaluation-confusion.png"
    old.parent.mkdir()
    old.touch()
    (tmp_path / "plots" / "loss.png").touch()
    paths = write_plots(tmp_path, PLAIN)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted(
        ["loss.png", *(f"evaluation-{name}.png" for name in VALUE_PLOTS[:3])]
    )
    with matplotlib.style.context("dark_background"):
        light = draw_evaluation(PLAIN, dark=False)
    dark = draw_evaluation(PLAIN, dark=True)
    assert light == dict(zip(VALUE_PLOTS[:3], (path.read_bytes() for path in paths), strict=True))
    for name in VALUE_PLOTS[:3]:
        assert light[name] != dark[name]
        assert b"matplotlib" not in light[name]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width == 840
            assert image.convert("L").getpixel((2, 2)) == 255
