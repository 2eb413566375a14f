"""evaluation.html: true, whole without a network, and safe whatever posts and names say."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from engage_cli.config.general import CLASS_NAMES, LEAKY
from engage_cli.data.targets.target import Target, fit_target
from engage_cli.evaluation.published import NOT_COMPARABLE
from engage_cli.evaluation.results import Evaluation, Slice
from engage_cli.metrics.descriptions import label_of, say_verdict, words_of, write_figure
from engage_cli.metrics.metrics import METRICS
from engage_cli.reports import evaluation as evaluation_report
from engage_cli.reports._examples import choose_posts, count_imageless
from engage_cli.reports.evaluation import render_report, say_plainly
from tests.scored import class_score, evaluation_of, posts_of, read_image, value_score

WICKED = '<script>alert("x")</script>\u202e <img src=x onerror=alert(1)>'
EMPTY = ("meta", "img", "br", "source", "link", "hr", "input")


def targets_of(posts: pd.DataFrame) -> dict[str, Target]:
    return {name: fit_target(name, posts, fit_on="train") for name in ("views", "engagement")}


def page_of(evaluation: Evaluation, **columns: object) -> str:
    posts = posts_of(evaluation.runs[0].rows, **columns)
    return render_report(evaluation, posts, read_image, targets=targets_of(posts))


class Nesting(HTMLParser):
    """Checks that what is opened is closed, in order, and gathers the text."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in EMPTY:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        if self.opened[-1:] != ["style"]:
            self.text += data


def read_page(page: str) -> Nesting:
    reader = Nesting()
    reader.feed(page)
    assert reader.opened == []
    reader.text = " ".join(reader.text.split())
    return reader


@pytest.fixture(scope="module")
def whole() -> str:
    other = value_score(name="runs/catboost-views", skill=0.55, seed=4, leaky=True, slices=False, intervals=False)
    return page_of(evaluation_of(value_score(), other, class_score(), marks=("duplicates stand in two parts",)))


def test_one_file_that_needs_nothing(whole: str) -> None:
    assert not re.search(r"(src|href|srcset)\s*=\s*[\"'](?!data:)", whole)
    assert not re.search(r"https?://|@import|url\(|<script", whole)
    assert 'name="viewport" content="width=device-width' in whole
    assert whole.count("prefers-color-scheme: dark") == 1 + 4 + 2 + 3  # the style, and a dark image of each plot
    reader = read_page(whole)
    assert reader.tags.count("source") == reader.tags.count("picture") == 9
    assert len(whole) < 4_000_000


def test_the_words_come_first(whole: str) -> None:
    text = read_page(whole).text
    evaluation = evaluation_of(value_score())
    verdict = say_verdict(evaluation.comparisons[0])
    places = [
        text.index(words)
        for words in (
            LEAKY,
            "duplicates stand in two parts",
            "What was asked: views, as a value",
            "log1p(views)",
            verdict[0].upper() + verdict[1:],
            "It puts the better of two posts first",
            "Every metric",
            "Comparisons",
            "What was asked: engagement, as one of five classes",
            "It predicts the right one of five classes",
            "Predicted highest",
            "Did much worse than predicted",
            NOT_COMPARABLE,
            "A run predicts from content alone",
            "split-conformal",
        )
    ]
    assert places == sorted(places)
    assert "600 test posts, 86 of them without a usable image." in text
    assert "That is not meaningful: the run was trained on what it predicts." in text


def test_every_figure_with_its_interval(whole: str) -> None:
    text = read_page(whole).text
    for score in (value_score(), *evaluation_of(value_score()).baselines):
        for name, one in score.metrics.items():
            low, high = write_figure(one["low"], name), write_figure(one["high"], name)
            assert write_figure(one["value"], name) + (f"{low} to {high}" if low != high else "") in text, (
                score.name,
                name,
            )
    for kind in METRICS:
        for name in METRICS[kind]:
            assert words_of(name).meaning in text
            assert words_of(name).label in text


def test_every_metric_has_words() -> None:
    names = {name for kind in METRICS for name in METRICS[kind]} | {
        "coverage_80",
        "width_80",
        "coverage_95",
        "width_95",
        "pair_ece",
    }
    assert all(words_of(name).meaning for name in names)
    assert len({label_of(name) for name in names}) == len(names)
    assert words_of("a_new_one").label == "a new one"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of what is not a plot need none drawn."""
    monkeypatch.setattr(evaluation_report, "draw_evaluation", lambda score, *, dark: {"predicted": b"PNG"})


@pytest.mark.usefixtures("undrawn")
def test_hostile_texts_are_texts() -> None:
    score = replace(
        value_score(40, slices=False),
        name=WICKED,
        slices=(Slice(by=WICKED, name=WICKED, rows=9, metrics=value_score(40).metrics),),
    )
    page = page_of(evaluation_of(score, marks=(WICKED,)), title=WICKED, tags=WICKED, id=WICKED)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;") > 40
    assert set(read_page(page).tags) == set(read_page(page_of(evaluation_of(value_score(40)))).tags)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "evaluation",
    [
        evaluation_of(value_score(1, slices=False, intervals=False)),
        evaluation_of(class_score(1, slices=False)),
        replace(evaluation_of(value_score(30, slices=False)), comparisons=[], split="validation"),
        evaluation_of(replace(value_score(30, slices=False), predicted=np.zeros(30), intervals={})),
        evaluation_of(replace(class_score(30), true=np.zeros(30, np.int64), slices=())),
    ],
    ids=["one row", "one row of classes", "nothing compared", "constant", "one class"],
)
def test_degenerate_evaluations(evaluation: Evaluation) -> None:
    posts = posts_of(evaluation.runs[0].rows)[["id", "title"]]
    page = render_report(evaluation, posts, lambda row: None, targets={})
    text = read_page(page).text
    assert "no image" in text
    assert "data:image/jpeg" not in page
    assert ("was not computed" in text) == (not evaluation.comparisons)
    assert ("optimistic figures" in text) == (evaluation.split == "validation")
    assert "Part of the posts" not in text


@pytest.mark.usefixtures("undrawn")
def test_paths_of_this_machine_are_not_told() -> None:
    runs = (value_score(40, name=f"/home/somebody/{place}/best", slices=False) for place in "ab")
    page = page_of(evaluation_of(*runs))
    assert "somebody" not in page
    assert "<h2>best (2) </h2>" in page


@pytest.mark.usefixtures("undrawn")
def test_images_are_read_once_and_small() -> None:
    asked = []

    def read(row: int) -> bytes | None:
        asked.append(row)
        return b"no image" if row % 2 else read_image(row)

    posts = posts_of(200)
    evaluation = evaluation_of(value_score(200, slices=False), value_score(200, name="runs/b", slices=False))
    page = render_report(evaluation, posts, read, targets=targets_of(posts))
    assert len(asked) == len(set(asked)) <= 40
    assert 0 < page.count("data:image/jpeg;base64,") < 80


def test_which_posts_are_shown() -> None:
    score = replace(value_score(100), places=np.arange(100)[::-1].copy())
    posts = posts_of(100)
    highest, lowest, better, worse = choose_posts(score, posts, None)
    misses = score.true - score.predicted
    for shown, key in ((highest, -score.predicted), (lowest, score.predicted), (better, -misses), (worse, misses)):
        assert [post.row for post in shown.posts] == score.places[np.argsort(key)[:10]].tolist()
    assert [post.id for post in highest.posts] == [f"p{post.row}" for post in highest.posts]
    assert highest.posts[0].predicted == (f"{score.predicted.max():.3g}", "")
    three = choose_posts(value_score(3), posts, None)
    assert [len(shown.posts) for shown in three[:2]] == [1, 1]
    assert sum(len(shown.posts) for shown in three[2:]) == 3


def test_values_are_shown_as_counts_and_places() -> None:
    posts = posts_of(100)
    score = value_score(100)
    highest = choose_posts(score, posts, fit_target("views", posts, fit_on="train"))[0].posts[0]
    row = highest.row
    assert highest.true[0].endswith(" views")
    percentile = int(highest.true[1].strip("()").removesuffix(" of 100"))
    assert percentile == pytest.approx(100 * (score.true < score.true[row]).mean(), abs=1)


def test_classes_are_shown_by_their_mean() -> None:
    score = class_score(50)
    highest, _, better, worse = choose_posts(score, posts_of(50), None)
    mean = score.predicted @ np.arange(5)
    first = highest.posts[0]
    assert first.row == mean.argmax()
    assert first.predicted == (
        CLASS_NAMES[score.predicted[first.row].argmax()],
        f"({100 * score.predicted[first.row].max():.0f} % sure)",
    )
    assert first.true == (CLASS_NAMES[score.true[first.row]], "")
    assert better.posts[0].row == (score.true - mean).argmax()
    assert worse.posts[0].row == (score.true - mean).argmin()


def test_posts_without_a_image_are_counted() -> None:
    posts = posts_of(14)
    assert count_imageless(posts, np.arange(14)) == 2
    assert count_imageless(posts, np.array([3, 4])) == 1
    assert count_imageless(posts.drop(columns="image_problem").assign(image=""), np.arange(14)) == 14
    assert count_imageless(posts[["id"]], np.arange(14)) == 0


def test_plain_sentences() -> None:
    score = value_score()
    pairs = 100 * score.metrics["pairwise_accuracy"]["value"]
    assert f"{pairs:.0f} of 100 pairs" in say_plainly(score)[0]
    metrics = {**score.metrics, "r2": {"value": -0.2, "low": -0.3, "high": -0.1}}
    assert "as good or better" in say_plainly(replace(score, metrics=metrics))[-1]
    classes = class_score()
    usual = np.bincount(classes.true).max() / classes.rows
    assert f"would be right for {100 * usual:.0f}." in say_plainly(classes)[0]


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.12345, "r2", "0.123"),
        (-0.5, "r2", "−0.500"),
        (-0.00001, "r2", "0.000"),
        (-52.0, "r2", "−52.000"),
        (-520.0, "r2", "−520"),
        (0.0001234, "mae", "0.000123"),
        (1.3, "mae", "1.30"),
        (123456.7, "rmse", "123,457"),
        (1.2e-9, "width_80", "1.20e−09"),
    ],
)
def test_figures_in_words(value: float, metric: str, text: str) -> None:
    assert write_figure(value, metric) == text
