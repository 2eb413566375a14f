"""The page of runs of every kind: with few validation posts, without intervals, without covers, of classes.

The runs answer in this process; the browser and the sockets are real.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engage_cli.config.general import EncoderConfig
from engage_cli.steps.serve._limits import Limits
from engage_cli.uncertainty.conformal import PRIOR_POSTS
from tests.calls import answer
from tests.served import ModelHere, serving_here
from tests.test_page import (  # noqa: F401
    assert_accessible,
    browser,
    compare,
    covers,
    pytestmark,
    tab,
    visit,
)

WARNINGS = [
    "3 posts: no interval can be computed; treat this as a coin toss; aim for several hundred posts",
    "It is no better than a guess.",
]
TITLES = ["The best pizza", "=SUM(1)"]
FEW = (3, 8, 30)


def few(model: ModelHere, rows: int) -> None:
    """As if the run had been calibrated on so many validation posts."""
    uncertainty = model.session.uncertainty
    residuals = uncertainty.calibration.residuals[:rows]
    model.session.uncertainty = replace(
        uncertainty, calibration=replace(uncertainty.calibration, rows=rows, residuals=residuals)
    )
    model.about["validation"] = {
        "rows": rows,
        "metrics": [
            {**metric, "value": None if number else metric["value"]}
            for number, metric in enumerate(model.about["validation"]["metrics"])
        ],
    }


@pytest.fixture(scope="module")
def model(world: Path) -> ModelHere:
    return ModelHere(world / "runs" / "gp", Limits())


@pytest.fixture(scope="module")
def classes(world: Path) -> ModelHere:
    return ModelHere(world / "runs" / "classifier", Limits())


@pytest.fixture(scope="module")
def blind(world: Path, encoders: EncoderConfig, tmp_path_factory: pytest.TempPathFactory) -> ModelHere:
    """A model that reads texts alone."""
    run = tmp_path_factory.mktemp("blind") / "run"
    common = ["--data", world / "data", "--vision", encoders.vision, "--text", encoders.text, "--target", "views"]
    answer("train-regressor", *common, "--run", run, "--blocks", "title,context", "--epochs", 1)
    return ModelHere(run, Limits())


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engage_cli.steps.predict.warnings_of", lambda run: WARNINGS)


def test_of_few_test_posts_the_banner_shows_what_cross_validation_found(
    visit: Callable[..., Any],  # noqa: F811
    model: ModelHere,
) -> None:
    about = model.about
    figures = about["validation"]
    crossed = {"rows": 58, "metrics": [{**one, "value": 0.4321, "low": 0.31, "high": 0.52} for one in figures["metrics"]]}
    try:
        model.about = {**about, "test": {**figures, "rows": 6}, "cross_validated": crossed}
        with serving_here(model) as server:
            said = visit(server).locator("#run").text_content()
        assert "How well it did on 58 posts, each predicted by models trained without it" in said
        assert "6 test posts alone are too few to judge it" in said
        assert "0.43" in said
        assert "0.31 to 0.52" in said
    finally:
        model.about = about


@pytest.mark.usefixtures("doubtful")
@pytest.mark.parametrize("rows", FEW)
def test_few_validation_posts(rows: int, visit: Callable[..., Any], model: ModelHere, covers: list[Path]) -> None:  # noqa: F811
    uncertainty, about = model.session.uncertainty, model.about
    try:
        model.about = {**about, "warnings": WARNINGS}
        few(model, rows)
        with serving_here(model) as server:
            page = visit(server, scheme="dark" if rows == 3 else "light")
            assert_warned(page.locator("#run"))
            cards = compare(page, covers, TITLES)
            said = server.ask(
                "/api/predict", [(path.name, path.read_bytes()) for path in covers], TITLES, tags="food"
            ).json()
            check_ranking(page, cards, said, has_range=rows >= 9)
            even = PRIOR_POSTS / (PRIOR_POSTS + rows)
            assert min(ranked["p_best"] for ranked in said["ranking"]) >= even / 4
            assert sum(ranked["p_best"] for ranked in said["ranking"]) == pytest.approx(1)
            assert even / 2 <= np.min(said["beats"]) <= np.max(said["beats"]) <= 1 - even / 2
            check_csv(page, said, has_range=rows >= 9)
            check_png(page, num_rows=4)
            assert_accessible(page)
            look(page, f"{rows}-validation-posts")
    finally:
        model.session.uncertainty, model.about = uncertainty, about


def test_a_run_of_classes_that_is_doubtful(
    visit: Callable[..., Any],  # noqa: F811
    classes: ModelHere,
    covers: list[Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engage_cli.steps.predict.warnings_of", lambda run: WARNINGS[:1])
    with serving_here(classes) as server:
        page = visit(server, width=320)
        compare(page, covers, TITLES)
        assert page.locator("#verdict .cautions li").count() == 1
        assert page.locator(".levels").count() == 4
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 320
        look(page, "classes")


def test_titles_alone_where_the_run_reads_no_covers(visit: Callable[..., Any], blind: ModelHere) -> None:  # noqa: F811
    with serving_here(blind) as server:
        page = visit(server)
        assert page.get_by_text("takes no covers").is_visible()
        assert page.locator("#files").is_hidden()
        assert page.locator("#compare").is_disabled()
        page.keyboard.press("Control+Enter")
        assert page.locator("#problem").text_content() == "Type a title to begin."
        cards = compare(page, [], TITLES)
        said = server.ask("/api/predict", [], TITLES, tags="food").json()
        assert len(said["posts"]) == 2
        check_ranking(page, cards, said, has_range=True)
        assert page.locator(".cover, .variant img").count() == 0
        check_csv(page, said, has_range=True)
        check_png(page, num_rows=2)
        assert_accessible(page)
        look(page, "titles-alone")
        page.locator(".why").first.click()
        page.wait_for_selector("#detail-body section")
        first = said["posts"][said["ranking"][0]["post"]]
        (post,) = server.ask("/api/explain", [], [first["title"]], tags="food").json()["posts"]
        words = page.locator("#detail-body .words li > span:first-child").all_text_contents()
        assert words == [word["word"] for word in post["explanation"]["words"]]
        assert page.locator("#detail-body .frame").count() == 0
        assert_accessible(page)


def check_ranking(page: Any, cards: Any, said: dict[str, Any], *, has_range: bool) -> None:
    assert_warned(page.locator("#verdict"), said["warnings"])
    assert cards.count() == len(said["posts"])
    for nth, ranked in enumerate(said["ranking"]):
        card, post = cards.nth(nth), said["posts"][ranked["post"]]
        assert (post.get("interval_80") is not None) is has_range
        assert card.locator("h3").text_content() == post["title"]
        assert card.locator(".track .range").count() == has_range
        assert card.locator(".track .point").count() == 1
        assert ("too few posts to give one" in card.locator(".interval").text_content()) is not has_range
    assert (
        "The bar is the 80 % interval: 80 % of such posts end up within it. The mark is the prediction. "
        in page.locator("#legend").text_content()
    ) is has_range


def assert_warned(place: Any, warnings: list[str] = WARNINGS) -> None:
    lines = [text.rstrip(".") for text in place.locator(".cautions li").all_text_contents()]
    assert lines == [text.rstrip(".") for text in warnings]


def check_csv(page: Any, said: dict[str, Any], *, has_range: bool) -> None:
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(io.StringIO(saving.value.path().read_text("utf-8-sig"), newline="")))
    assert len(rows) == len(said["posts"])
    for row in rows:
        assert (row["low_80"] != "") is (row["high_80"] != "") is has_range
        assert all(text.rstrip(".") in row["warnings"] for text in said["warnings"])
        assert bool(row["warnings"]) is bool(said["warnings"])


def check_png(page: Any, *, num_rows: int, num_lines: int = 2) -> None:
    """A line for each warning stands between the verdict and the first row."""
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as PNG").click()
    with Image.open(saving.value.path()) as picture:
        assert picture.size == (2000, 2 * (104 + 20 * num_lines + 112 * num_rows + 52))
        seen = picture.convert("RGB").crop((0, 176, 2000, 206 + 40 * num_lines)).getcolors(100_000)
        assert ((138, 75, 0) in {colour for _, colour in seen}) is bool(num_lines)
        if folder := os.environ.get("ENGAGE_LOOK"):
            picture.save(Path(folder) / f"export-{num_rows}-{num_lines}.png")


def look(page: Any, name: str) -> None:
    """Leave an image of the page for a person, where one is wanted."""
    if folder := os.environ.get("ENGAGE_LOOK"):
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
