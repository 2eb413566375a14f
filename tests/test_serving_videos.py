"""A video that is sent to engage serve: its frames come back, one video at a time, within bounds."""

from __future__ import annotations

import base64
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from engage_cli.steps.serve import _videos
from engage_cli.steps.serve._limits import Limits
from tests.served import ModelHere, Server, serving_here

pytest.importorskip("av", reason="the extra frames is not installed")

from tests.videos import RATE, drawn, write_scenes, write_sound, write_video

LIMITS = Limits(video_bytes=1 << 20, frame_side=64)


@pytest.fixture(scope="module")
def model(world: Path) -> ModelHere:
    return ModelHere(world / "runs" / "gp", LIMITS)


@pytest.fixture(scope="module")
def server(model: ModelHere) -> Iterator[Server]:
    with serving_here(model, LIMITS) as found:
        yield found


def send(server: Server, data: bytes) -> tuple[int, dict]:
    response = server.post("/api/frames", content=data, headers={"content-type": "application/octet-stream"})
    return response.status_code, response.json()


def test_a_video_gives_its_frames(server: Server, tmp_path: Path) -> None:
    status, said = send(server, write_scenes(tmp_path / "a.mp4").read_bytes())
    assert status == 200
    described = server.get("/api/openapi.json").json()["paths"]["/api/frames"]["post"]["responses"]["200"]
    jsonschema.validate(said, described["content"]["application/json"]["schema"])
    assert {int(frame["seconds"] * RATE + 0.5) // 12 for frame in said["frames"]} == {0, 1, 2}
    for frame in said["frames"]:
        assert Image.open(io.BytesIO(base64.b64decode(frame["jpeg"]))).size == (64, 36)
    assert server.get("/api/run").json()["videos"] is True


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [("nothing", 422, "empty"), ("text", 422, "not a video"), ("sound", 422, "no moving picture"), ("large", 413, "1 MiB")],
)
def test_what_is_no_video_is_a_sentence(what: str, status: int, words: str, server: Server, tmp_path: Path) -> None:
    data = {
        "nothing": lambda: b"",
        "text": lambda: b"hello " * 100,
        "sound": lambda: write_sound(tmp_path / "a.mp4").read_bytes(),
        "large": lambda: bytes((1 << 20) + 1),
    }[what]()
    found, said = send(server, data)
    assert (found, list(said)) == (status, ["error"])
    assert words in said["error"]


def test_one_that_hangs_is_ended_others_wait_and_covers_are_still_answered(
    model: ModelHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = tmp_path / "number"
    program = f"import os, time; open({str(number)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(_videos, "worker_command", lambda wanted: [sys.executable, "-c", program])
    with serving_here(model, Limits(video_seconds=3.0)) as server:
        _ask_while_one_hangs(server, number)


def _ask_while_one_hangs(server: Server, number: Path) -> None:
    answers: list[tuple[int, dict]] = []
    asking = threading.Thread(target=lambda: answers.append(send(server, b"video")))
    asking.start()
    while not number.exists() or not number.read_text():
        time.sleep(0.01)
    status, said = send(server, b"video")
    assert (status, said["error"]) == (429, _videos.BUSY)
    cover = io.BytesIO()
    drawn(1).save(cover, "PNG")
    assert server.ask("/api/predict", [("a.png", cover.getvalue())], ["x"]).status_code == 200
    asking.join()
    assert answers[0][0] == 422
    assert "took more than" in answers[0][1]["error"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


def test_without_pyav_the_page_and_the_answer_say_so(model: ModelHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_videos.importlib.util, "find_spec", lambda name: None)
    with serving_here(model, LIMITS) as server:
        assert server.get("/api/run").json()["videos"] is False
        status, said = send(server, b"video")
    assert status == 422
    assert "engage-cli[frames]" in said["error"]


def test_a_video_of_one_frame_gives_one(server: Server, tmp_path: Path) -> None:
    status, said = send(server, write_video(tmp_path / "a.webm", [drawn(1)], codec="libvpx").read_bytes())
    assert status == 200
    assert len(said["frames"]) == 1
