"""`engage frames`: the good frame among bad ones, what is written, and files that are no video."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engage_cli.progress.reporters import SilentReporter
from engage_cli.steps.frames import SHEET, read_frames
from engage_cli.steps.frames._folder import FINISHED, MARK
from engage_cli.video import _look, extract
from engage_cli.video._choice import Samples, choose
from engage_cli.video._quality import measure
from engage_cli.video.clock import clock, fine_clock
from engage_cli.video.wanted import Found, VideoError, Wanted
from tests.calls import engage

pytest.importorskip("av", reason="the extra frames is not installed")

from engage_cli.video._source import VideoFile
from tests import videos
from tests.videos import BROKEN, HEIGHT, RATE, WIDTH, bad, blurred, dark, drawn, flat, noise, write_scenes, write_video


def look(path: Path, **wanted: Any) -> Found:
    """Look through a video in this process."""
    with path.open("rb") as file:
        return _look.look_through(VideoFile(file), Wanted(faces=False, **wanted), lambda title, share: None)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("video") / "holiday.mp4")


def test_one_good_frame_among_three_thousand_is_found(tmp_path: Path) -> None:
    found = look(videos.write_planted(tmp_path / "planted.mp4", num=3000, at=1234))
    assert found.seen == 3000
    assert found.frames[0].seconds == pytest.approx(1234 / RATE)
    shown = np.asarray(Image.open(io.BytesIO(found.frames[0].jpeg)), float)
    assert np.abs(shown - np.asarray(drawn(5), float)).mean() < 12


def test_of_many_frames_only_those_around_the_best_key_frames_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "long.mp4", (drawn(n // 50) if n // 50 in (2, 5) else bad(n // 50) for n in range(400)))
    monkeypatch.setattr(_look, "MOST_MEASURED", 100)
    found = look(path)
    assert found.seen < 100
    assert sorted(frame.seconds // 2 for frame in found.frames) == [2, 5]


def test_quality_falls_with_each_fault_of_a_frame() -> None:
    def quality(image: Image.Image) -> float:
        return measure(np.asarray(image.convert("L"))).quality

    good = [quality(drawn(seed)) for seed in range(8)]
    assert min(good) > 0.6
    for spoil in (blurred, dark, lambda image: noise(1), lambda image: flat(1), lambda image: Image.new("RGB", (4, 4))):
        assert max(quality(spoil(drawn(seed))) for seed in range(8)) < 0.1


def test_each_scene_gives_its_best_frame_and_no_look_is_offered_twice() -> None:
    samples = Samples()
    for row, (level, quality) in enumerate([(10, 0.7), (10, 0.9), (90, 0.8), (91, 0.85), (200, 0.1), (10, 0.88)]):
        samples.add(row, row / RATE, quality, np.full(12, level, np.uint8))
    assert choose(samples, 12) == [1, 3]  # the last looks like the first, and the fifth is far worse
    assert choose(samples, 1) == [1]


def test_a_frame_is_shown_with_square_pixels(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mkv", [drawn(3)] * 3, aspect=Fraction(2))
    with (tmp_path / "b.mkv").open("rb") as file:
        video = VideoFile(file)
        frame = next(frame for frame in video.read() if frame is not None)
        assert video.image(frame).size == (2 * WIDTH, HEIGHT)
        assert video.image(frame, 96).size == (96, 27)


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_file_that_gives_no_frame_is_one_sentence(wrong: str, tmp_path: Path) -> None:
    name, make, words = BROKEN[wrong]
    path = make(tmp_path / name)
    started = time.monotonic()
    result = engage("frames", path, "--unranked", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == ""
    (said,) = [line for line in result.stderr.splitlines() if line.startswith("engage: ")]
    assert str(path) in said
    assert words in said
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - started < 60


def test_time_that_runs_out_is_told_and_what_was_seen_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_scenes(tmp_path / "a.mp4", scenes=10)
    ticks = iter(range(10**6))  # one for each packet
    monkeypatch.setattr(_look.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(_look, "KEYS_APART", 0.1)
    found = look(path, seconds=100)
    assert 0 < found.seen < 10
    assert found.frames
    assert "only the first 0:01 were looked at: decoding took longer than 100 s" in found.notes[0]
    with pytest.raises(VideoError, match="decoding it takes longer than 1 s"):
        look(path, seconds=1)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(60)", extract.HUNG),
        ("import os; os.abort()", extract.CRASHED),
        ("print('{')", extract.CRASHED),
        ("""print('{"problem": "no"}')""", "no"),
    ],
)
def test_a_decoder_that_hangs_or_crashes_is_a_sentence(
    program: str, words: str, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "LONGEST_SILENCE", 0.5 if "sleep" in program else 30)
    monkeypatch.setattr(extract, "worker_command", lambda wanted: [sys.executable, "-c", program])
    with scenes.open("rb") as file, pytest.raises(VideoError, match=words):
        extract.extract(file, Wanted(), SilentReporter())


def test_the_process_that_decodes_may_take_only_so_much_memory(scenes: Path) -> None:
    program = (
        "import resource, sys; from engage_cli.video import worker; worker.MOST_MEMORY = 1 << 29; worker._bound_memory()\n"
        "try: bytearray(1 << 30)\n"
        "except MemoryError: print('bounded')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "bounded\n"


def test_frames_and_contact_sheet_are_written_and_told(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "stills"
    found = json.loads(engage("frames", scenes, "--unranked", "--out", out, "--json").stdout)
    assert found["frames_measured"] == 36
    assert found["seconds"] == pytest.approx(36 / RATE)
    assert found["answer"] is None
    assert [frame["rank"] for frame in found["frames"]] == [1, 2, 3]
    assert {int(frame["seconds"] * RATE + 0.5) // 12 for frame in found["frames"]} == {0, 1, 2}
    for frame in found["frames"]:
        assert Path(frame["file"]).name == f"{frame['rank']:02}-{fine_clock(frame['seconds'])}.jpg"
        with Image.open(frame["file"]) as image:
            assert (image.format, image.size) == ("JPEG", (WIDTH, HEIGHT))
    with Image.open(found["contact_sheet"]) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 3 * 360
    assert json.loads((out / FINISHED).read_text()) == found


def test_what_is_not_ours_is_never_replaced(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "letter.txt").write_text("dear")
    result = engage("frames", scenes, "--unranked", "--out", out, "--overwrite")
    assert result.exit_code == 1
    assert "holds files that are not frames of engage" in result.stderr
    (out / "letter.txt").unlink()
    assert engage("frames", scenes, "--unranked", "--out", out).exit_code == 0
    again = engage("frames", scenes, "--unranked", "--out", out)
    assert again.exit_code == 1
    assert "give --overwrite" in again.stderr
    (out / "letter.txt").write_text("dear")
    before = {path.name for path in out.iterdir()}
    assert engage("frames", scenes, "--unranked", "--out", out, "--overwrite", "--count", "1").exit_code == 0
    assert (out / "letter.txt").read_text() == "dear"
    assert {path.name for path in out.iterdir()} < before
    assert len(list(out.glob("*.jpg"))) == 1


def test_a_call_that_is_cut_short_leaves_no_frame(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engage_cli.steps.frames import _folder

    out, written = tmp_path / "out", []
    real = _folder.atomic_write

    def stop_at_the_sheet(path: Path) -> Any:
        written.append(path.name)
        if path.name == SHEET:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(_folder, "atomic_write", stop_at_the_sheet)
    assert engage("frames", scenes, "--unranked", "--out", out).exit_code == 130
    assert len(written) == 4
    assert [path.name for path in out.iterdir()] == [MARK]
    monkeypatch.setattr(_folder, "atomic_write", real)
    assert engage("frames", scenes, "--unranked", "--out", out).exit_code == 0  # it is ours, and unfinished


def test_frames_are_ranked_with_the_titles_as_predict_ranks_them(world: Path, scenes: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "out", world / "runs" / "gp"
    titles = ["--title", "The best pizza", "--title", "A car"]
    result = engage("frames", scenes, *titles, "--run", run, "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    files = [frame["file"] for frame in found["frames"]]
    told = json.loads(engage("predict", *files, *titles, "--run", run, "--json").stdout)
    ranking = [(one["image"], one["title"]) for one in found["answer"]["ranking"]]
    assert ranking == [(one["image"], one["title"]) for one in told["ranking"]]
    assert list(dict.fromkeys(image for image, _ in ranking)) == files
    assert sum(frame["p_best"] for frame in found["frames"]) == pytest.approx(1)
    shown = engage("frames", scenes, *titles, "--run", run, "--out", out, "--overwrite").stdout
    assert "6 variants by" in shown
    assert SHEET in shown


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["--unranked", "--title", "x"], "--unranked uses no run", 2),
        (["--title", "x", "--title", "x"], "given twice", 2),
        (["--count", "24", *(word for n in range(17) for word in ("--title", str(n)))], "408 variants", 2),
        (["--count", "25"], "less than or equal to 24", 2),
        (["--runs", "nowhere"], "--unranked", 1),
    ],
)
def test_a_wrong_call_is_a_sentence(
    arguments: list[str], words: str, code: int, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = engage("frames", scenes, *arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_without_pyav_the_sentence_says_what_to_install(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract.importlib.util, "find_spec", lambda name: None)
    result = engage("frames", scenes, "--unranked", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "engage-cli[frames]" in result.stderr


def test_a_face_with_both_eyes_is_preferred_and_its_absence_is_told_once(
    scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engage_cli.covers.faces import Face
    from engage_cli.errors import EngageError
    from engage_cli.video import _faces

    def only_in_the_third(pixels: np.ndarray) -> list[Face]:
        third = np.asarray(drawn(2), float)
        if np.abs(pixels - third).mean() > 20:
            return []
        points = ((40.0, 20.0), (56.0, 20.0), (48.0, 28.0), (42.0, 36.0), (54.0, 36.0))
        return [Face(left=32, top=8, width=32, height=40, score=0.9, points=points)]

    def seen() -> Found:
        with scenes.open("rb") as file:
            return _look.look_through(VideoFile(file), Wanted(), lambda title, share: None)

    monkeypatch.setattr(_faces, "detect_faces", only_in_the_third)
    found = seen()
    assert int(found.frames[0].seconds * RATE + 0.5) // 12 == 2
    assert found.frames[0].face == pytest.approx(32 * 40 / (WIDTH * HEIGHT))
    assert [frame.face for frame in found.frames[1:]] == [0, 0]

    def missing(pixels: np.ndarray) -> list[Face]:
        raise EngageError("install it")

    monkeypatch.setattr(_faces, "detect_faces", missing)
    found = seen()
    assert [frame.face for frame in found.frames] == [None] * 3
    assert found.notes == ("engage cannot look for faces in the frames: install it",)


def test_a_missing_file_is_told_by_the_library_too(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such file"):
        read_frames(tmp_path / "none.mp4", Wanted(), SilentReporter())


@pytest.mark.parametrize(
    ("seconds", "plain", "fine"),
    [(0, "0:00", "0m00.0s"), (12.34, "0:12", "0m12.3s"), (59.96, "0:59", "1m00.0s"), (3723.4, "1:02:03", "1h02m03.4s")],
)
def test_times_are_written_as_people_write_them(seconds: float, plain: str, fine: str) -> None:
    assert (clock(seconds), fine_clock(seconds)) == (plain, fine)
