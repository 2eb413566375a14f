"""engage serve over HTTP: the answers of `engage predict --json`, and what is turned away."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image

from engage_cli.runs.model_table import MODELS, PREDICTORS
from engage_cli.runs.run_folder import load_run
from engage_cli.steps.predict.requests import IMAGE, reads_of
from engage_cli.steps.predict.session import InferenceSession
from engage_cli.steps.serve._about import describe_run
from engage_cli.steps.serve._api import make_app
from engage_cli.steps.serve._guard import HEADERS, is_loopback
from engage_cli.steps.serve._jobs import Job
from engage_cli.steps.serve._limits import MIB, Limits
from engage_cli.steps.serve._process import ModelProcess
from engage_cli.steps.serve.worker import answer as answer_jobs
from engage_cli.uncertainty.forecast import load_uncertainty
from tests.calls import answer, engage
from tests.run_files import change
from tests.served import ModelHere, Server, client, serving_here
from tests.sources import encoded, picture
from tests.test_bad_images import IMAGES

SCHEMA = json.loads((Path(__file__).parent.parent / "engage_cli" / "schemas" / "predict.json").read_text())
LIMITS = Limits()
TOKEN = "0123456789abcdef0123"
NEARLY = {"rel": 1e-4, "abs": 1e-6}  # batches of other sizes round otherwise


@pytest.fixture(scope="module")
def server(world: Path) -> Iterator[Server]:
    with serving_here(ModelHere(world / "runs" / "gp", LIMITS)) as found:
        yield found


@pytest.fixture(scope="module")
def covers(pixelrec: Path) -> list[tuple[str, bytes]]:
    return [(name, (pixelrec / "cover" / name).read_bytes()) for name in ("i5.jpg", "i7.jpg")]


def without_names(value: object) -> object:
    """An answer without what is called otherwise here and there: folders of images and runs."""
    if isinstance(value, dict):
        return {
            key: without_names(item) for key, item in value.items() if key not in ("image", "run", "overlay", "verdict")
        }
    return [without_names(item) for item in value] if isinstance(value, list) else value


def numbers_of(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_of(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_of(item)]
    return [float(value)] if isinstance(value, (int, float)) else []


def words_of(value: object) -> object:
    if isinstance(value, dict):
        return {key: words_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return [words_of(item) for item in value]
    return None if isinstance(value, float) else value


def sentence(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    said = response.json()["error"]
    assert said
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def test_variants_are_answered_as_predict_answers_them(
    server: Server, world: Path, pixelrec: Path, covers: list[tuple[str, bytes]]
) -> None:
    titles = ["The best pizza in Naples", "I built a house"]
    found = server.ask("/api/predict", covers, titles, tags="food", posted_at="2026-11-24T18:30").json()
    jsonschema.validate(found, SCHEMA)
    paths = [pixelrec / "cover" / name for name, _ in covers]
    more = ["--title", titles[0], "--title", titles[1], "--tags", "food", "--posted-at", "2026-11-24T18:30"]
    expected = answer("predict", *paths, *more, "--run", world / "runs" / "gp")
    assert words_of(without_names(found)) == words_of(without_names(expected))
    assert numbers_of(without_names(found)) == pytest.approx(numbers_of(without_names(expected)), **NEARLY)
    assert [post["image"] for post in found["posts"]] == ["i5.jpg", "i5.jpg", "i7.jpg", "i7.jpg"]
    assert found["verdict"] == expected["verdict"]


def test_a_reason_is_that_of_predict(server: Server, world: Path, pixelrec: Path, covers: list[tuple[str, bytes]]) -> None:
    found = server.ask("/api/explain", covers[:1], ["The best pizza"]).json()
    jsonschema.validate(found, SCHEMA)
    call = ["predict", pixelrec / "cover" / "i5.jpg", "--title", "The best pizza", "--explain"]
    expected = answer(*call, "--run", world / "runs" / "gp")
    assert [one["word"] for one in found["posts"][0]["explanation"]["words"]] == ["The", "best", "pizza"]
    assert numbers_of(without_names(found)) == pytest.approx(numbers_of(without_names(expected)), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["classifier", "catboost", "catboost-value", "regressor"])
def test_other_kinds_of_runs(name: str, world: Path, pixelrec: Path, covers: list[tuple[str, bytes]]) -> None:
    run = load_run(world / "runs" / name)
    session = InferenceSession(run, num_towers=None)
    names, images = zip(*covers, strict=True)
    jobs = [
        Job(names=names, images=images, titles=("a cat",)),
        Job(names=("text.jpg",), images=(b"no image",)),
        Job(names=names[:1], images=images[:1], titles=("a cat", "a dog"), tags="food", posted_at="2026-11-24"),
        Job(names=names, images=images, titles=("a cat", "a cat ")),
    ]
    replies = answer_jobs(session, reads_of(run), jobs)
    assert [status for status, _ in replies] == [200, 422, 200, 422]
    for job, (status, body) in zip(jobs, replies, strict=True):
        if status == 200:
            more = [one for title in job.titles for one in ("--title", title)] + ["--tags", job.tags]
            more += ["--posted-at", job.posted_at] if job.posted_at else []
            expected = answer("predict", *(pixelrec / "cover" / one for one in job.names), *more, "--run", run.folder)
            found = json.loads(body)
            assert words_of(without_names(found)) == words_of(without_names(expected))
            assert numbers_of(without_names(found)) == pytest.approx(numbers_of(without_names(expected)), **NEARLY)
    assert json.loads(replies[1][1])["error"] == "text.jpg: not an image; give a JPEG, PNG, WebP or GIF"
    assert "equal except for spaces" in json.loads(replies[3][1])["error"]


@pytest.mark.parametrize("model", PREDICTORS)
def test_every_model_has_a_word(model: str) -> None:
    assert MODELS[model].words


def test_what_the_run_is(server: Server, world: Path, tmp_path: Path) -> None:
    found = server.get("/api/run").json()
    assert (found["run"], found["target"], found["kind"], found["ready"]) == ("gp", "views", "value", True)
    assert found["trained"]["posts"] == json.loads((world / "runs/gp/metrics.json").read_text())["rows"]["train"]
    assert [one["name"] for one in found["validation"]["metrics"]] == ["pairwise_accuracy", "spearman", "r2"]
    assert found["model_in_words"] == "Gaussian process"
    assert not found["leaky"]
    assert str(world) not in json.dumps(found)  # no path of this machine
    run = tmp_path / "gp"
    shutil.copytree(world / "runs" / "gp", run)
    (score,) = answer("evaluate", run, "--data", world / "data", "--resamples", 20)["runs"]
    told = describe_run(load_run(run), None)["test"]
    assert told["rows"] == score["rows"]
    assert describe_run(load_run(run), None)["cross_validated"] is None
    assert {one["name"]: one["value"] for one in told["metrics"]}["r2"] == score["metrics"]["r2"]["value"]
    change(run, "metrics.json", lambda metrics: metrics.update(finished="another day"))  # trained again since
    assert describe_run(load_run(run), None)["test"] is None


def test_a_run_that_has_met_no_cover_takes_titles_alone(world: Path) -> None:
    run = load_run(world / "runs" / "gp")
    known = load_uncertainty(run).neighbours
    assert known is not None
    assert describe_run(run, known)["reads"]["image"]
    covers = known.spaces[IMAGE]
    same = replace(covers, points=np.repeat(covers.points[:1], len(covers.points), axis=0))
    assert not describe_run(run, replace(known, spaces={**known.spaces, IMAGE: same}))["reads"]["image"]


@pytest.mark.parametrize("name", [name for name, (data, why) in IMAGES.items() if data and "path" not in why])
def test_images_of_every_kind(name: str, server: Server) -> None:
    data, why = IMAGES[name]
    response = server.ask("/api/predict", [(name, data)], ["a title"])
    if why:
        assert why in sentence(response, 422)
        assert "give a JPEG, PNG, WebP or GIF" in response.json()["error"]
    else:
        assert response.status_code == 200, response.text


def test_an_image_that_looks_whole_until_it_is_decoded(server: Server) -> None:
    whole = encoded(picture(1), quality=95)
    for image in (whole[: len(whole) // 2], whole[:700]):
        said = sentence(server.ask("/api/predict", [("a.jpg", image), ("b.jpg", whole)], ["x"]), 422)
        assert said.startswith("a.jpg: ")
    good = server.ask("/api/predict", [("a.jpg", whole)], ["x"])
    assert good.status_code == 200  # the job beside a broken one, and after it


def test_content_counts_and_names_do_not(server: Server, covers: list[tuple[str, bytes]]) -> None:
    image = covers[0][1]
    for name in ("notes.txt", "../../etc/passwd", "C:\\x\\y.exe", "no suffix", "\x1b[31m.jpg"):
        found = server.ask("/api/predict", [(name, image)], ["x"]).json()["posts"][0]["image"]
        assert found
        assert not set(found) & set("/\\\x1b")
    twice = server.ask("/api/predict", [("a.jpg", image), ("a.jpg", covers[1][1])], ["x"]).json()
    assert [post["image"] for post in twice["posts"]] == ["a.jpg", "a.jpg (2)"]


@pytest.mark.parametrize(
    ("images", "titles", "fields", "status", "words"),
    [
        (25, ["x"], {}, 413, "24 images"),
        (1, ["x"] * 25, {}, 413, "24 titles"),
        (24, [f"title {n}" for n in range(24)], {}, 413, "400 variants"),
        (1, ["same", "same"], {}, 422, "twice"),
        (1, ["same", " same "], {}, 422, "equal except for spaces"),
        (1, ["x" * (LIMITS.text_bytes + 1)], {}, 413, "64 KiB of text"),
        (1, ["x"], {"posted_at": "soon"}, 422, "posted_at 'soon' is not a date"),
        (1, ["x"], {"with": '{"duration": 3}'}, 422, "was trained without it"),
        (1, ["x"], {"with": "no json"}, 422, '"with" is a JSON object'),
        (1, ["x"], {"with": "[" * 100_000}, 413, "64 KiB of text"),
        (1, ["x"], {"with": "[" * 60_000}, 422, '"with" is a JSON object'),
        (1, ["x"], {"file": "/etc/passwd"}, 422, "unknown field 'file'"),
        (1, ["x"], {"tags": ["a", "b"]}, 422, "tags is given twice"),
    ],
)
def test_questions_that_cannot_be_answered(
    server: Server, images: int, titles: list[str], fields: dict, status: int, words: str
) -> None:
    small = encoded(picture(2).resize((40, 40)))
    said = sentence(server.ask("/api/predict", [(f"{n}.jpg", small) for n in range(images)], titles, **fields), status)
    assert words in said
    assert "--" not in said  # the words of the command line


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([("titles", (None, "x"))], "no image"),
        ([("images", (None, "text"))], "send images as files"),
        ([("titles", ("a.txt", b"text"))], "send images as files"),
    ],
)
def test_forms_without_an_image(server: Server, files: list, words: str) -> None:
    assert words in sentence(server.post("/api/predict", files=files), 422)


def test_reasons_are_of_one_variant(server: Server, covers: list[tuple[str, bytes]]) -> None:
    assert "an explanation is for one post: send one image and one title" in sentence(
        server.ask("/api/explain", covers, ["x"]), 422
    )
    assert "an explanation is for one post: send one image and one title" in sentence(
        server.ask("/api/explain", covers[:1], ["x", "y"]), 422
    )


def test_bodies_that_are_too_large_or_no_form(server: Server) -> None:
    large = b"\xff" * (LIMITS.image_bytes + 1)
    assert "larger than 16 MiB" in sentence(server.ask("/api/predict", [("a.jpg", large)]), 413)
    five = [(f"{n}.jpg", b"\xff" * (15 * MIB)) for n in range(5)]
    assert "more than 64 MiB" in sentence(server.ask("/api/predict", five), 413)
    many = [(f"{n}.png", encoded(Image.new("L", (6000, 5000)), "PNG")) for n in range(9)]
    assert "270 megapixels in all; give at most 240" in sentence(server.ask("/api/predict", many), 413)
    wide = encoded(picture(3).resize((8000, 6000)))
    assert "at most 40 megapixels" in sentence(server.ask("/api/predict", [("a.jpg", wide)]), 422)
    for kind, body in [
        ("application/json", b"{}"),
        ("", b""),
        ("text/plain", b"x"),
        ("multipart/form-data; boundary=x; charset=unicode_escape", b"x"),
    ]:
        response = server.post("/api/predict", content=body, headers={"content-type": kind})
        assert "send " in sentence(response, 415)
    for kind, body in [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"nothing of the kind"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="titles"\r\n\r\ncut off'),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x; charset=UTF-8", b"--x\r\nContent-Disposition\xff\r\n\r\n\xff\r\n--x--\r\n"),
    ]:
        response = server.post("/api/predict", content=body, headers={"content-type": kind})
        assert response.status_code in (400, 422), response.text
        sentence(response, response.status_code)


def test_other_paths_and_methods(server: Server) -> None:
    assert "no such page" in sentence(server.get("/../../etc/passwd"), 404)
    assert "no such page" in sentence(server.get("/docs"), 404)
    assert "method not allowed" in sentence(server.get("/api/predict"), 405)
    assert "method not allowed" in sentence(client().delete(f"{server.url}/api/run"), 405)
    page = server.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client().head(server.url).status_code == 200
    assert server.get("/api/openapi.json").json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/run", "/nowhere"])
def test_every_answer_has_the_headers_that_keep_a_browser_safe(server: Server, path: str) -> None:
    found = server.get(path).headers
    assert {name: found.get(name) for name in HEADERS} == HEADERS
    assert "unsafe" not in found["content-security-policy"]
    assert "http" not in found["content-security-policy"]
    assert "server" not in found


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8765"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_turned_away(server: Server, covers: list[tuple[str, bytes]], headers: dict) -> None:
    files = [("images", covers[0])]
    sentence(server.post("/api/predict", files=files, headers=headers), 403)
    if "Sec-Fetch-Site" not in headers:  # a link from elsewhere may open the page
        sentence(server.get("/api/run", headers=headers), 403)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:9000"])
def test_this_machines_names_are_known(server: Server, host: str) -> None:
    assert server.get("/api/run", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


def test_a_token_is_wanted_of_everyone(world: Path, covers: list[tuple[str, bytes]]) -> None:
    model = ModelProcess(world / "runs" / "gp", LIMITS, print)  # not started: what gets as far as it is told to wait
    app = make_app(model, LIMITS, host="0.0.0.0", token=TOKEN)
    bearer, files = {"Authorization": f"Bearer {TOKEN}"}, [("images", covers[0])]

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://this.machine:8765") as client:
            for call in (
                client.get("/"),
                client.get("/?token=wrong"),
                client.get(f"/api/run?token={TOKEN}"),  # only the page's address takes it
                client.get("/api/run", headers={"Authorization": "Bearer wrong"}),
                client.get("/api/run", headers={"Authorization": f"Basic {TOKEN}"}),
                client.get("/api/run", headers={"Authorization": "Bearer \u00e9".encode()}),
                client.get("/api/run", headers={"Cookie": f"engage_token=; other={TOKEN}"}),
                client.post("/api/predict", files=files),
            ):
                assert "this server needs its token" in sentence(await call, 401)
            assert (await client.get("/api/run", headers=bearer)).json()["ready"] is False
            waits = await client.post("/api/predict", files=files, headers=bearer)
            assert "the model is loading; try again" in sentence(waits, 503)
            assert int(waits.headers["retry-after"]) > 0
            sentence(await client.get("/api/run", headers={**bearer, "Origin": "https://evil.example"}), 403)
            first = await client.get(f"/?token={TOKEN}")  # a browser: from here on its cookie does
            assert (first.status_code, first.headers["location"]) == (303, "/")
            assert {"httponly", "samesite=lax"} <= set(first.headers["set-cookie"].lower().split("; "))
            assert (await client.get("/api/run")).json()["ready"] is False
            crowded = {
                "Cookie": f'theme={{"a":"b c"}}; a[b]=1; engage_token={TOKEN}; other=1'
            }  # a host's ports share cookies
            assert (await client.get("/api/run", headers=crowded)).status_code == 200

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org")],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "can be reached by other machines: give --token, which every client must then send"),
        (["--host", "0.0.0.0", "--token", "short"], 2, "16 or more letters and digits"),
        (
            ["--host", "no.such.host.invalid"],
            2,
            "can be reached by other machines: give --token, which every client must then send",
        ),
        (["--host", "no.such.host.invalid", "--token", TOKEN], 2, "no such address"),
        (["--run", "nowhere"], 1, "is not a run folder"),
        (["--port", "65536"], 2, "65535"),
    ],
)
def test_calls_that_start_no_server(options: list[str], code: int, words: str, world: Path) -> None:
    result = engage("serve", "--runs", world / "runs", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


def test_a_port_that_is_taken(server: Server, world: Path) -> None:
    port = server.url.rpartition(":")[2]
    result = engage("serve", "--run", world / "runs" / "gp", "--port", port)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"port {port} of 127.0.0.1: cannot listen" in result.stderr


def test_a_run_that_cannot_be_loaded_is_one_sentence(world: Path, tmp_path: Path) -> None:
    run = tmp_path / "gp"
    shutil.copytree(world / "runs" / "gp", run)
    (run / "calibration.json").write_text("{")
    result = engage("serve", "--run", run, "--port", "0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "calibration.json was changed or damaged" in result.stderr
    assert "Traceback" not in result.stderr
