"""The page of engage serve in a real browser: what it shows is what the model says, and everyone can use it."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engage_cli.config.general import LEAKY
from engage_cli.ledger.keys import image_hash
from engage_cli.ledger.store import read
from engage_cli.steps.serve._limits import Limits
from tests.calls import answer
from tests.run_files import change
from tests.served import ModelHere, Server, serving_here

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

TITLES = ["The best pizza in Naples", "I built a house"]
COVERS = ["i5.jpg", "i7.jpg"]
SCREENSHOT = Path(__file__).parent.parent / "docs" / "images" / "page.png"
WIDTH = 1180
MARK = "a mark of this test"
BATCHED = 1e-3  # relative: batches of other sizes round otherwise
GIVE = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    data.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name, { type }));
  }
  const given = { bubbles: true, cancelable: true, [kind === "paste" ? "clipboardData" : "dataTransfer"]: data };
  const made = kind === "paste" ? [new ClipboardEvent("paste", given)]
    : ["dragover", "drop"].map((name) => new DragEvent(name, given));
  for (const event of made) document.body.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        sandbox = [] if os.name == "nt" or os.getuid() else ["--no-sandbox"]
        found = playwright.chromium.launch(executable_path=BROWSER, args=sandbox)
        yield found
        found.close()


@pytest.fixture(scope="module")
def server(world: Path) -> Iterator[Server]:
    with serving_here(ModelHere(world / "runs" / "gp", Limits())) as found:
        yield found


@pytest.fixture(scope="module")
def leaky_run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CatBoost run of classes that says it is leaky."""
    run = tmp_path_factory.mktemp("leaky") / "catboost"
    shutil.copytree(world / "runs" / "catboost", run)
    change(run, "run.json", lambda meta: meta.update(leaky=True, marks=[MARK]))
    return run


@pytest.fixture(scope="module")
def leaky_server(leaky_run: Path) -> Iterator[Server]:
    with serving_here(ModelHere(leaky_run, Limits())) as found:
        yield found


@pytest.fixture(scope="module")
def covers(pixelrec: Path) -> list[Path]:
    return [pixelrec / "cover" / name for name in COVERS]


@pytest.fixture(scope="module")
def expected(world: Path, covers: list[Path]) -> dict[str, Any]:
    titles = [word for title in TITLES for word in ("--title", title)]
    return answer("predict", *covers, *titles, "--tags", "food", "--run", world / "runs" / "gp")


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """One for all tests: another one would be a process of its own, which starts slowly."""
    return browser.new_context().new_page()


@pytest.fixture
def visit(tab: Any) -> Iterator[Callable[..., Any]]:
    """Open the page; whatever it does, it says nothing on the console and asks nobody else."""
    with contextlib.ExitStack() as stack:

        def leave() -> None:
            tab.goto("about:blank")  # whatever it still asked for ends before the listeners do
            tab.unroute_all()
            stack.close()

        def open_page(
            server: Server,
            *,
            scheme: str = "light",
            width: int = WIDTH,
            refused: tuple[int, ...] = (),
            reads: dict[str, Any] | None = None,
        ) -> Any:
            leave()
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": width, "height": 860})
            troubles: list[str] = []
            stack.callback(_must_be_empty, troubles)
            expected = tuple(
                f"Failed to load resource: the server responded with a status of {status}" for status in refused
            )

            def listen(message: Any) -> None:
                if not (expected and message.text.startswith(expected)):
                    troubles.append(message.text)

            own = (server.url, f"blob:{server.url}")
            listeners = {
                "console": listen,
                "pageerror": lambda error: troubles.append(str(error)),
                "request": lambda request: None if request.url.startswith(own) else troubles.append(request.url),
            }
            for event, listener in listeners.items():
                tab.on(event, listener)
                stack.callback(tab.remove_listener, event, listener)
            if reads is not None:
                about = json.dumps({**server.get("/api/run").json(), "reads": reads})
                tab.route("**/api/run", lambda route: route.fulfill(content_type="application/json", body=about))
            tab.goto(server.url)
            tab.wait_for_selector("#run dl")
            return tab

        yield open_page
        leave()


def _must_be_empty(troubles: list[str]) -> None:
    assert not troubles


def give(page: Any, files: list[tuple[str, bytes]], *, kind: str = "drop", media_type: str = "image/jpeg") -> None:
    """Drop or paste files as a person would."""
    page.evaluate(GIVE, [kind, [[name, media_type, base64.b64encode(data).decode()] for name, data in files]])


def give_covers(page: Any, covers: list[Path], **more: str) -> None:
    give(page, [(path.name, path.read_bytes()) for path in covers], **more)


def compare(page: Any, covers: list[Path], titles: list[str] = TITLES, tags: str = "food", description: str = "") -> Any:
    """Ask about all covers with both titles; return the cards."""
    give_covers(page, covers)
    page.get_by_label("Title 1", exact=True).fill(titles[0])
    page.keyboard.press("Enter")
    page.keyboard.type(titles[1])
    page.get_by_label("Tags").fill(tags)
    page.get_by_label("Description").fill(description)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".variant")
    return page.locator(".variant")


def open_detail(page: Any, nth: int = 0) -> Any:
    page.locator(".why").nth(nth).click()
    page.wait_for_selector("#detail-body section")
    return page.locator("#detail")


def is_rounded(said: str, true: float, digits: int = 2) -> bool:
    """Whether a number is that one, but for what rounding and batches do."""
    number = float(said.replace(",", "").replace("−", "-"))
    scale = 10.0 ** (math.floor(math.log10(abs(true))) + 1 - digits) if true else 1.0
    return abs(number - true) <= max(scale, 1.0 if digits == 2 else 0.0) * 0.5001 + BATCHED * abs(true)


def is_share(said: str, share: float) -> bool:
    return abs(float(re.match(r"(\d+) %", said)[1]) - 100 * share) <= 0.6


def is_effect(said: str, change: float) -> bool:
    """Whether a change of a count is told as one does on a terminal."""
    if abs(change) >= math.log(10):
        return said[0] == ("×" if change > 0 else "÷") and is_rounded(said[1:], math.exp(abs(change)), 6)
    return said.endswith(" %") and abs(float(said[:-2].replace("−", "-")) - 100 * math.expm1(change)) <= 0.7


def alert(page: Any) -> str:
    page.wait_for_selector("#problem:not(:empty)")
    return page.locator("#problem").text_content()


def test_dropped_covers_with_typed_titles_are_ranked_as_predict_ranks_them(
    visit: Callable[..., Any], server: Server, covers: list[Path], expected: dict[str, Any]
) -> None:
    page = visit(server)
    assert page.locator("#compare").is_disabled()
    cards = compare(page, covers)
    assert cards.count() == 4
    assert page.locator("#start").is_hidden()
    for nth, ranked in enumerate(expected["ranking"]):
        card, post = cards.nth(nth), expected["posts"][ranked["post"]]
        assert int(card.get_attribute("data-post")) == ranked["post"]
        assert card.locator("h3").text_content() == post["title"]
        assert card.locator(".cover img").get_attribute("alt") == Path(post["image"]).name
        assert card.locator(".rank").text_content() == str(nth + 1)
        assert is_rounded(card.locator(".figure").text_content(), post["count"])
        percentile = re.fullmatch(r"better than (\d+) % of training posts", card.locator(".percentile").text_content())
        assert abs(int(percentile[1]) - post["percentile"]) <= 0.6
        assert is_share(card.locator(".chance").text_content(), ranked["p_best"])
        low, high = card.locator(".interval p").text_content().removeprefix("80 % interval: ").split(" to ")
        assert is_rounded(low, math.expm1(post["interval_80"][0]))
        assert is_rounded(high, math.expm1(post["interval_80"][1]))
        assert card.locator(".chip.close").count() == (nth > 0 and expected["beats"][0][nth] < 2 / 3)
        assert card.locator(".warning").count() == bool(post["unlike_training_posts"])
    verdict = page.locator("#verdict")
    assert verdict.get_attribute("role") == "status"
    assert verdict.locator("b").text_content() == ("Too close to call" if expected["too_close_to_call"] else "Ahead")
    assert f"{100 * expected['beats'][0][1]:.0f} %" in verdict.text_content()
    assert "LEAKY" not in page.locator("body").text_content()


def test_bars_stand_on_one_axis(
    visit: Callable[..., Any], server: Server, covers: list[Path], expected: dict[str, Any]
) -> None:
    cards = compare(visit(server), covers)
    places = [
        cards.nth(nth)
        .locator(f".track .{what}")
        .evaluate("(bar) => [bar.getBoundingClientRect().left, bar.getBoundingClientRect().right]")
        for nth in range(4)
        for what in ("range", "point")
    ]
    posts = [expected["posts"][ranked["post"]] for ranked in expected["ranking"]]
    values = [value for post in posts for value in (*post["interval_80"], post["value"])]
    pixels = [x for (low, high), point in zip(places[::2], places[1::2], strict=True) for x in (low, high, sum(point) / 2)]
    slope = (max(pixels) - min(pixels)) / (max(values) - min(values))
    for value, pixel in zip(values, pixels, strict=True):
        assert pixel - min(pixels) == pytest.approx(slope * (value - min(values)), abs=1.0)


def test_the_banner_says_what_the_run_is_and_how_far_to_trust_it(visit: Callable[..., Any], server: Server) -> None:
    about = server.get("/api/run").json()
    said = visit(server).locator("#run").text_content()
    assert said.startswith(about["run"])
    assert f"Predicts {about['target']}" in said
    assert f"{about['trained']['posts']} posts ({about['trained']['split']} split)" in said
    assert "Optimistic" in said
    assert "engage evaluate reads the test split" in said
    for metric in about["validation"]["metrics"]:
        assert metric["title"] in said
        assert metric["meaning"] in said


def test_covers_are_pasted_chosen_and_removed(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server)
    give_covers(page, covers[:1], kind="paste")
    assert page.locator("#covers li").count() == 1
    page.locator("#files").set_input_files(covers[1])
    assert page.locator("#covers li").count() == 2
    assert page.locator("#variants").text_content() == "2 covers: 2 variants"
    page.get_by_label(f"Remove {COVERS[0]}").click()
    assert page.locator("#covers img").get_attribute("alt") == COVERS[1]
    assert page.evaluate("document.activeElement.ariaLabel") == f"Remove {COVERS[1]}"
    page.keyboard.press("Enter")
    assert page.locator("#covers li").count() == 0
    assert page.locator("#compare").is_disabled()
    page.keyboard.press("Control+Enter")
    assert alert(page) == "Add a cover to begin."


def test_one_cover_without_a_title_needs_no_ranking(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server)
    give_covers(page, covers[:1])
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector(".variant")
    (post,) = server.ask("/api/predict", [(COVERS[0], covers[0].read_bytes())]).json()["posts"]
    assert is_rounded(page.locator(".figure").text_content(), post["count"])
    assert page.locator(".rank, .chance").count() == 0
    assert page.locator("#verdict b").text_content() == "The model expects"


def test_a_date_and_further_columns_are_asked_for_where_the_run_reads_them(
    visit: Callable[..., Any], server: Server, covers: list[Path]
) -> None:
    columns = [{"name": "seconds", "type": "number"}, {"name": "language", "type": "category"}]
    page = visit(server, refused=(422,), reads={"image": True, "date": True, "columns": columns})
    give_covers(page, covers[:1])
    page.get_by_label("Date and time of publishing, in UTC").fill("2026-11-24T18:30")
    page.get_by_label("seconds").fill("61")
    with page.expect_request("**/api/predict") as asking:
        page.get_by_label("language").press("Enter")
    sent = asking.value.post_data_buffer.decode("latin-1")
    assert 'name="posted_at"\r\n\r\n2026-11-24T18:30\r\n' in sent
    assert 'name="with"\r\n\r\n{"seconds":"61"}\r\n' in sent
    assert not re.search('name="(titles|tags|description)"', sent)  # nothing was written there
    assert "seconds" in alert(page)  # this run was trained without it


def test_a_change_says_that_the_ranking_is_of_before(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server)
    compare(page, covers)
    assert page.locator("#stale").is_hidden()
    page.get_by_label("Remove title 2").click()
    page.get_by_label(f"Remove {COVERS[0]}").click()
    assert page.locator("#stale").is_visible()
    images = page.locator(".cover img")
    assert images.evaluate_all("(all) => all.every((one) => one.complete && one.naturalWidth > 0)")


def test_what_cannot_be_used_is_said(visit: Callable[..., Any], server: Server, covers: list[Path], tmp_path: Path) -> None:
    page = visit(server, refused=(422,))
    limits = server.get("/api/run").json()["limits"]
    broken = ("broken.jpg", covers[0].read_bytes()[:200])
    give(page, [broken])
    page.keyboard.press("Control+Enter")
    assert alert(page).rstrip(".") == server.ask("/api/predict", [broken]).json()["error"]
    assert page.locator(".variant").count() == 0
    give(page, [("words.txt", b"words")], media_type="text/plain")
    assert alert(page) == "words.txt is not an image; give a JPEG, PNG, WebP or GIF."
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(limits["image_bytes"] + 1)
    page.locator("#files").set_input_files(large)
    assert alert(page) == "large.jpg is larger than 16 MiB; give a smaller one."
    give(page, [(f"{number}.jpg", covers[0].read_bytes()) for number in range(limits["images"])])
    assert alert(page) == f"At most {limits['images']} covers can be compared at once."
    assert page.locator("#covers li").count() == limits["images"]


def test_a_dropped_video_gives_its_frames_as_covers(visit: Callable[..., Any], server: Server, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra frames is not installed")
    from tests.videos import write_scenes

    page = visit(server, refused=(422,))
    give(page, [("holiday.mp4", write_scenes(tmp_path / "holiday.mp4").read_bytes())], media_type="video/mp4")
    page.wait_for_selector("#covers li:nth-child(3)")
    assert page.locator("#covers li").count() == 3
    names = page.locator("#covers img").evaluate_all("(all) => all.map((one) => one.alt)")
    assert all(re.fullmatch(r"holiday 0m0\d\.\ds\.jpg", name) for name in names)
    assert page.locator("#busy").text_content() == ""
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".variant")
    assert page.locator(".variant").count() == 3
    give(page, [("broken.mov", b"no video")], media_type="video/quicktime")
    assert alert(page).startswith("The video: not a video that can be read")
    assert page.locator("#covers li").count() == 3


def test_a_detail_tells_what_explain_tells(
    visit: Callable[..., Any], server: Server, covers: list[Path], expected: dict[str, Any]
) -> None:
    page = visit(server)
    compare(page, covers)
    detail = open_detail(page)
    image, title = divmod(expected["ranking"][0]["post"], len(TITLES))
    asked = [(COVERS[image], covers[image].read_bytes())]
    why = server.ask("/api/explain", asked, [TITLES[title]], tags="food").json()["posts"][0]["explanation"]

    assert why["note"] in detail.locator("#detail-status").text_content()
    words = detail.locator(".words li")
    assert words.locator("span").all_text_contents() == [word["word"] for word in why["words"]]
    for said, word in zip(words.locator("b").all_text_contents(), why["words"], strict=True):
        assert is_effect(said, word["change"])
    parts = detail.locator(".effects b").all_text_contents()
    for said, part in zip(parts, why["without"], strict=True):
        assert is_effect(said, part["change"])

    flat = [cell for row in why["regions"] for cell in row]
    for said, cell in zip(detail.locator("td").all_text_contents(), flat, strict=True):
        assert is_effect(said, cell)
    largest = max(map(abs, flat)) or 1.0
    pixels = detail.locator("canvas").evaluate("(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    for cell, (red, _, blue, opacity) in zip(flat, zip(*[iter(pixels)] * 4, strict=True), strict=True):
        assert opacity == pytest.approx(191 * abs(cell) / largest if abs(cell) > 0.06 * largest else 0, abs=4)
        assert not opacity or (red > blue) == (cell > 0)
    detail.get_by_role("switch").uncheck()
    assert "covered" not in detail.locator(".frame").get_attribute("class")

    near = detail.locator(".neighbours li")
    assert near.locator(":scope > :last-child").all_text_contents() == [one["title"] for one in why["neighbours"]]
    for said, one in zip(near.locator("b").all_text_contents(), why["neighbours"], strict=True):
        assert is_rounded(said, one["count"])

    page.keyboard.press("Escape")
    assert not detail.is_visible()
    assert page.evaluate("document.activeElement === document.querySelector('.why')")


def test_a_detail_that_fails_says_why(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server, refused=(504,))
    compare(page, covers)
    slow = json.dumps({"error": "no answer within 60 s; ask for fewer variants"})
    page.route("**/api/explain", lambda route: route.fulfill(status=504, content_type="application/json", body=slow))
    page.locator(".why").first.click()
    page.wait_for_selector("#detail-problem:not(:empty)")
    assert page.locator("#detail-problem").text_content() == "No answer within 60 s; ask for fewer variants."
    page.get_by_role("button", name="Close").click()
    assert not page.locator("#detail").is_visible()


def test_the_table_is_saved_without_formulas(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server)
    titles = ['=HYPERLINK("http://a","b")', "@plain, so to say"]
    compare(page, covers, titles, tags="")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as CSV").click()
    rows = list(csv.DictReader(io.StringIO(saving.value.path().read_text("utf-8-sig"), newline="")))
    said = server.ask("/api/predict", [(path.name, path.read_bytes()) for path in covers], titles).json()
    for row, ranked in zip(rows, said["ranking"], strict=True):
        post = said["posts"][ranked["post"]]
        assert (row["rank"], row["image"], row["title"]) == (str(ranked["rank"]), post["image"], f"'{post['title']}")
        numbers = [row[name] for name in ("views", "percentile", "low_80", "high_80", "chance_best", "Very Low")]
        low, high = (math.expm1(max(0.0, end)) for end in post["interval_80"])
        true = [post["count"], post["percentile"], low, high, ranked["p_best"], post["probabilities"]["Very Low"]]
        assert list(map(float, numbers)) == pytest.approx(true, rel=0.01, abs=1e-6)
        assert row["level"] == post["class"]


def test_what_is_shown_is_logged_once(
    visit: Callable[..., Any], world: Path, server: Server, covers: list[Path], expected: dict[str, Any], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with serving_here(ModelHere(world / "runs" / "gp", Limits(), ledger)) as logging:
        page = visit(logging)
        compare(page, covers)
        for words in ("Logged 4 predictions.", "4 predictions logged already. The first answer stands."):
            page.get_by_role("button", name="Log").click()
            page.locator("#logged", has_text=words).wait_for()
        assert_accessible(page)
        said = logging.ask("/api/log", [(path.name, path.read_bytes()) for path in covers], TITLES, tags="food").json()
        assert said == {"variants": 4, "new": 0}
        visit(server)  # whatever this page still asks for ends before its server does
    _, entries = read(ledger)
    assert [one.value for one in entries] == pytest.approx([post["value"] for post in expected["posts"]], rel=BATCHED)
    assert [[one.low, one.high] for one in entries] == [
        pytest.approx(post["interval_80"], rel=BATCHED) for post in expected["posts"]
    ]
    assert [one.image_hash for one in entries] == [image_hash(path.read_bytes()) for path in covers for _ in TITLES]


def test_without_a_ledger_there_is_no_button_and_no_route(
    visit: Callable[..., Any], server: Server, covers: list[Path]
) -> None:
    page = visit(server)
    compare(page, covers)
    assert page.locator("#log").is_hidden()
    assert server.ask("/api/log", [("a.jpg", covers[0].read_bytes())]).status_code == 404


def test_the_ranking_is_saved_as_an_image(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server, scheme="dark")
    compare(page, covers)
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as PNG").click()
    with Image.open(saving.value.path()) as picture:
        assert picture.format == "PNG"
        assert picture.size == (2000, 1288)  # two lines of a warning, for it learned from few posts
        assert picture.convert("RGB").getpixel((5, 5)) == (255, 255, 255)
        assert len(set(picture.convert("RGB").crop((128, 314, 432, 486)).getdata())) > 100  # a cover


def test_a_leaky_run_of_classes_shows_five_probabilities_and_says_so(
    visit: Callable[..., Any], leaky_server: Server, covers: list[Path]
) -> None:
    page = visit(leaky_server)
    cards = compare(page, covers)
    asked = [(path.name, path.read_bytes()) for path in covers]
    said = leaky_server.ask("/api/predict", asked, TITLES, tags="food").json()
    for nth, ranked in enumerate(said["ranking"]):
        card, post = cards.nth(nth), said["posts"][ranked["post"]]
        assert card.locator(".figure").text_content() == post["class"]
        assert card.locator(".levels li > span:first-child").all_text_contents() == list(post["probabilities"])
        shares = card.locator(".levels b").all_text_contents()
        assert all(map(is_share, shares, post["probabilities"].values()))
        assert card.locator(".levels .most > span").first.text_content() == post["class"]
        assert card.locator(".interval").count() == 0
        assert card.locator(".badge").text_content() == "LEAKY"
    for place in ("#run", "#verdict"):
        text = page.locator(place).text_content()
        assert LEAKY in text
        assert MARK in text

    detail = open_detail(page)
    image, title = divmod(said["ranking"][0]["post"], len(TITLES))
    why = leaky_server.ask("/api/explain", [asked[image]], [TITLES[title]], tags="food").json()["posts"][0]["explanation"]
    groups = detail.locator(".contributions > .effects li")
    shown = dict(
        zip(groups.locator("span:first-child").all_text_contents(), groups.locator("b").all_text_contents(), strict=True)
    )
    assert list(shown) == [name.replace("_", " ") for name in why["contributions"]["groups"]]
    for said_group, moved in zip(shown.values(), why["contributions"]["groups"].values(), strict=True):
        assert float(said_group.replace("−", "-")) == pytest.approx(moved, rel=0.01, abs=1e-6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(
    visit: Callable[..., Any], server: Server, leaky_server: Server, covers: list[Path], scheme: str
) -> None:
    page = visit(leaky_server, scheme=scheme)
    compare(page, covers)
    assert_accessible(page)
    page = visit(server, scheme=scheme)
    assert_accessible(page)
    compare(page, covers)
    assert_accessible(page)
    open_detail(page).locator("summary").first.click()
    assert_accessible(page)


def assert_accessible(page: Any) -> None:
    page.evaluate("document.getAnimations().forEach((one) => one.finish())")
    found = axe_api.Axe().run(page).response["violations"]
    grave = [
        (one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in ("serious", "critical")
    ]
    assert grave == []


def test_it_fits_a_phone(visit: Callable[..., Any], server: Server, covers: list[Path]) -> None:
    page = visit(server, width=320)
    for width_of in ("document.scrollingElement", "document.getElementById('detail')"):
        if "detail" in width_of:
            open_detail(page)
        else:
            compare(page, covers)
        assert page.evaluate(f"{width_of}.scrollWidth") <= 320
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(visit: Callable[..., Any], server: Server, covers: list[Path], status: int) -> None:
    page = visit(server, refused=(status,))
    asked: list[str] = []

    def refuse_once(route: Any) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            return route.continue_()
        body = json.dumps({"error": "the model is loading; try again"})
        return route.fulfill(status=status, headers={"Retry-After": "1"}, content_type="application/json", body=body)

    page.route("**/api/predict", refuse_once)
    give_covers(page, covers)
    page.keyboard.press("Control+Enter")
    page.locator("#busy", has_text="The model is loading; try again. Asking again in 1 s (1 of 4).").wait_for()
    assert page.locator("#compare").text_content().strip() == "Comparing…"
    page.wait_for_selector(".variant")
    assert len(asked) == 2
    assert page.locator("#problem").text_content() == ""
    assert page.locator("#busy").text_content() == ""


def test_a_newer_question_takes_the_place_of_an_older_one(
    visit: Callable[..., Any], server: Server, covers: list[Path]
) -> None:
    page = visit(server)
    held: list[Any] = []
    page.route("**/api/predict", lambda route: route.continue_() if held else held.append(route))
    give_covers(page, covers[:1])
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#compare.busy")
    with page.expect_event("requestfailed"):
        give_covers(page, covers[1:])
        page.keyboard.press("Control+Enter")
    page.wait_for_selector(".variant")
    assert page.locator(".variant").count() == 2
    assert page.locator("#problem").text_content() == ""


def test_the_screenshot_is_there(visit: Callable[..., Any], server: Server, pixelrec: Path) -> None:
    if os.environ.get("ENGAGE_WRITE_SCREENSHOT"):
        page = visit(server, width=WIDTH)
        titles = ["Looking at a car in Osaka (31)", "Wow, Osaka! What a car (31)"]
        covers = [pixelrec / "cover" / name for name in ("i7.jpg", "i4.jpg")]
        compare(page, covers, titles, "technology", "Recorded by me, edited on a laptop.")
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.wait_for_timeout(400)  # until nothing moves
        page.screenshot(path=SCREENSHOT, full_page=True)
    with Image.open(SCREENSHOT) as picture:
        assert picture.format == "PNG"
        assert picture.width == WIDTH
