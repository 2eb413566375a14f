"""Covers by their addresses, from a server that fails in all usual ways."""

from __future__ import annotations

import csv
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from engage_cli.data.dataset import load_dataset
from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.prepare import _fetch_images as module
from engage_cli.steps.prepare._fetch_images import _is_public, fetch_images
from tests.calls import answer
from tests.sources import encoded, picture, write_table

IMAGE = encoded(picture(1))


class Server(BaseHTTPRequestHandler):
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        name = self.path.strip("/").partition("?")[0]
        self.asked[name] += 1
        if name == "moved":
            self.reply(302, b"", Location="/fine")
        elif name == "round":
            self.reply(302, b"", Location="/round")
        elif name == "gone":
            self.reply(404, b"no")
        elif (name == "busy" and self.asked[name] < 3) or name == "never":
            self.reply(503, b"")
        elif name == "page":
            self.reply(200, b"<html>", kind="text/html")
        elif name == "empty":
            self.reply(200, b"")
        elif name == "large":
            self.reply(200, b"x", length=module.MOST_BYTES + 1)
        elif name == "endless":
            self.reply(200, IMAGE + b"x" * 4096, length=None)
        elif name == "broken":
            self.reply(200, IMAGE[:50], length=len(IMAGE))
        else:
            self.reply(200, IMAGE)

    def reply(self, code: int, body: bytes, *, kind: str = "image/jpeg", length: int | None = -1, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "MOST_BYTES", len(IMAGE) + 2048)
    Server.asked = Counter()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


PROBLEMS = {
    "gone": "HTTP 404", "never": "HTTP 503, 4 times", "page": "a page and no image", "empty": "empty",
    "large": "larger than 0 MiB", "endless": "larger than 0 MiB", "broken": "broken connection, 4 times",
    "round": "too many redirects",
}  # fmt: skip


def test_all_usual_failures_are_told_apart_and_what_was_fetched_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    names = ["fine", "moved", "busy", *PROBLEMS]
    addresses = [f"{server}/{name}" for name in names]
    found, failed = fetch_images(addresses, tmp_path, allow_private=True, reporter=SilentReporter())
    assert [(tmp_path / name).read_bytes() == IMAGE for name in found[:3]] == [True] * 3
    assert failed == {f"{server}/{name}": problem for name, problem in PROBLEMS.items()}
    assert Server.asked["busy"] == 3
    assert Server.asked["gone"] == 1
    again, _ = fetch_images(addresses[:3], tmp_path, allow_private=True, reporter=SilentReporter())
    assert again == found[:3]
    assert Server.asked["busy"] == 3


def test_nothing_is_asked_of_this_machine_or_its_network_unless_allowed(server: str, tmp_path: Path) -> None:
    for address in (f"{server}/fine", "http://localhost:1/x", "file:///etc/passwd", "http://169.254.169.254/latest"):
        found, failed = fetch_images([address], tmp_path, allow_private=False, reporter=SilentReporter())
        assert found == [""]
        assert failed[address] in ("a private address", "no http address")
    assert not Server.asked
    assert not any(map(_is_public, ("10.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "100.64.0.1", "224.0.0.1")))
    assert _is_public("1.1.1.1")


def test_prepare_fetches_the_covers_of_a_table_and_lists_what_failed(server: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", 40, thumbnail=lambda n: f"{server}/{'gone' if n == 3 else f'fine?{n}'}")
    call = ["prepare", table, "--fetch-images", "--private-addresses", "--no-dedupe", "--data", tmp_path / "out"]
    found = answer(*call)
    posts = load_dataset(tmp_path / "out").posts
    assert (posts["image_problem"] == "").tolist() == [n != 3 for n in range(40)]
    assert any("1 images could not be downloaded: HTTP 404" in warning for warning in found["warnings"])
    problems = list(csv.DictReader((tmp_path / "out" / "problems.csv").open(encoding="utf-8")))
    assert ("4", "p3", "image not fetched: HTTP 404") in [(row["row"], row["id"], row["problem"]) for row in problems]
